# shellcheck shell=bash
# Root rights: had, obtainable through sudo, or missing, and known before any work begins.

is_root() { [ "$(id -u)" -eq 0 ]; }

# A terminal can answer sudo's question for a password; a pipeline cannot.
can_be_root() {
  is_root && return 0
  command -v sudo >/dev/null || return 1
  sudo -n true 2>/dev/null || [ -t 0 ]
}

as_root() {
  if is_root; then
    "$@"
  else
    sudo -E env "PATH=$PATH" "$@"
  fi
}

# Runs a command that talks to Docker, with root rights only where the user's own do not reach the socket.
with_docker() {
  if docker_answers; then
    "$@"
  else
    as_root "$@"
  fi
}
