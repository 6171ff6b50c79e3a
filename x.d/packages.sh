# shellcheck shell=bash
# The system's package manager. Debian's and Ubuntu's is known; elsewhere the reader is told what to install.

APT_FRESH=

has_apt() { command -v apt-get >/dev/null; }

# Lists are fetched at most once, and only by somebody who lacks something.
refresh_package_lists() {
  [ -z "$APT_FRESH" ] || return 0
  note "reading the package lists"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  APT_FRESH=yes
}

# candidate_version NAME: what apt would install, nothing when it knows no such package.
candidate_version() {
  apt-cache policy "$1" 2>/dev/null | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'
}

# first_available NAME…: the first of several names that the distribution has.
first_available() {
  local name
  for name in "$@"; do
    if [ -n "$(candidate_version "$name")" ]; then
      printf '%s' "$name"
      return 0
    fi
  done
  return 1
}

# install_packages NAME…: refuses before it changes anything when one of them cannot be had.
install_packages() {
  [ $# -gt 0 ] || return 0
  local name
  for name in "$@"; do
    [ -n "$(candidate_version "$name")" ] ||
      die "the package \`$name\` is not in this system's package lists" \
        "add the distribution's main (on Ubuntu also universe) archive, then run this again"
  done
  note "installing $*"
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "$@" >"$X_CACHE/apt.log" 2>&1 || {
    tail -n 15 "$X_CACHE/apt.log" >&2
    die "apt-get could not install: $*" "the whole log is in $X_CACHE/apt.log"
  }
}

# missing_basics: packages for the commands that building and installing need, one a line.
# SCOPE is `engine` for those of Docker Engine too, or `build`.
missing_basics() {
  command -v gcc >/dev/null || say gcc
  command -v make >/dev/null || say make
  # `--no-install-recommends` leaves the C library's headers and the certificates out.
  [ -e /usr/include/stdio.h ] || say libc6-dev
  [ -e /etc/ssl/certs/ca-certificates.crt ] || say ca-certificates
  if [ "$1" = engine ]; then
    missing_engine
    missing_for_images
  fi
}

# Every image is built on this one; without a registry it is made from packages.
missing_for_images() {
  command -v debootstrap >/dev/null || docker image inspect debian:bookworm-slim >/dev/null 2>&1 || say debootstrap
}

# install_missing SCOPE: the package manager is asked nothing when nothing is missing.
install_missing() {
  local missing
  mapfile -t missing < <(missing_basics "$1")
  if [ ${#missing[@]} -eq 0 ]; then
    note "nothing missing"
    return 0
  fi
  refresh_package_lists
  # A name that depends on the release (docker-cli) is known only with fresh lists.
  mapfile -t missing < <(missing_basics "$1")
  install_packages "${missing[@]}"
}
