# shellcheck shell=bash
# ./x down: stops the platform and Mainstay; data stays unless it is asked for.

verb_down() {
  local data=
  while [ $# -gt 0 ]; do
    case $1 in
      --data) data=--volumes ;;
      *) usage_error "down does not know \`$1\`" ;;
    esac
    shift
  done
  check_root_for "stopping the platform"
  [ -x "$(mainstay_binary)" ] || problem "mainstay is not built here" "run ./x up once; without it nothing runs"
  refuse_on_problems
  step "platform" take_platform_down "$data"
  step "mainstay" as_root "$(mainstay_binary)" stop
}

take_platform_down() {
  (cd "$PLATFORM" && as_root "$(mainstay_binary)" down --yes ${1:+"$1"})
}
