# shellcheck shell=bash
# ./x data: random platforms and random sequences of what people do to them, and a judge who reads what the writers in
# the containers have written. The tests are in crates/cli/tests/real/data_property; the page is made from their report.

verb_data() {
  local sequences=500 control=10 seed=1 write=() more=()
  while [ $# -gt 0 ]; do
    case $1 in
      --quick) sequences=8 control=2 ;;
      --write) write=(--write) ;;
      --shrink) more+=(MAINSTAY_DATA_SHRINK=1) ;;
      --tell) more+=(MAINSTAY_DATA_TELL=1) ;;
      --seed | --sequences | --only)
        [[ ${2:-} =~ ^[0-9]+$ ]] || usage_error "$1 takes a number"
        case $1 in
          --seed) seed=$2 ;;
          --sequences) sequences=$2 ;;
          --only) more+=("MAINSTAY_DATA_ONLY=$2") sequences=1 control=0 ;;
        esac
        shift
        ;;
      *) usage_error "data does not know \`$1\`" ;;
    esac
    shift
  done
  check_before_test
  prepare_engine_tests >&2
  local failed=
  if ! run_data "MAINSTAY_DATA_SEED=$seed" "MAINSTAY_DATA_SEQUENCES=$sequences" "MAINSTAY_DATA_CONTROL=$control" \
    "${more[@]}"; then
    failed=yes
  fi
  # The page says what was found, also where it is not what was hoped for.
  cargo run --quiet --package xtask -- data --rows "$X_CACHE/data-rows.jsonl" --seed "$seed" "${write[@]}"
  [ -z "$failed" ] || die "a rule of data safety was broken" "each failure stands above, with its platform and steps"
}

# run_data VARIABLE=VALUE…
run_data() {
  local filter='test(/^real::data_property::real_data/)' each
  # One sequence again needs neither the control nor what is tried beside it.
  for each in "$@"; do
    case $each in MAINSTAY_DATA_ONLY=*) filter='test(/real_data_random/)' ;; esac
  done
  mkdir -p "$X_CACHE"
  rm -f "$X_CACHE/data-rows.jsonl"
  # One test after the other: the sequences run side by side already, and the figures are theirs.
  with_docker env "$@" "MAINSTAY_DATA_ROWS=$X_CACHE/data-rows.jsonl" \
    cargo nextest run --package mainstay --test real --no-fail-fast --test-threads 1 --no-capture -E "$filter" >&2
}
