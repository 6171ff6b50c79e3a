#!/usr/bin/env bash
# The backend's tests, in an image made of the real one plus the test tools.
#
#   test.sh                  what needs nothing but the image
#   test.sh URL [NETWORK]    also against the platform that answers at URL,
#                            from the Docker network NETWORK (default: the host's)
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=lab/images/build.lib.sh
. ../../lab/images/build.lib.sh

image="ytempire/backend:${YTEMPIRE_VERSION:-dev}"
build_image ytempire/backend-test:dev backend "$(image_inputs "$image")" \
    --file backend/Dockerfile.test --build-arg "IMAGE=$image" --build-arg PIP_INDEX_URL
timeout 300 docker run --rm --network none ytempire/backend-test:dev
[ $# -gt 0 ] || exit 0
timeout 300 docker run --rm --network "${2:-host}" --env-file "${ENV_FILE:-.env}" \
    --env "YTEMPIRE_URL=$1" ytempire/backend-test:dev python -m pytest tests/live
