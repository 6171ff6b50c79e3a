# shellcheck shell=bash
# Docker Engine: whether it is there, which packages bring it, and starting it.

# Machine-wide, since one dockerd serves every checkout.
DOCKERD_STATE=${DOCKERD_STATE:-/var/lib/mainstay-dockerd}

docker_answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }
docker_answers_root() { docker_answers || { can_be_root && as_root docker version >/dev/null 2>&1; }; }

# missing_engine: packages still to install for a Docker Engine, one a line.
# An engine that answers, wherever it came from, needs nothing.
missing_engine() {
  ! docker_answers || return 0
  command -v dockerd >/dev/null || [ -x /usr/sbin/dockerd ] || say docker.io
  command -v iptables >/dev/null || [ -x /usr/sbin/iptables ] || say iptables
  # Since Debian 13 the client is a package of its own, and only recommended.
  if ! command -v docker >/dev/null && [ -n "$(candidate_version docker-cli)" ]; then say docker-cli; fi
}

start_docker() {
  if docker_answers_root; then
    note "Docker $(with_docker docker version --format '{{.Server.Version}}') answers"
    return 0
  fi
  if init_is_systemd; then
    as_root systemctl enable --now docker
  else
    start_dockerd_alone
  fi
  wait_for_docker
}

# Without an init system nobody else starts it: one detached process, its log in the state folder.
start_dockerd_alone() {
  note "no init system here: starting dockerd, log in $DOCKERD_STATE/dockerd.log"
  as_root mkdir -p "$DOCKERD_STATE"
  mount_cgroups
  # shellcheck disable=SC2016 # expanded by the inner shell, which has the rights
  as_root env "PATH=$PATH:/usr/sbin:/sbin" sh -c \
    'setsid dockerd >>"$1/dockerd.log" 2>&1 </dev/null & echo $! >"$1/dockerd.pid"' \
    dockerd "$DOCKERD_STATE"
}

# Where control groups are of version 1, Docker measures a container, and learns that its memory ran out, only when
# every hierarchy that the kernel has in use is mounted. An init system does that; here nobody has.
mount_cgroups() {
  local controllers place
  ! is_cgroup2 || return 0
  while read -r controllers; do
    place=$CGROUP_ROOT/${controllers#name=}
    ! is_mounted "$place" || continue
    if ! as_root mkdir -p "$place" || ! as_root mount -t cgroup -o "$controllers" cgroup "$place"; then
      warn "control group $controllers is not mounted: Docker may report no use of memory and processor"
    fi
  done < <(unmounted_cgroups)
}

CGROUP_ROOT=${CGROUP_ROOT:-/sys/fs/cgroup}
is_cgroup2() { [ -e "$CGROUP_ROOT/cgroup.controllers" ] || [ ! -e /proc/cgroups ]; }
is_mounted() { mountpoint -q "$1" 2>/dev/null; }

# Hierarchies in use first (by the names they go by together), then controllers that none has taken yet.
unmounted_cgroups() {
  awk -F: '$2 != "" { print $2 }' /proc/self/cgroup
  awk '!/^#/ && $2 == 0 && $4 == 1 { print $1 }' /proc/cgroups
}

wait_for_docker() {
  local tries=0
  until docker_answers_root; do
    tries=$((tries + 1))
    if [ "$tries" -gt 120 ] || dockerd_has_ended; then explain_silent_docker; fi
    sleep 0.5
  done
  note "Docker $(with_docker docker version --format '{{.Server.Version}}') answers"
}

dockerd_has_ended() {
  [ -e "$DOCKERD_STATE/dockerd.pid" ] && ! init_is_systemd && [ ! -d "/proc/$(cat "$DOCKERD_STATE/dockerd.pid")" ]
}

explain_silent_docker() {
  if init_is_systemd; then
    die "Docker does not answer" "see: journalctl -u docker"
  fi
  as_root grep -v level=info "$DOCKERD_STATE/dockerd.log" | tail -n 8 >&2 || true
  die "Docker does not answer" "the whole log is in $DOCKERD_STATE/dockerd.log"
}
