#!/usr/bin/env bash
# Build the images of YTEMPIRE; what has not changed is not built again.
#
#   --version V   the tag and build id of backend and frontend (default: dev)
#   --lite        leave n8n out: it is the largest by far
#   --fault F     a backend that misbehaves on purpose, see backend/app/faults.py
#   --only NAME   one image: backend, frontend, postgres, redis or n8n
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=lab/images/build.lib.sh
. ../../lab/images/build.lib.sh

version=dev lite='' fault='' only=''
while [ $# -gt 0 ]; do
    case "$1" in
        --version) version="${2:?--version needs a value}"; shift ;;
        --fault) fault="${2:?--fault needs a value}"; shift ;;
        --only) only="${2:?--only needs a value}"; shift ;;
        --lite) lite=yes ;;
        *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
    shift
done

base="$(image_inputs mainstay/base:bookworm)"
node="$(image_inputs mainstay/node:24)"
[ -n "$base" ] && [ -n "$node" ] || die "run lab/images/base.sh first"

wanted() { [ -z "$only" ] || [ "$only" = "$1" ]; }

started=$SECONDS
if wanted postgres; then build_image ytempire/postgres:15 postgres "$base"; fi
if wanted redis; then build_image ytempire/redis:7 redis "$base"; fi
if wanted backend; then
    build_image "ytempire/backend:$version" backend "$base $version $fault" \
        --build-arg PIP_INDEX_URL --build-arg "BUILD_ID=$version" --build-arg "FAULT=$fault"
fi
if wanted frontend; then
    build_image "ytempire/frontend:$version" frontend "$base $node $version" \
        --build-arg NPM_CONFIG_REGISTRY --build-arg "BUILD_ID=$version"
fi
if [ -n "$lite" ]; then
    say "ytempire/n8n  left out"
elif wanted n8n; then
    build_image ytempire/n8n:1.123.81 n8n "$base $node" --build-arg NPM_CONFIG_REGISTRY
fi
say "images ready in $((SECONDS - started)) s"
