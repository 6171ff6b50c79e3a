# shellcheck shell=bash
# ./x bench soak: one edge under every kind of load for the requests of an hour. The run is in bench/soak.

bench_soak() {
  check_before_bench_edge
  {
    step "packages" install_peers
    step "build mainstay" build_mainstay
    step "build edge-apply" cargo build --profile "$MAINSTAY_PROFILE" --package edge --example edge-apply
  } >&2
  PATH=$PATH:/usr/sbin PYTHONDONTWRITEBYTECODE=1 python3 bench/soak/run.py --mainstay "$(mainstay_binary)" \
    --apply "$(dirname "$(mainstay_binary)")/examples/edge-apply" "$@"
}
