# shellcheck shell=bash
# ./x bench strategies: how long each way to replace a service takes, phase by phase. The run is in bench/strategies.

bench_strategies() {
  check_before_bench
  {
    prepare_load
    step "test application" build_testapp
  } >&2
  MAINSTAY=$(mainstay_binary) TESTAPP=$X_CACHE/testapp as_root python3 bench/strategies/run.py "$@"
}
