# shellcheck shell=bash
# ./x test: every tier of tests, real daemons included. A missing daemon fails; nothing is skipped.

# Stages in order; each is a function `stage_NAME`.
TEST_STAGES=(shell workspace tls clients conformance systemd e2e)

TEST_UNIT=
TEST_FILTER=()

verb_test() {
  read_test_options "$@"
  check_before_test
  prepare_machine
  local stage
  rm -f "$X_CACHE"/test-*.log
  for stage in "${TEST_STAGES[@]}"; do step "test: $stage" "stage_$stage"; done
  # The runner's own closing lines, once more, since other stages may have printed after them.
  grep -hE '^ *Summary \[|^test result:' "$X_CACHE"/test-*.log || true
  grep -hE '^(shell|tls|clients|conformance|systemd|e2e): [0-9]+ passed' "$X_CACHE"/test-*.log || true
}

read_test_options() {
  while [ $# -gt 0 ]; do
    case $1 in
      --unit) TEST_UNIT=yes ;;
      -p | --package)
        [ -n "${2:-}" ] || usage_error "$1 takes the name of a crate"
        TEST_FILTER+=(--package "$2")
        shift
        ;;
      *) usage_error "test does not know \`$1\`" ;;
    esac
    shift
  done
  # Only a whole run goes on to the platform.
  if [ -n "$TEST_UNIT" ] || [ ${#TEST_FILTER[@]} -gt 0 ]; then TEST_STAGES=(workspace); fi
  [ ${#TEST_FILTER[@]} -gt 0 ] || TEST_FILTER=(--workspace)
}

check_before_test() {
  local missing
  check_rust
  mapfile -t missing < <(missing_basics "$(test_scope)")
  check_installable "${missing[@]}"
  if [ -z "$TEST_UNIT" ]; then
    docker_answers || can_be_root ||
      problem "no Docker daemon answers, and you may not start one" \
        "run as root: apt-get install docker.io iptables, start it, and join the group docker"
    [ -x "$(target_dir)/debug/mainstay" ] || check_space 5
  fi
  refuse_on_problems
}

test_scope() { if [ -n "$TEST_UNIT" ]; then say build; else say engine; fi; }

prepare_machine() {
  step "packages" install_missing "$(test_scope)"
  step "test runner" ensure_nextest
  if [ -n "$TEST_UNIT" ]; then return 0; fi
  step "Docker" start_docker
  step "Compose" install_compose
  if [ -x lab/images/base.sh ]; then step "base image" with_docker lab/images/base.sh; fi
}

# What this script itself decides, and how the benchmarks read their tools.
stage_shell() {
  ensure_python
  logged shell bash x.d/tests/run.sh
}

# One run over the workspace: beside the code, the binary as a user sees it, and real daemons.
stage_workspace() {
  local only=()
  [ -z "$TEST_UNIT" ] || only=(--lib --bins)
  if cargo nextest --version >/dev/null 2>&1; then
    logged workspace cargo nextest run --no-fail-fast "${TEST_FILTER[@]}" "${only[@]}"
  else
    logged workspace cargo test --no-fail-fast "${TEST_FILTER[@]}" "${only[@]}"
  fi
}

# TLS as a scanner sees it that is not ours.
stage_tls() {
  cargo build --quiet --package edge --example edge-bench
  ensure_scanner
  logged tls "$X_CACHE/tls-venv/bin/python" lab/tls/check.py "$(target_dir)/debug/examples/edge-bench"
}

# Real clients at full speed: none of them may be taken for an attacker.
stage_clients() {
  cargo build --quiet --package edge --example edge-bench
  ensure_clients
  logged clients "$X_CACHE/clients-venv/bin/python" lab/clients/check.py \
    "$(target_dir)/debug/examples/edge-bench" "$X_CACHE/clients-node"
}

# Public conformance cases against the edge as it was built for the tests.
stage_conformance() {
  fetch_suites
  logged conformance run_conformance
}

# A whole server with systemd, in a container: units, kills, a reboot.
stage_systemd() {
  cargo build --quiet --package mainstay
  build_testapp
  MAINSTAY=$(target_dir)/debug/mainstay TESTAPP=$X_CACHE/testapp logged systemd with_docker lab/hosts/systemd.sh
}

# logged NAME COMMAND…: shows the output and keeps it for the closing lines.
logged() {
  local log=$X_CACHE/test-$1.log
  shift
  "$@" 2>&1 | tee "$log"
}
