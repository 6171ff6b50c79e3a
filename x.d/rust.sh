# shellcheck shell=bash
# The Rust side: the toolchain this workspace asks for, building, the test runner.

wanted_rust() { sed -n 's/^rust-version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml"; }
present_rust() { { rustc --version 2>/dev/null || true; } | awk '{ print $2 }'; }

# version_at_least WANTED PRESENT
version_at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

# rustup puts cargo into a folder that only a login shell has on its path.
find_cargo() {
  command -v cargo >/dev/null || [ ! -x "$HOME/.cargo/bin/cargo" ] || export PATH="$HOME/.cargo/bin:$PATH"
}

target_dir() { printf '%s' "${CARGO_TARGET_DIR:-$ROOT/target}"; }
# Tests use what the tests have built; a person gets the optimized one.
MAINSTAY_PROFILE=release
mainstay_binary() { printf '%s/%s/mainstay' "$(target_dir)" "${MAINSTAY_PROFILE/dev/debug}"; }

build_mainstay() { cargo build --profile "$MAINSTAY_PROFILE" --package mainstay; }

# What tests against a real engine need beside the binary.
prepare_engine_tests() {
  step "packages" install_missing engine
  step "test runner" ensure_nextest
  step "Docker" start_docker
  step "Compose" install_compose
  step "base image" with_docker lab/images/base.sh
}

# Without optimisation and without updating itself it takes five minutes of one core; a runner mostly waits for tests.
# A runner that cannot be built is no reason to test nothing.
ensure_nextest() {
  cargo nextest --version >/dev/null 2>&1 && return 0
  note "cargo-nextest is missing: building it once, which takes minutes"
  CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR="$X_CACHE/nextest-target" \
    cargo install cargo-nextest --locked --quiet --debug --no-default-features --features default-no-update ||
    warn "cargo-nextest could not be built; \`cargo test\` runs the tests instead"
  rm -rf "$X_CACHE/nextest-target"
}
