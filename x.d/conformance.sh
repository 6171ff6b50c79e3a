# shellcheck shell=bash
# ./x conformance: public conformance cases against the real edge. The running itself is in bench/conformance.

# Source packages whose tests are read, and two libraries; each by version and checksum, kept in the cache.
CONFORMANCE_SOURCES=(
  "gunicorn==27.0.1 b1514965361c8b7e8107a80aa2a92636878df1ccfac6dd204a676426e04d9e3e"
  "aiohttp==3.14.5 5558a7f5a05af9ecf744af91e5baefc436f93c9333e656c27ec253f9a6bbe178"
)
CONFORMANCE_WHEELS=(
  "hpack==4.2.0 858ac0b02280fa582b5080d68db0899c62a80375e0e5413a74970c5e518b6986"
  "websockets==17.4 c6bd2c9781915592b209160d0f017d4c7c82ad53075e6b0c24d2a89299e7f9e9"
)

verb_conformance() {
  local options=()
  while [ $# -gt 0 ]; do
    case $1 in
      --write) options+=(--write docs/conformance.md) ;;
      --only | --json)
        [ -n "${2:-}" ] || usage_error "$1 takes a value"
        options+=("$1" "$2")
        shift
        ;;
      *) usage_error "conformance does not know \`$1\`" ;;
    esac
    shift
  done
  check_before_conformance
  {
    step "packages" install_missing build
    step "suites" fetch_suites
  } >&2
  run_conformance "${options[@]}"
}

check_before_conformance() {
  local missing
  check_rust
  mapfile -t missing < <(missing_basics build; missing_for_conformance)
  check_installable "${missing[@]}"
  refuse_on_problems
}

missing_for_conformance() {
  command -v python3 >/dev/null || say python3
  command -v openssl >/dev/null || say openssl
}

# run_conformance OPTION…: builds the edge and what speaks to its control socket, and runs the cases.
run_conformance() {
  # Of the whole workspace, so that what the tests have compiled is used again.
  cargo build --quiet --workspace --bin mainstay --example edge-apply
  PYTHONPATH=$X_CACHE/conformance/python PYTHONDONTWRITEBYTECODE=1 python3 bench/conformance/run.py \
    --mainstay "$(target_dir)/debug/mainstay" --apply "$(target_dir)/debug/examples/edge-apply" \
    --suites "$X_CACHE/conformance" "$@"
}

fetch_suites() {
  local missing each
  mapfile -t missing < <(missing_for_conformance)
  if [ ${#missing[@]} -gt 0 ]; then
    refresh_package_lists
    install_packages "${missing[@]}"
  fi
  for each in "${CONFORMANCE_SOURCES[@]}"; do have_suite source "${each% *}" "${each#* }"; done
  for each in "${CONFORMANCE_WHEELS[@]}"; do have_suite wheel "${each% *}" "${each#* }"; done
  note "the suites are there"
}

# have_suite source|wheel PACKAGE==VERSION SHA256
have_suite() {
  local kind=$1 package=$2 kept=$X_CACHE/conformance folder=$X_CACHE/conformance-fetched
  [ -e "$kept/$package.there" ] && return 0
  ensure_pip
  rm -rf "$folder"
  mkdir -p "$folder" "$kept/python"
  if [ "$kind" = source ]; then
    pip_download "$folder" --no-binary :all: "$package"
    check_sha256 "$3" "$folder"/*.tar.gz
    rm -rf "${kept:?}/${package%%==*}"
    mkdir -p "$kept/${package%%==*}"
    tar -xzf "$folder"/*.tar.gz -C "$kept/${package%%==*}" --strip-components 1
  else
    pip_download "$folder" --platform any --only-binary :all: "$package"
    check_sha256 "$3" "$folder"/*.whl
    python3 -m zipfile -e "$folder"/*.whl "$kept/python"
  fi
  touch "$kept/$package.there"
  rm -rf "$folder"
}
