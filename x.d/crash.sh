# shellcheck shell=bash
# ./x crash: the whole crash matrix on real daemons. The rows are tests in crates/cli/tests/real/crash; each writes down
# what it did, and the page is made from that.

verb_crash() {
  local extent=full write=() only=()
  while [ $# -gt 0 ]; do
    case $1 in
      --quick) extent=quick ;;
      --write) write=(--write) ;;
      --only)
        [ -n "${2:-}" ] || usage_error "--only takes a part of a row's name"
        only+=("$2")
        shift
        ;;
      *) usage_error "crash does not know \`$1\`" ;;
    esac
    shift
  done
  if [ ${#only[@]} -gt 0 ] && [ ${#write[@]} -gt 0 ]; then
    usage_error "--write keeps the figures of all rows; leave --only out"
  fi
  check_before_test
  prepare_engine_tests >&2
  local failed=
  if ! run_crash "$extent" "${only[@]}"; then
    # A row that broke off before its end has written nothing: a page without it would look whole.
    failed=yes write=()
  fi
  cargo run --quiet --package xtask -- crash --rows "$X_CACHE/crash-rows.jsonl" \
    --extent "$(crash_extent "$extent")" "${write[@]}"
  [ -z "$failed" ] || die "rows have failed, and no page was written" "what each said stands above the table"
}

crash_extent() {
  if [ "$1" = full ]; then say "every entry, every moment, every file"; else say "a sample, as \`./x test\` runs it"; fi
}

# run_crash full|quick [PART…]
run_crash() {
  local extent=$1 each filter='test(/^real::crash::/)'
  shift
  for each in "$@"; do filter="$filter & test(/$each/)"; done
  mkdir -p "$X_CACHE"
  rm -f "$X_CACHE/crash-rows.jsonl"
  MAINSTAY_CRASH=$extent MAINSTAY_CRASH_ROWS=$X_CACHE/crash-rows.jsonl \
    with_docker cargo nextest run --package mainstay --test real --no-fail-fast -E "$filter" >&2
}
