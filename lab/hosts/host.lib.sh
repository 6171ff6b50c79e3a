# Sourced: a whole server in a container, with systemd and a Docker Engine of its own.
# shellcheck shell=bash

HOST_IMAGE=mainstay/lab-host:bookworm

# Everything but SYS_RESOURCE, which not every machine can give; Engine 20.10 does not know the newest three by name.
HOST_CAPABILITIES="SYS_ADMIN NET_ADMIN SYS_MODULE SYS_PTRACE SYS_NICE NET_RAW SYS_TIME IPC_LOCK MAC_ADMIN AUDIT_CONTROL
  DAC_READ_SEARCH LINUX_IMMUTABLE SYSLOG SYS_BOOT SYS_RAWIO NET_BROADCAST LEASE BLOCK_SUSPEND WAKE_ALARM AUDIT_READ
  SYS_PACCT SYS_TTY_CONFIG IPC_OWNER MAC_OVERRIDE"

# host_start NAME [docker run arguments...]: removed with host_remove. HOST_COMMAND: another process 1 than the image's.
host_start() {
    local name="$1" capability arguments=()
    shift
    for capability in $HOST_CAPABILITIES; do arguments+=(--cap-add "$capability"); done
    docker run --detach --name "$name" --hostname "$name" --label dev.mainstay.lab=host "${arguments[@]}" \
        --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined \
        --device-cgroup-rule 'a *:* rwm' --tmpfs /run --tmpfs /run/lock --tmpfs /tmp:exec \
        --volume /sys/fs/cgroup:/sys/fs/cgroup:rw --volume "$name-docker:/var/lib/docker" \
        "$@" "$HOST_IMAGE" ${HOST_COMMAND:-} >/dev/null
}

host_remove() {
    docker rm --force --volumes "$1" >/dev/null 2>&1 || true
    docker volume rm --force "$1-docker" >/dev/null 2>&1 || true
}

# on HOST COMMAND…: runs it there.
on() {
    local host="$1"
    shift
    docker exec "$host" "$@"
}

# until_true SECONDS WHAT COMMAND…: polls; dies with what it waited for.
until_true() {
    local deadline what
    deadline=$(($(date +%s) + $1))
    what="$2"
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$deadline" ] || die "waited in vain: $what"
        sleep 0.1
    done
}
