# shellcheck shell=bash
# ./x fuzz: coverage-guided fuzzing of what reads strangers' bytes. Targets are in fuzz/, what they assert is in
# crates/edge/src/fuzzing; their seeds run as ordinary tests too.

FUZZ_SECONDS=60

verb_fuzz() {
  local targets=()
  while [ $# -gt 0 ]; do
    case $1 in
      --seconds)
        [[ ${2:-} =~ ^[0-9]+$ ]] || usage_error "--seconds takes a number"
        FUZZ_SECONDS=$2
        shift
        ;;
      --list)
        fuzz_targets
        return
        ;;
      -*) usage_error "fuzz does not know \`$1\`" ;;
      *)
        fuzz_targets | grep -qx -- "$1" || usage_error "there is no fuzz target \`$1\`; ./x fuzz --list names them"
        targets+=("$1")
        ;;
    esac
    shift
  done
  [ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(fuzz_targets)
  check_before_fuzz
  step "packages" install_missing build
  step "cargo-fuzz" ensure_cargo_fuzz
  step "build" build_fuzz_targets
  local target
  for target in "${targets[@]}"; do step "fuzz: $target" fuzz_one "$target"; done
}

fuzz_targets() {
  local file
  for file in fuzz/fuzz_targets/*.rs; do basename "$file" .rs; done
}

check_before_fuzz() {
  local missing
  check_rust
  mapfile -t missing < <(missing_basics build)
  check_installable "${missing[@]}"
  refuse_on_problems
}

ensure_cargo_fuzz() {
  cargo fuzz --version >/dev/null 2>&1 && return 0
  note "cargo-fuzz is missing: building it once"
  CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR="$X_CACHE/cargo-fuzz-target" \
    cargo install cargo-fuzz --version 0.13.2 --locked --quiet --debug
  rm -rf "$X_CACHE/cargo-fuzz-target"
}

# No sanitizer: there is no unsafe code to watch, and without one the stable compiler is enough.
cargo_fuzz() {
  local verb=$1
  shift
  RUSTC_BOOTSTRAP=1 cargo fuzz "$verb" --fuzz-dir fuzz --target-dir "$(fuzz_dir)" --sanitizer none "$@"
}

# Other compiler flags for every crate: a folder of its own.
fuzz_dir() { printf '%s' "$(target_dir)/fuzz"; }

build_fuzz_targets() { cargo_fuzz build; }

# What is found is kept in fuzz/found; what breaks a target, in fuzz/artifacts.
fuzz_one() {
  local target=$1 seeds=() log=$X_CACHE/fuzz-$1.log
  mkdir -p "fuzz/found/$target"
  if [ "$target" = platform ]; then seeds=(crates/spec/samples/valid crates/spec/samples/invalid); else seeds=("fuzz/corpus/$target"); fi
  if ! cargo_fuzz run "$target" "fuzz/found/$target" "${seeds[@]}" -- \
    -max_total_time="$FUZZ_SECONDS" -max_len=4096 -timeout=10 -print_final_stats=1 >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    die "the fuzz target $target is broken" "the input is in fuzz/artifacts/$target; the whole log is in $log"
  fi
  sed -n 's/^stat::number_of_executed_units: */executions: /p; s/^stat::average_exec_per_sec: */a second: /p' "$log" |
    while IFS= read -r line; do note "$target, $line"; done
}
