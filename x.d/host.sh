# shellcheck shell=bash
# Facts of this machine, read from /proc and df, since a fresh system has no ss, lsof or jq.
# Each takes its source as a last argument for the tests.

# free_gb PATH: whole gigabytes free on the file system that holds PATH, or would hold it.
free_gb() {
  local path=$1
  while [ ! -e "$path" ]; do path=$(dirname "$path"); done
  df -Pk "$path" | awk 'NR == 2 { printf "%d", $4 / 1048576 }'
}

# listening_inode PORT [FILES…]: the socket inode of the listener on a TCP port, nothing when it is free.
listening_inode() {
  local hex
  hex=$(printf '%04X' "$1")
  shift
  [ $# -gt 0 ] || set -- /proc/net/tcp /proc/net/tcp6
  awk -v port=":$hex" '$4 == "0A" && substr($2, length($2) - 4) == port { print $10; exit }' "$@" 2>/dev/null
}

# port_holder PORT: "NAME (process PID)" of who listens there, "another process" when it cannot be seen.
port_holder() {
  local inode fd pid
  inode=$(listening_inode "$1")
  [ -n "$inode" ] || return 0
  fd=$(as_root find /proc/[0-9]*/fd -lname "socket:\[$inode\]" -print -quit 2>/dev/null) || true
  pid=${fd#/proc/}
  pid=${pid%%/*}
  if [ -n "$pid" ] && [ -r "/proc/$pid/comm" ]; then
    printf '%s (process %s)' "$(cat "/proc/$pid/comm")" "$pid"
  else
    printf 'another process'
  fi
}

init_is_systemd() { [ -d /run/systemd/system ]; }
