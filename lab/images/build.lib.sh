# Sourced by the image scripts: build an image only when its inputs changed.
# shellcheck shell=bash

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

INPUTS_LABEL=io.mainstay.inputs

# The label that says which inputs an image was built from; empty when absent.
image_inputs() {
    docker image inspect -f "{{index .Config.Labels \"$INPUTS_LABEL\"}}" "$1" 2>/dev/null || true
}

# The files of a build context. In a Git checkout only what Git would keep
# counts, so that build droppings (node_modules, caches) do not.
context_files() {
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files -z --cached --others --exclude-standard
    else
        find . -type f -print0
    fi | sort -zu
}

# One hash over the context: names, modes and contents.
context_hash() {
    (
        cd "$1" || exit
        context_files | xargs -0 stat -c '%a %n' 2>/dev/null || true
        context_files | xargs -0 sha256sum 2>/dev/null || true
    ) | sha256sum | cut -c1-24
}

# build_image TAG CONTEXT SALT [docker build arguments...]
# SALT is what else decides the result: the parent image, the build arguments.
build_image() {
    local tag="$1" context="$2" salt="$3" wanted started log
    shift 3
    wanted="$(printf '%s %s' "$(context_hash "$context")" "$salt" | sha256sum | cut -c1-24)"
    if [ "$(image_inputs "$tag")" = "$wanted" ]; then
        say "$tag  up to date"
        return 0
    fi
    log="$(mktemp)"
    started=$SECONDS
    say "$tag  building"
    if ! DOCKER_BUILDKIT="${DOCKER_BUILDKIT:-0}" docker build --tag "$tag" \
        --label "$INPUTS_LABEL=$wanted" "$@" "$context" >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        say "the whole log is in $log"
        die "$tag could not be built"
    fi
    rm -f "$log"
    say "$tag  built in $((SECONDS - started)) s, $(image_size "$tag")"
}

image_size() {
    docker image inspect -f '{{.Size}}' "$1" | awk '{printf "%d MB", $1 / 1000000}'
}
