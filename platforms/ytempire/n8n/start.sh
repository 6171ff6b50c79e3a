#!/bin/sh
# Import the caller's token and the workflows when they changed, then become n8n.
#
# The command line of n8n takes tens of seconds per call on a small host, so the
# hash of what was imported last is kept beside its database.
set -eu
: "${WEBHOOK_TOKEN:?must be set}" "${YTEMPIRE_SERVICE_TOKEN:?must be set}"
n8n=/opt/n8n/node_modules/.bin/n8n
workflows=/opt/ytempire/workflows
marker="$N8N_USER_FOLDER/imported.sha256"
wanted="$({ cat "$workflows"/*.json; echo "$WEBHOOK_TOKEN"; } | sha256sum | cut -d' ' -f1)"

import() {
    umask 077
    credentials="$(mktemp)"
    cat > "$credentials" <<JSON
[{"id": "webhookCaller001", "name": "Who may call the webhooks", "type": "httpHeaderAuth",
  "data": {"name": "X-Webhook-Token", "value": "$WEBHOOK_TOKEN"}}]
JSON
    "$n8n" import:credentials --input="$credentials"
    rm "$credentials"
    "$n8n" import:workflow --separate --input="$workflows"
    # An import leaves a workflow inactive; its id is the name of its file.
    for file in "$workflows"/*.json; do
        "$n8n" update:workflow --id="$(basename "$file" .json)" --active=true
    done
    printf '%s\n' "$wanted" > "$marker"
}

[ "$(cat "$marker" 2>/dev/null || true)" = "$wanted" ] || import
exec "$n8n" start
