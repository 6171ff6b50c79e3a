# shellcheck shell=bash
# The reference platform end to end, as a user runs it: up, exercised, down.

verb_e2e() {
  [ $# -eq 0 ] || usage_error "e2e takes no options"
  step "test: e2e" stage_e2e
}

stage_e2e() {
  local script=$PLATFORM/e2e/run.sh
  [ -x "$script" ] || die "$script is missing: the end-to-end test cannot run" \
    "it belongs to the checkout; run: git status $PLATFORM/e2e"
  logged e2e "$script"
}
