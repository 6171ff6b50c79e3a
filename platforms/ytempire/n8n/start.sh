#!/bin/sh
# Import and activate the workflows when they changed, then become n8n.
#
# The command line of n8n takes tens of seconds per call on a small host, so the
# hash of what was imported last is kept beside its database.
set -eu
n8n=/opt/n8n/node_modules/.bin/n8n
workflows=/opt/ytempire/workflows
marker="$N8N_USER_FOLDER/imported-workflows.sha256"
wanted="$(cat "$workflows"/*.json | sha256sum | cut -d' ' -f1)"

if [ "$(cat "$marker" 2>/dev/null || true)" != "$wanted" ]; then
    "$n8n" import:workflow --separate --input="$workflows"
    # An import leaves a workflow inactive; its id is the name of its file.
    for file in "$workflows"/*.json; do
        "$n8n" update:workflow --id="$(basename "$file" .json)" --active=true
    done
    printf '%s\n' "$wanted" > "$marker"
fi
exec "$n8n" start
