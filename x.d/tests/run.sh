#!/usr/bin/env bash
# Tests of what `./x` decides: which packages are missing, what stops it before work begins, how steps end.
# The system's commands are stood in for by functions; nothing is installed or started.
set -euo pipefail
ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

passed=0
failed=0

# in_x COMMANDS: runs them in a shell that has all of x.d, as x itself would; output and status are kept.
in_x() {
  STATUS=0
  OUTPUT=$(X_ROOT=$ROOT bash -c '
    set -euo pipefail
    ROOT=$X_ROOT
    cd "$ROOT"
    for part in "$ROOT"/x.d/*.sh; do . "$part"; done
    . "$ROOT/x.d/tests/stand_ins.sh"
    '"$1" 2>&1) || STATUS=$?
}

# expect TITLE STATUS PATTERN: the last command's status, and a pattern its whole output matches.
expect() {
  # shellcheck disable=SC2053 # a pattern on purpose
  if [ "$STATUS" -eq "$2" ] && [[ $OUTPUT == $3 ]]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf 'FAILED: %s\n  status %s, expected %s\n  output: %s\n  expected: %s\n' \
      "$1" "$STATUS" "$2" "$OUTPUT" "$3"
  fi
}

for file in "$ROOT"/x.d/tests/*_test.sh; do
  # shellcheck source=/dev/null
  . "$file"
done
printf 'shell: %d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
