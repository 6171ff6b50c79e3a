# shellcheck shell=bash
# The reference platform end to end, as a person uses it: up without n8n on a port of its own, a browser, down.

E2E_PORT=8480

verb_e2e() {
  [ $# -eq 0 ] || usage_error "e2e takes no options"
  read_up_options --lite --http "$E2E_PORT"
  check_e2e_script
  check_before_up
  step "packages" install_missing engine
  step "Docker" start_docker
  step "Compose" install_compose
  step "test: e2e" stage_e2e
}

check_e2e_script() {
  [ -x "$PLATFORM/e2e/run.sh" ] || die "$PLATFORM/e2e/run.sh is missing: the end-to-end test cannot run" \
    "it belongs to the checkout; run: git status $PLATFORM/e2e"
}

# A platform, a Mainstay and data of its own, so that one that runs here is left alone; nothing of it stays.
stage_e2e() {
  check_e2e_script
  # shellcheck disable=SC2034 # read by the steps of `./x up`
  MAINSTAY_PROFILE=dev UP_NAME=ytempire-e2e UP_ROOT=(--root "$X_CACHE/e2e-root")
  read_up_options --lite --http "$E2E_PORT"
  install_browser_tools
  build_mainstay
  build_images
  bring_platform_up
  logged e2e env BASE_URL="http://localhost:$E2E_PORT" N8N_URL= "$PLATFORM/e2e/run.sh"
  as_root "$(mainstay_binary)" down --yes --volumes --volume "${UP_NAME}_pgdata" --volume "${UP_NAME}_redisdata" \
    "${UP_ROOT[@]}" -C "$X_CACHE/platform"
  as_root "$(mainstay_binary)" stop "${UP_ROOT[@]}"
}

# The browser itself is installed by the test; it is driven with Node.
install_browser_tools() {
  local missing=()
  command -v node >/dev/null || missing+=(nodejs)
  command -v npm >/dev/null || missing+=(npm)
  if [ ${#missing[@]} -gt 0 ]; then
    refresh_package_lists
    install_packages "${missing[@]}"
  fi
}
