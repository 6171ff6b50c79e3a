#!/usr/bin/env bash
# Mainstay on a server where systemd runs: units, restarts after a kill, a reboot, an upgrade, the end.
#
#   MAINSTAY=<binary> TESTAPP=<static test application> lab/hosts/systemd.sh
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=lab/images/build.lib.sh
. ../images/build.lib.sh
# shellcheck source=lab/hosts/host.lib.sh
. ./host.lib.sh

HOST=mainstay-lab-systemd
passed=0

ok() {
    passed=$((passed + 1))
    printf 'PASS  %s\n' "$*"
}

finish() {
    local status=$?
    if [ "$status" -ne 0 ]; then
        say "the host's last words:"
        on "$HOST" journalctl --no-pager -n 30 -u mainstay-agent -u mainstay-edge >&2 || true
    fi
    host_remove "$HOST"
    printf 'systemd: %s passed, %s failed\n' "$passed" "$((status != 0))"
}

mainstay() { on "$HOST" sh -c "cd /srv/shop && mainstay $*"; }
page() { on "$HOST" curl --silent --fail --max-time 2 http://127.0.0.1:8080/; }
serves() { [[ $(page) == *"$1"* ]]; }
pid_of() { on "$HOST" systemctl show --property MainPID --value "mainstay-$1"; }
is_active() { on "$HOST" systemctl is-active --quiet "mainstay-$1"; }

# Another process of the unit than before runs.
is_another() {
    local now
    now="$(pid_of "$1")"
    [ "$now" != 0 ] && [ "$now" != "$2" ] && is_active "$1"
}

host_up() {
    host_remove "$HOST"
    host_start "$HOST"
    until_true 60 "systemd in the host" on "$HOST" systemctl is-active --quiet multi-user.target
    until_true 60 "Docker in the host" on "$HOST" docker version
}

# Two builds of the test application, and a compose file.
furnish() {
    local context build
    context="$(mktemp -d)"
    docker cp "$MAINSTAY" "$HOST:/usr/local/bin/mainstay"
    on "$HOST" mkdir -p /usr/local/lib/docker/cli-plugins /srv/shop
    docker cp "$(compose_plugin)" "$HOST:/usr/local/lib/docker/cli-plugins/docker-compose"
    cp "$TESTAPP" "$context/app"
    for build in one two; do
        printf 'FROM scratch\nCOPY app /app\nENV BUILD=%s PORT=8000\nEXPOSE 8000\nCMD ["/app"]\n' "$build" \
            >"$context/Dockerfile"
        tar -C "$context" -c . | docker exec -i "$HOST" docker build -q -t "shop/api:$build" - >/dev/null
    done
    rm -rf "$context"
    docker exec -i "$HOST" tee /srv/shop/compose.yaml >/dev/null <<'YAML'
name: shop
services:
  api:
    image: shop/api:one
    expose: ["8000"]
    init: true
YAML
    docker exec -i "$HOST" tee /srv/shop/mainstay.yaml >/dev/null <<'YAML'
version: 1
platform: shop
environments:
  production:
    edge: {http: "127.0.0.1:8080"}
services:
  api: {route: /}
YAML
}

compose_plugin() {
    local folder
    for folder in /usr/local/lib/docker/cli-plugins /usr/libexec/docker/cli-plugins /usr/lib/docker/cli-plugins; do
        if [ -x "$folder/docker-compose" ]; then
            printf '%s' "$folder/docker-compose"
            return
        fi
    done
    die "no Compose plugin found on this machine"
}

first_deploy() {
    mainstay up --yes
    serves one || die "the first release does not serve: $(page)"
    ok "up brings the platform to life"
    is_active edge && is_active agent || die "the units do not run"
    on "$HOST" systemctl is-enabled --quiet mainstay-edge mainstay-agent || die "the units do not start at boot"
    ok "agent and edge are units that run and start at boot"
}

# killed UNIT SECONDS: SIGKILL, and how long until it is back.
killed() {
    local before
    before="$(pid_of "$1")"
    on "$HOST" kill -KILL "$before"
    until_true "$2" "the $1 comes back within $2 s" is_another "$1" "$before"
}

kills() {
    killed agent 10
    serves one || die "traffic suffers from the agent's death"
    until_true 20 "the new agent answers" mainstay status
    ok "a killed agent comes back, traffic goes on"
    local started
    started="$(date +%s%N)"
    killed edge 10
    until_true 10 "traffic after the edge's death" serves one
    ok "a killed edge serves its last snapshot again, $((($(date +%s%N) - started) / 1000000)) ms after the kill"
    mainstay deploy api --image shop/api:two --yes
    serves two || die "the second release does not serve"
    mainstay rollback api --yes
    serves one || die "the rollback does not serve"
    ok "deploy and rollback work after both deaths"
}

reboot() {
    docker restart --time 30 "$HOST" >/dev/null
    until_true 90 "traffic after a reboot, with nobody logged in" serves one
    until_true 30 "the agent after a reboot" mainstay status
    ok "after a reboot the platform serves again by itself"
}

# A unit file runs the new file at the same path; the agent replaces itself at the next command.
new_binary() {
    local before
    before="$(pid_of agent)"
    on "$HOST" sh -c 'cp /usr/local/bin/mainstay /usr/local/bin/mainstay.new && mv /usr/local/bin/mainstay.new /usr/local/bin/mainstay'
    mainstay up --yes
    is_another agent "$before" || die "the agent still runs the old file"
    serves one || die "traffic suffers from the agent's replacement"
    ok "a new binary replaces the agent at the next command, traffic goes on"
}

the_end() {
    mainstay stop
    ! is_active edge && ! is_active agent || die "units still run after stop"
    ! page >/dev/null || die "somebody still serves after stop"
    [ -n "$(on "$HOST" docker ps -q --filter label=dev.mainstay.service=api)" ] || die "stop took the containers, too"
    mainstay up --yes
    serves one || die "up does not bring back what stop ended"
    ok "stop ends both units and leaves the containers; up brings them back"
    mainstay down --yes
    [ -z "$(on "$HOST" docker ps -aq --filter label=dev.mainstay.service=api)" ] || die "down left containers"
    ok "down takes everything away"
}

[ -x "${MAINSTAY:-}" ] || die "set MAINSTAY to the binary"
[ -x "${TESTAPP:-}" ] || die "set TESTAPP to the static test application"
build_image "$HOST_IMAGE" systemd "$(docker image inspect -f '{{.Id}}' debian:bookworm-slim)"
trap finish EXIT
host_up
furnish
first_deploy
kills
reboot
new_binary
the_end
