#!/usr/bin/env bash
# Use YTEMPIRE as a person does, in a real browser: log in, make a channel, queue
# a video, watch it; then queue one through n8n.
#
#   BASE_URL        the public address (default http://localhost)
#   N8N_URL         n8n's address; empty leaves its part out, and says so
#   ENV_FILE        where the login and the webhook token are (default ../.env)
#   CHROMIUM        the browser (default: chromium of this host, installed if missing)
#   SCREENSHOTS     where pictures go (default ./screenshots)
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
cd "$here"

if [ -z "${CHROMIUM:-}" ] && ! command -v chromium >/dev/null; then
    [ "$(id -u)" = 0 ] || { echo "error: chromium is missing: apt-get install chromium" >&2; exit 1; }
    apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >&2
fi
export CHROMIUM="${CHROMIUM:-$(command -v chromium)}"

if [ ! -e node_modules/playwright-core ]; then
    PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm install --no-save --no-audit --no-fund --silent
fi

env_file="${ENV_FILE:-../.env}"
value() { sed -n "s/^$1=//p" "$env_file" | tail -n 1; }
export EMAIL="${EMAIL:-$(value INITIAL_ADMIN_EMAIL)}"
export PASSWORD="${PASSWORD:-$(value INITIAL_ADMIN_PASSWORD)}"
export WEBHOOK_TOKEN="${WEBHOOK_TOKEN:-$(value WEBHOOK_TOKEN)}"
export BASE_URL="${BASE_URL:-http://localhost}" SCREENSHOTS="${SCREENSHOTS:-$here/screenshots}"
exec timeout "${LIMIT_SECONDS:-300}" node journey.mjs
