# shellcheck shell=bash
# ./x check: everything about the code that needs no daemon.

verb_check() {
  [ $# -eq 0 ] || usage_error "check takes no options"
  check_rust
  refuse_on_problems
  step "format" check_format
  step "lints" check_lints
  step "tidy" cargo run --quiet --package xtask -- tidy
  step "shell scripts" check_shell
  step "shell tests" bash x.d/tests/run.sh
  step "dependencies" check_dependencies
}

check_format() {
  cargo fmt --version >/dev/null 2>&1 || die "rustfmt is missing" "run: rustup component add rustfmt"
  cargo fmt --all --check
}

check_lints() {
  cargo clippy --version >/dev/null 2>&1 || die "clippy is missing" "run: rustup component add clippy"
  cargo clippy --quiet --workspace --all-targets -- -D warnings
}

# Every tracked file that is a shell script by name or first line.
shell_scripts() {
  git ls-files --cached --others --exclude-standard |
    while IFS= read -r file; do
      case $file in
        *.sh) printf '%s\n' "$file" ;;
        *.*) ;;
        *) if [ -f "$file" ] && head -n 1 "$file" | grep -qE '^#!.*\b(ba)?sh$'; then printf '%s\n' "$file"; fi ;;
      esac
    done
}

check_shell() {
  local scripts script
  mapfile -t scripts < <(shell_scripts)
  for script in "${scripts[@]}"; do bash -n "$script"; done
  note "${#scripts[@]} scripts parse"
  if command -v shellcheck >/dev/null; then
    shellcheck --severity=warning --external-sources "${scripts[@]}"
    note "shellcheck finds nothing"
  else
    note "NOT CHECKED by shellcheck, which is not installed: apt-get install shellcheck"
  fi
}

# Licences, sources and duplicates need only the lock file; advisories need a database from outside.
check_dependencies() {
  if ! cargo deny --version >/dev/null 2>&1; then
    note "NOT CHECKED: cargo-deny is not installed: cargo install cargo-deny --locked"
    return 0
  fi
  cargo deny --log-level error check licenses bans sources
  if cargo deny --log-level error fetch db >"$X_CACHE/advisories.log" 2>&1; then
    cargo deny --log-level error check advisories
  else
    note "NOT CHECKED for advisories: their database cannot be fetched (see $X_CACHE/advisories.log)"
  fi
}
