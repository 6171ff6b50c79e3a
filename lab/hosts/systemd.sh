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
  api: {route: /, soak: 0s}
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
    [ "$(program_of mainstay-edge)" = /var/lib/mainstay/bin/mainstay ] || die "the unit starts $(program_of mainstay-edge)"
    [ "$(on "$HOST" readlink /var/lib/mainstay/bin/mainstay)" = /usr/local/bin/mainstay ] ||
        die "a program of the system's own is not linked"
    ok "units start a program under the state folder, which leads to the installed one"
}

program_of() { on "$HOST" sh -c "sed -n 's/^ExecStart=\\([^ ]*\\).*/\\1/p' /etc/systemd/system/$1.service"; }
runs_of() { on "$HOST" readlink "/proc/$(pid_of "$1")/exe"; }

# A program of a clone, as README has it; the clone is cleared away afterwards, and all the same the units start.
clone() {
    local edge
    on "$HOST" sh -c 'mkdir -p /root/clone/target/release && cp /usr/local/bin/mainstay /root/clone/target/release/mainstay &&
        cd /srv/shop && /root/clone/target/release/mainstay up --yes'
    until_true 10 "the agent of the clone's program" agent_is_copy
    serves one || die "traffic suffers from another program"
    edge="$(pid_of edge)"
    on "$HOST" sh -c 'cd /srv/shop && /root/clone/target/release/mainstay upgrade && rm -rf /root/clone'
    until_true 10 "the edge of the clone's program" is_another edge "$edge"
    [ "$(runs_of edge)" = /var/lib/mainstay/bin/mainstay ] || die "the edge runs $(runs_of edge)"
    [ "$(program_of mainstay-edge)" = /var/lib/mainstay/bin/mainstay ] || die "the unit starts $(program_of mainstay-edge)"
    serves one || die "the edge of the clone's program does not serve"
    ok "a program of a clone is copied; edge, agent and units run the copy, and the clone may go"
}

agent_is_copy() { [ "$(runs_of agent)" = /var/lib/mainstay/bin/mainstay ]; }

# A second installation on the same server, with a state folder of its own.
other_root() {
    on "$HOST" mkdir -p /srv/other
    on "$HOST" sh -c 'sed "s/^name: shop/name: other/" /srv/shop/compose.yaml >/srv/other/compose.yaml &&
        sed "s/platform: shop/platform: other/; s/8080/8081/" /srv/shop/mainstay.yaml >/srv/other/mainstay.yaml &&
        cd /srv/other && MAINSTAY_ROOT=/srv/my-state mainstay up --yes'
    other_serves || die "the second installation does not serve"
    on "$HOST" systemctl is-enabled --quiet 'mainstay-edge-srv-my\x2dstate' 'mainstay-agent-srv-my\x2dstate' ||
        die "the second installation has no units: $(on "$HOST" ls /etc/systemd/system)"
    on "$HOST" sh -c 'cd /srv/other && mainstay --root /srv/my-state doctor' >/dev/null || die "doctor finds fault with it"
    ok "another state folder has units of its own"
}

other_serves() { on "$HOST" curl --silent --fail --max-time 2 --output /dev/null http://127.0.0.1:8081/; }

# The program of the units is gone, as it was in installations of before: doctor says it, and up puts it right.
gone_program() {
    on "$HOST" sed -i 's|^ExecStart=[^ ]*|ExecStart=/root/clone/target/release/mainstay|' /etc/systemd/system/mainstay-edge.service
    local said
    said="$(mainstay doctor || true)"
    [[ $said == *"FAIL  supervision"*"/root/clone/target/release/mainstay, which is gone"* ]] || die "doctor says: $said"
    mainstay up --yes
    mainstay doctor >/dev/null || die "doctor still finds fault: $(mainstay doctor)"
    [ "$(program_of mainstay-edge)" = /var/lib/mainstay/bin/mainstay ] || die "the unit starts $(program_of mainstay-edge)"
    serves one || die "traffic suffers from a unit that is written anew"
    ok "doctor finds a unit whose program is gone, and up puts it right"
}

# Somebody who may use Docker is told what else is needed, and changes nothing.
not_root() {
    on "$HOST" sh -c 'id dev >/dev/null 2>&1 || useradd --create-home --groups docker dev'
    local said
    said="$(on "$HOST" su dev -c 'cd /srv/shop && mainstay doctor' || true)"
    [[ $said == *"ok    Docker Engine"* && $said == *"FAIL  rights"*"needs root"* ]] || die "doctor says: $said"
    said="$(on "$HOST" su dev -c 'cd /srv/shop && mainstay up --yes; echo "code $?"' 2>&1)"
    [[ $said == *"root"*"code 4"* ]] || die "up says: $said"
    ok "a user of the group docker is told what up needs"
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
    killed_edge
    mainstay deploy api --image shop/api:two --yes
    serves two || die "the second release does not serve"
    mainstay rollback api --yes
    serves one || die "the rollback does not serve"
    ok "deploy and rollback work after both deaths"
}

# A unit restarts its process after 100 ms; a second is more than it may take.
killed_edge() {
    local gap
    gap="$(on "$HOST" bash -c '
        kill -KILL "$(systemctl show --property MainPID --value mainstay-edge)"
        began=$(date +%s%N)
        until curl --silent --fail --max-time 1 --output /dev/null http://127.0.0.1:8080/; do
            [ $((($(date +%s%N) - began) / 1000000)) -lt 10000 ] || break
        done
        echo $((($(date +%s%N) - began) / 1000000))')"
    [ "$gap" -lt 1000 ] || die "the killed edge served again only after $gap ms"
    serves one || die "the killed edge serves something else"
    ok "a killed edge serves its last snapshot again, $gap ms after the kill"
}

# Asks all the time, from inside the host, and writes what fails into a file; ended by load_end.
load_begin() {
    on "$HOST" rm -f /tmp/load-stop /tmp/load-failed /tmp/load-count
    docker exec --detach "$HOST" bash -c '
        asked=0
        until [ -e /tmp/load-stop ]; do
            curl --silent --show-error --fail --max-time 5 --output /dev/null http://127.0.0.1:8080/ 2>>/tmp/load-failed || true
            asked=$((asked + 1))
        done
        echo $asked >/tmp/load-count'
}

load_end() {
    on "$HOST" touch /tmp/load-stop
    until_true 10 "the load's end" on "$HOST" test -e /tmp/load-count
    ! on "$HOST" test -s /tmp/load-failed || die "requests failed: $(on "$HOST" head -n 3 /tmp/load-failed)"
    local asked
    asked="$(on "$HOST" cat /tmp/load-count)"
    [ "$asked" -gt 20 ] || die "the load has hardly run: $asked requests"
    printf '%s' "$asked"
}

is_main() { [ "$(pid_of edge)" = "$1" ] && is_active edge; }
lives() { on "$HOST" kill -0 "$1"; }

# The edge's own answer to who it is, beside systemd's.
edge_pid() {
    on "$HOST" curl --silent --unix-socket /var/lib/mainstay/run/edge.sock http://edge/v1/status |
        sed -n 's/.*"pid":\([0-9]*\).*/\1/p'
}

upgrades() {
    local first second third asked
    first="$(pid_of edge)"
    load_begin
    mainstay upgrade
    second="$(edge_pid)"
    [ "$second" != "$first" ] || die "the same process still serves"
    until_true 5 "systemd to know the new edge" is_main "$second"
    until_true 30 "the old edge to leave" not lives "$first"
    is_main "$second" || die "the unit did not outlive its first process: main is $(pid_of edge), not $second"
    # As `systemctl reload` does it, and at once again.
    on "$HOST" systemctl reload mainstay-edge
    until_true 10 "the edge that reload started" is_another edge "$second"
    third="$(edge_pid)"
    mainstay upgrade
    until_true 5 "systemd to know the newest edge" is_another edge "$third"
    is_main "$(edge_pid)" || die "systemd takes $(pid_of edge) for the edge, and $(edge_pid) answers"
    asked="$(load_end)"
    [ "$(on "$HOST" systemctl show --property NRestarts --value mainstay-edge)" = "$1" ] ||
        die "systemd restarted the edge during an upgrade"
    ok "three upgrades: the unit's main process is right each time, and none of $asked requests failed"
    killed_edge
}

not() { ! "$@"; }

reboot() {
    docker restart --time 30 "$HOST" >/dev/null
    until_true 90 "traffic after a reboot, with nobody logged in" serves one
    until_true 30 "the agent after a reboot" mainstay status
    until_true 60 "the second installation after a reboot" other_serves
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
    on "$HOST" sh -c 'cd /srv/other && mainstay --root /srv/my-state down --yes && mainstay --root /srv/my-state stop'
    ! other_serves || die "the second installation still serves after stop"
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
upgrades "$(on "$HOST" systemctl show --property NRestarts --value mainstay-edge)"
other_root
not_root
clone
reboot
new_binary
gone_program
the_end
