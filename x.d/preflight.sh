# shellcheck shell=bash
# Everything that can stop a run is looked at before work begins, and all of it is said at once.

PROBLEMS=()

# problem WHAT WHAT-TO-DO
problem() { PROBLEMS+=("$1"$'\n'"   $2"); }

refuse_on_problems() {
  [ ${#PROBLEMS[@]} -gt 0 ] || return 0
  local each
  warn "nothing was begun:"
  for each in "${PROBLEMS[@]}"; do printf ' - %s\n' "$each" >&2; done
  exit 1
}

check_rust() {
  find_cargo
  local wanted present
  wanted=$(wanted_rust)
  present=$(present_rust)
  if [ -z "$present" ] || ! command -v cargo >/dev/null; then
    problem "no Rust toolchain" "install Rust $wanted or newer with rustup"
  elif ! version_at_least "$wanted" "$present"; then
    problem "Rust $present is too old, this needs $wanted" "run: rustup update stable"
  fi
}

# check_installable NAME…: the right and the means to install what is missing.
check_installable() {
  [ $# -gt 0 ] || return 0
  if ! has_apt; then
    problem "missing: $*; and this system has no apt-get" \
      "install Docker Engine, Docker Compose v2, gcc and make by hand, then run this again"
  elif ! can_be_root; then
    problem "missing: $*; and you are neither root nor able to use sudo" \
      "run as root: apt-get install $*"
  fi
}

check_root_for() {
  can_be_root || problem "$1 needs root rights, and you are neither root nor able to use sudo" \
    "run this as root, or have sudo set up for $(id -un)"
}

# check_space GB: where Docker keeps its data, and where this checkout builds.
check_space() {
  local wanted=$1 path free
  for path in "$(docker_data)" "$(target_dir)"; do
    free=$(free_gb "$path")
    [ "$free" -ge "$wanted" ] ||
      problem "$free GB free below $path, this needs $wanted GB" \
        "free some space (\`docker system df\` shows what images use), or use --lite, which needs 5 GB"
  done
}

docker_data() {
  local path
  path=$(docker info --format '{{.DockerRootDir}}' 2>/dev/null) || true
  printf '%s' "${path:-/var/lib/docker}"
}

# check_port PORT: free, or already held by our own edge.
check_port() {
  local holder
  holder=$(port_holder "$1")
  case $holder in
    '' | mainstay*) ;;
    *) problem "port $1 is taken by $holder" "stop it, or choose another port: ./x up --http 8090" ;;
  esac
}
