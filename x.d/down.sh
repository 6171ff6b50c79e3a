# shellcheck shell=bash
# ./x down: stops the platform and Mainstay; data stays unless it is asked for.

verb_down() {
  local data=
  while [ $# -gt 0 ]; do
    case $1 in
      --data) data=yes ;;
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
  local words=() volume
  if [ -n "$1" ]; then
    words=(--volumes)
    # A database of production goes only by its name, and which volumes hold one shows with what lies in them (n8n's has
    # SQLite until it is told otherwise), so all are named; the later ones are those of an earlier version.
    for volume in {ytempire,ytempire-production}_{pgdata,redisdata,media,n8ndata}; do
      ! with_docker docker volume inspect "$volume" >/dev/null 2>&1 || words+=(--volume "$volume")
    done
  fi
  (cd "$PLATFORM" && as_root "$(mainstay_binary)" down --yes "${words[@]}")
}
