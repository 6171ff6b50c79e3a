# shellcheck shell=bash
# What the tests put in place of the system: no daemon, no packages but those in PACKAGES, no rights but ROOT_RIGHTS.

# "NAME VERSION" lines of what the distribution has.
PACKAGES=${PACKAGES:-}
# Words of commands that count as installed.
INSTALLED=${INSTALLED:-}
ROOT_RIGHTS=${ROOT_RIGHTS:-yes}

apt-cache() {
  local version
  version=$(awk -v name="$2" '$1 == name { print $2 }' <<<"$PACKAGES")
  printf '%s:\n  Candidate: %s\n' "$2" "${version:-(none)}"
}
has_apt() { true; }
can_be_root() { [ "$ROOT_RIGHTS" = yes ]; }
as_root() { printf 'as root: %s\n' "$*"; }
docker() { return 1; }
docker_answers() { return 1; }
command() {
  if [ "${1:-}" = -v ]; then
    [[ " $INSTALLED " == *" $2 "* ]]
  else
    builtin command "$@"
  fi
}
