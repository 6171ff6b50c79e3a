# shellcheck shell=bash
# What a person reads while something runs: steps with their seconds, problems with what to do.

CURRENT_STEP=

say() { printf '%s\n' "$*"; }
note() { printf '  %s\n' "$*"; }
warn() { printf 'x: %s\n' "$*" >&2; }

# die WHAT [WHAT-TO-DO]
die() {
  printf 'x: %s\n' "$1" >&2
  [ -z "${2:-}" ] || printf '   %s\n' "$2" >&2
  CURRENT_STEP=
  exit 1
}

usage_error() {
  printf 'x: %s\n   ./x help lists the verbs and their options\n' "$1" >&2
  CURRENT_STEP=
  exit 2
}

# Milliseconds since boot, near enough; the wall clock may jump, and a step must never take -3 s.
uptime_ms() {
  local up _
  read -r up _ </proc/uptime
  printf '%s' "$((10#${up/./} * 10))"
}

seconds_since() {
  local ms=$(($(uptime_ms) - $1))
  printf '%d.%d s' $((ms / 1000)) $((ms % 1000 / 100))
}

# step TITLE COMMAND… runs the command in this shell and prints how long it took.
# It is never part of a condition, so that `set -e` holds inside it.
step() {
  CURRENT_STEP=$1
  shift
  local began
  began=$(uptime_ms)
  printf -- '-- %s\n' "$CURRENT_STEP"
  "$@"
  printf '   %s: %s\n' "$CURRENT_STEP" "$(seconds_since "$began")"
  CURRENT_STEP=
}

report_broken_step() {
  local status=$?
  if [ "$status" -ne 0 ] && [ -n "$CURRENT_STEP" ]; then
    printf 'x: stopped in step "%s" (exit code %d)\n' "$CURRENT_STEP" "$status" >&2
  fi
}
