# shellcheck shell=bash

verb_help() {
  cat <<'TEXT'
./x up [--lite] [--http PORT]   install what is missing, build, and bring the reference platform up
./x down [--data]               stop the platform and Mainstay; --data also deletes what they stored
./x test [--unit] [-p CRATE]    every test, real daemons included; --unit only those beside the code
./x e2e                         the reference platform end to end
./x check                       format, lints, house rules, shell scripts, dependencies
./x bench [NAME…] [--json] [--quick] [--write] [--list]
                                measure under load; --write keeps the figures in docs/benchmarks.md
./x bench zero-drop [--seconds N] [--json FILE]
                                releases, certificates, agent and edge change under load: nothing may be dropped
./x bench edge [--only CASE,…] [--json] [--quick] [--write] [--list]
                                the edge beside nginx, HAProxy, Caddy and Traefik; docs/benchmarks-edge.md
./x help                        this text

Works on Debian and Ubuntu with a Rust toolchain; elsewhere it says what to install by hand.
TEXT
}
