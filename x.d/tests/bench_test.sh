# shellcheck shell=bash disable=SC2016 # commands are quoted for the shell that runs them
# What the benchmarks of the edge need, and how they read their load tools.

in_x 'INSTALLED="python3 openssl wrk"; has_program() { false; }; missing_peers'
expect "what the benchmarks of the edge lack is named by its package" 0 $'nghttp2-client\nnginx-light'

in_x 'ulimit() { printf 20000; }; warn_of_few_files'
expect "too few open files for all WebSockets are said before the run" 0 'x: at most 20000 open files here*'

in_x 'ulimit() { printf unlimited; }; warn_of_few_files; ulimit() { printf 65536; }; warn_of_few_files'
expect "enough open files are nothing to speak of" 0 ''

in_x 'X_CACHE=$(mktemp -d); fetch_peer() { die "no archive answers"; }; fetch_peers'
expect "a proxy that cannot be had stops nothing and is named" 0 \
  '*caddy could not be had: it will be reported as missing*traefik could not be had: it will be reported as missing'

in_x 'unset -f command; python3 -m unittest discover --start-directory bench/edge'
expect "the load tools' output is read as it is meant" 0 '*OK'

in_x 'unset -f command; cd bench/conformance; python3 -m unittest test_judge'
expect "conformance cases are judged as they are meant" 0 '*OK'

in_x 'unset -f command; cd bench/soak; python3 -m unittest test_verdict'
expect "a leak is told from a level load" 0 '*OK'

in_x 'verb_fuzz --seconds soon'
expect "fuzzing takes its time as a number" 2 '*--seconds takes a number*'

in_x 'verb_fuzz nobody'
expect "a fuzz target that is not there is named" 2 '*no fuzz target*nobody*'

in_x 'for target in $(fuzz_targets); do [ "$target" = platform ] || [ -n "$(ls "fuzz/corpus/$target")" ] || say "$target"; done'
expect "every fuzz target has seeds" 0 ''
