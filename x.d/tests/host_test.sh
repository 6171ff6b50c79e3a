# shellcheck shell=bash disable=SC2016 # commands are quoted for the shell that runs them
# Facts read from /proc, and how steps end.

cat >"$WORK/tcp" <<'TEXT'
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0
   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0
TEXT

in_x "listening_inode 80 $WORK/tcp"
expect "a listener is found by its port" 0 4711

in_x "listening_inode 8080 $WORK/tcp"
expect "a connection is not a listener" 0 ''

in_x "listening_inode 5 $WORK/tcp"
expect "a port is compared whole, not by its last digits" 0 ''

in_x 'version_at_least 1.95 1.95.0; version_at_least 1.95 1.100.1; ! version_at_least 1.95 1.94.1'
expect "versions are compared by number" 0 ''

in_x 'free=$(free_gb /nonexistent/below/root); [ "$free" -ge 0 ]'
expect "space is measured where a folder would be made" 0 ''

in_x 'trap report_broken_step EXIT; step "one" true; step "two" sh -c "exit 7"; echo never'
expect "a step that fails ends the run with its name and code" 7 \
  '-- one*one: 0.* s*-- two*x: stopped in step "two" (exit code 7)'

in_x 'trap report_broken_step EXIT; broken() { false; echo reached; }; step "inner" broken'
expect "a step stops at its first failing command" 1 '-- inner*stopped in step "inner"*'
if [[ $OUTPUT == *reached* ]]; then
  failed=$((failed + 1))
  printf 'FAILED: a step went on after a failing command\n'
fi

in_x 'PLATFORM=/nonexistent; verb_e2e'
expect "a missing end-to-end test fails loudly" 1 '*end-to-end test cannot run*'
