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
./x bench celery [--deploys N] [--json FILE]
                                a Celery worker is deployed while tasks are queued: none may be lost or run twice
./x bench strategies [--runs N] [--only KIND,…] [--json FILE]
                                the time of each phase of each way to replace a service, beside Compose and Swarm
./x bench edge [--only CASE,…] [--json] [--quick] [--write] [--list]
                                the edge beside nginx, HAProxy, Caddy and Traefik; docs/benchmarks-edge.md
./x bench soak [--minutes N] [--json FILE]
                                one edge under every kind of load for an hour's requests: nothing may grow or stay
./x conformance [--only http1|http2|websocket] [--json FILE] [--write]
                                public conformance cases against the real edge; docs/conformance.md
./x crash [--quick] [--only PART] [--write]
                                kills at every instant, lost and damaged files, everything at once; docs/crash-matrix.md
./x data [--quick] [--seed N] [--sequences M] [--only K] [--shrink] [--tell] [--write]
                                random platforms and sequences of changes; no two writers, nothing lost; docs/data-safety.md
./x fuzz [TARGET…] [--seconds N] [--list]
                                coverage-guided fuzzing of what reads strangers' bytes
./x help                        this text

Works on Debian and Ubuntu with a Rust toolchain; elsewhere it says what to install by hand.
TEXT
}
