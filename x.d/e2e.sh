# shellcheck shell=bash
# The reference platform end to end, as a user runs it: up, exercised, down.

E2E_SCRIPT=$PLATFORM/e2e/run.sh

verb_e2e() {
  [ $# -eq 0 ] || usage_error "e2e takes no options"
  step "test: e2e" stage_e2e
}

stage_e2e() {
  [ -x "$E2E_SCRIPT" ] || die "$E2E_SCRIPT is missing: the end-to-end test cannot run" \
    "it belongs to the checkout; run: git status $PLATFORM/e2e"
  logged e2e "$E2E_SCRIPT"
}
