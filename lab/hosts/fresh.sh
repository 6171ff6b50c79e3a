#!/usr/bin/env bash
# `./x up`, twice, and `./x down` on a machine with nothing but a Rust toolchain: a bare Debian in a container, the
# last commit, a Docker Engine of its own. Takes as long as a first run takes: ten minutes and more.
#
#   lab/hosts/fresh.sh [--user] [./x up's options]     --user: as a person with sudo instead of root
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=lab/images/build.lib.sh
. ../images/build.lib.sh
# shellcheck source=lab/hosts/host.lib.sh
. ./host.lib.sh

HOST=mainstay-lab-fresh
# No systemd, and no package beyond Debian's smallest set.
HOST_IMAGE=debian:bookworm-slim
HOST_COMMAND="sleep infinity"
WHO=root
if [ "${1:-}" = --user ]; then
    WHO=person
    shift
fi

# as_who COMMAND…: in the checkout, as who tries it.
as_who() {
    docker exec --user "$WHO" --workdir /srv/mainstay --env "HOME=$(who_home)" --env TERM=dumb "$HOST" "$@"
}

who_home() { if [ "$WHO" = root ]; then printf /root; else printf '/home/%s' "$WHO"; fi; }

# The toolchain is lent by this machine, and so are its certificate authorities, since it may have some of its own.
arrive() {
    local sysroot authorities="${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" lent=/opt/authorities.crt
    sysroot="$(rustc --print sysroot)"
    host_start "$HOST" --init --volume "$sysroot:/opt/rust:ro" --volume "$authorities:$lent:ro" \
        --env "PATH=/opt/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
        --env "SSL_CERT_FILE=$lent" --env "PIP_CERT=$lent"
    on "$HOST" mkdir -p /srv/mainstay
    git -C ../.. archive HEAD | docker exec -i "$HOST" tar -x -C /srv/mainstay
    [ "$WHO" != root ] || return 0
    on "$HOST" sh -c 'apt-get update -qq && apt-get install -y -qq sudo >/dev/null'
    on "$HOST" useradd --create-home --shell /bin/bash person
    on "$HOST" sh -c 'echo "person ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/person && chown -R person /srv/mainstay'
}

# answers WHAT PATH TEXT: asked inside the host, with what a bare machine has.
answers() {
    on "$HOST" bash -c 'exec 3<>/dev/tcp/127.0.0.1/80 && printf "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n" "$1" >&3 && cat <&3' \
        sh "$2" | grep -q "$3" || die "$1 does not answer"
    say "PASS  $1 answers"
}

timed() {
    local started=$SECONDS
    "$@"
    say "-- $(printf '%s ' "${@:2}")took $((SECONDS - started)) s"
}

trap 'host_remove "$HOST"' EXIT
host_remove "$HOST"
arrive
timed as_who ./x up "$@"
answers "the front page" / "200 OK"
answers "the api" /version build
timed as_who ./x up "$@"
timed as_who ./x down --data
[ -z "$(as_who sudo -n docker ps -q 2>/dev/null || on "$HOST" docker ps -q)" ] || die "containers are left after ./x down"
say "PASS  nothing runs after ./x down"
