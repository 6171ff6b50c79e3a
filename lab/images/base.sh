#!/usr/bin/env bash
# Prepare the images everything else is built on. Safe to run again at any time.
#
#   debian:bookworm-slim    pulled where a registry answers, else debootstrapped
#   mainstay/base:bookworm  that, trimmed, with this host's certificate authorities
#   mainstay/node:24        that, with Node.js, to build front ends and run n8n
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=lab/images/build.lib.sh
. ./build.lib.sh

debian_image() {
    if docker image inspect debian:bookworm-slim >/dev/null 2>&1; then
        say "debian:bookworm-slim  present"
    elif timeout "${PULL_TIMEOUT:-60}" docker pull -q debian:bookworm-slim >/dev/null 2>&1; then
        say "debian:bookworm-slim  pulled"
    else
        say "debian:bookworm-slim  no registry answers, building it with debootstrap"
        debootstrap_image
    fi
}

debootstrap_image() {
    command -v debootstrap >/dev/null \
        || die "debootstrap is missing: apt-get install debootstrap"
    local root status=0
    root="$(mktemp -d -p "$(folder_for_devices)")"
    {
        debootstrap --variant=minbase bookworm "$root" >"$root.log" 2>&1 \
            && rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* \
            && tar -C "$root" --numeric-owner -c . \
            | docker import -c 'CMD ["bash"]' - debian:bookworm-slim >/dev/null
    } || status=$?
    [ "$status" -eq 0 ] || tail -n 20 "$root.log" >&2
    rm -rf "$root" "$root.log"
    [ "$status" -eq 0 ] || die "debian:bookworm-slim could not be built"
}

# A system's own folder needs device files, which careful servers forbid in /tmp.
folder_for_devices() {
    local folder probe
    for folder in "${TMPDIR:-/tmp}" /var/tmp /var/lib /root; do
        probe="$(mktemp -d -p "$folder" 2>/dev/null)" || continue
        if { mknod "$probe/null" c 1 3 && echo >"$probe/null"; } 2>/dev/null; then
            rm -rf "$probe"
            printf '%s' "$folder"
            return
        fi
        rm -rf "$probe"
    done
    die "no folder here allows device files, which building debian:bookworm-slim needs: set TMPDIR to one that does"
}

# The host's authorities go into a throw-away context, never into the repository.
base_context() {
    local bundle
    for bundle in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt \
        /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
        [ -n "$bundle" ] && [ -r "$bundle" ] && break
    done
    [ -r "$bundle" ] || die "no certificate bundle found on this host: set SSL_CERT_FILE"
    cp base/* "$1"/
    cp "$bundle" "$1/ca-bundle.crt"
}

debian_image
context="$(mktemp -d)"
trap 'rm -rf "$context"' EXIT
base_context "$context"
debian_id="$(docker image inspect -f '{{.Id}}' debian:bookworm-slim)"
build_image mainstay/base:bookworm "$context" "$debian_id"
build_image mainstay/node:24 node "$(image_inputs mainstay/base:bookworm)" \
    --build-arg PIP_INDEX_URL
