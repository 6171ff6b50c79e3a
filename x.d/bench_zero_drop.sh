# shellcheck shell=bash
# ./x bench zero-drop: everything that can happen to a platform, under load of every kind. The run is in bench/zero-drop.

ZERO_DROP_TOOLS=(aiohttp==3.13.2 grpcio==1.85.1 websockets==15.0.1)

bench_zero_drop() {
  check_before_bench
  {
    prepare_load
    step "clients" zero_drop_clients
  } >&2
  MAINSTAY=$(mainstay_binary) K6=$(k6_path) as_root "$X_CACHE/zero-drop/bin/python" bench/zero-drop/run.py "$@"
}

# Clients that are not ours, in a folder of their own.
zero_drop_clients() {
  "$X_CACHE/zero-drop/bin/python" -c 'import aiohttp, grpc, websockets' 2>/dev/null && return 0
  python3 -c 'import ensurepip' 2>/dev/null || { refresh_package_lists; install_packages python3-venv; }
  python3 -m venv "$X_CACHE/zero-drop"
  "$X_CACHE/zero-drop/bin/pip" install --quiet "${ZERO_DROP_TOOLS[@]}"
}
