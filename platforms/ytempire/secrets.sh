#!/usr/bin/env bash
# Write the secrets of one environment, once: secrets.sh [ENVIRONMENT]
#
# `production` (the default) is .env, another one is .env.NAME. What is already in
# the file stays as it is; only what is missing is added. Mode 0600, ignored by Git.
set -euo pipefail
cd "$(dirname "$0")"

environment="${1:-production}"
[[ "$environment" =~ ^[a-z][a-z0-9-]*$ ]] || { echo "usage: secrets.sh [ENVIRONMENT]" >&2; exit 2; }
file=.env
[ "$environment" = production ] || file=".env.$environment"

umask 077
next="$(mktemp "$file.XXXXXX")"
trap 'rm -f "$next"' EXIT
[ ! -e "$file" ] || cat "$file" > "$next"

added=()
add() {
    grep -q "^$1=." "$next" && return
    sed -i "/^$1=$/d" "$next"
    printf '%s=%s\n' "$1" "$2" >> "$next"
    added+=("$1")
}
random() { head -c "$1" /dev/urandom | od -An -tx1 | tr -d ' \n'; }

add POSTGRES_PASSWORD "$(random 24)"
add REDIS_PASSWORD "$(random 24)"
add JWT_SECRET "$(random 32)"
add SERVICE_TOKEN "$(random 32)"
add WEBHOOK_TOKEN "$(random 24)"
add N8N_ENCRYPTION_KEY "$(random 24)"
add INITIAL_ADMIN_EMAIL admin@ytempire.localhost
add INITIAL_ADMIN_PASSWORD "$(random 12)"

chmod 0600 "$next"
if [ "${#added[@]}" -eq 0 ]; then
    echo "$file  complete" >&2
else
    mv "$next" "$file"
    echo "$file  written: ${added[*]}" >&2
fi
