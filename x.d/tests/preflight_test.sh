# shellcheck shell=bash disable=SC2016 # commands are quoted for the shell that runs them
# What stops a run before it begins, and that all of it is said at once.

in_x 'check_root_for() { :; }; rustc() { return 127; }; find_cargo() { :; }
  port_holder() { echo "nginx (process 7)"; }; free_gb() { echo 3; }; built_mark() { echo /nonexistent; }
  ROOT_RIGHTS=no; verb_up'
expect "every problem is said, with what to do, and no step is begun" 1 \
  'x: nothing was begun:*no Rust toolchain*you are neither root nor able to use sudo*port 80 is taken by nginx (process 7)*--http 8090*3 GB free below *, this needs 12 GB*'
if [[ $OUTPUT == *'-- '* ]]; then
  failed=$((failed + 1))
  printf 'FAILED: a step was begun in spite of problems\n%s\n' "$OUTPUT"
fi

in_x 'check_rust() { :; }; port_holder() { :; }; missing_basics() { :; }; free_gb() { echo 5; }
  built_mark() { echo /nonexistent; }; step() { echo "step $1"; }; UP_LITE=--lite; verb_up --lite'
expect "five gigabytes are enough for --lite" 0 'step packages*step platform*up after *'

in_x 'free_gb() { echo 1; }; port_holder() { echo "mainstay (process 9)"; }; check_rust() { :; }
  missing_basics() { :; }; built_mark() { echo /; }; step() { echo "step $1"; }; verb_up'
expect "a second run needs little space, and a port that our own edge holds is free" 0 'step packages*'

in_x 'check_rust() { :; }; missing_basics() { echo docker.io; }; ROOT_RIGHTS=no; verb_test'
expect "a missing daemon fails the tests and says what to install" 1 \
  '*missing: docker.io; *apt-get install docker.io*no Docker daemon answers*apt-get install docker.io iptables*'

in_x 'verb_up --http 80x'
expect "a port that is none is a usage error" 2 'x: --http takes a port from 1 to 65535*'

in_x 'verb_up --http'
expect "a missing port is a usage error" 2 'x: --http takes a port*'

in_x 'verb_up --fast'
expect "an unknown option is a usage error" 2 'x: up does not know `--fast`*'

in_x 'for port in 1 80 65535; do is_port $port; done; ! is_port 0; ! is_port 65536; ! is_port 08; ! is_port ""'
expect "ports are numbers from 1 to 65535" 0 ''

in_x 'UP_LITE=--lite UP_HTTP=8080; adapted_platform_file platforms/ytempire/mainstay.yaml |
  { diff platforms/ytempire/mainstay.yaml - || true; } | grep "^[<>]"'
expect "--lite and --http change the production environment and nothing else" 0 \
  '< *profiles: \[full\]*< *edge: {http: 80}*> *profiles: \[\]*> *edge: {http: 8080}'

in_x 'UP_LITE=--lite UP_HTTP=; adapted_platform_file /dev/null'
expect "a platform file without the place to change is an error" 1 '*has no production environment*'

in_x 'with_docker() { echo ytempire-production_pgdata; }; PLATFORM=/nonexistent; check_data_has_its_secrets'
expect "data whose passwords are gone is told before it fails service by service" 1 \
  '*data of an earlier clone*put that clone*.env into /nonexistent*docker volume rm ytempire-production_pgdata*'

in_x 'with_docker() { :; }; PLATFORM=/nonexistent; check_data_has_its_secrets'
expect "without data nothing is missing" 0 ''
