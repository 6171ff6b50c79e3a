# shellcheck shell=bash
# ./x bench: measures Mainstay under a load tool that is not ours. The measuring itself is in crates/xtask,
# but for `./x bench edge`, `zero-drop`, `soak`, `celery` and `strategies`, which have files of their own.

verb_bench() {
  if [ "${1:-}" = edge ]; then
    bench_edge "${@:2}"
    return
  fi
  if [ "${1:-}" = zero-drop ]; then
    bench_zero_drop "${@:2}"
    return
  fi
  if [ "${1:-}" = soak ]; then
    bench_soak "${@:2}"
    return
  fi
  if [ "${1:-}" = celery ]; then
    bench_celery "${@:2}"
    return
  fi
  if [ "${1:-}" = strategies ]; then
    bench_strategies "${@:2}"
    return
  fi
  check_before_bench
  {
    prepare_load
    step "test application" build_testapp
  } >&2
  cargo build --quiet --package xtask
  K6=$(k6_path) MAINSTAY=$(mainstay_binary) TESTAPP=$X_CACHE/testapp \
    as_root "$(target_dir)/debug/xtask" bench "$@"
}

# What every run of a platform under load needs.
prepare_load() {
  step "packages" install_missing engine
  step "Docker" start_docker
  step "Compose" install_compose
  step "base image" with_docker lab/images/base.sh
  step "build mainstay" build_mainstay
  step "load tool" k6_path
}

# Linked statically, so that its image holds nothing else and starts the same everywhere.
build_testapp() {
  rustc --edition 2024 -C opt-level=2 -C target-feature=+crt-static \
    -o "$X_CACHE/testapp" crates/testkit/src/bin/testapp.rs
}

check_before_bench() {
  local missing
  check_rust
  check_root_for "measuring"
  mapfile -t missing < <(missing_basics engine)
  check_installable "${missing[@]}"
  refuse_on_problems
}
