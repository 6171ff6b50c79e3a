#!/bin/sh
# Make the database cluster on the first start, then become PostgreSQL.
#
#   POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB   as in the usual image
#   POSTGRES_SHARED_BUFFERS                         a quarter of the memory limit by default
# Further settings: `command: [postgres, -c, name=value]`, or files in /etc/postgresql/conf.d.
set -eu
: "${POSTGRES_USER:=postgres}" "${POSTGRES_DB:=$POSTGRES_USER}"

memory_limit() {
    for file in /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; do
        [ -r "$file" ] && limit="$(cat "$file")" && [ "$limit" != max ] \
            && [ "${#limit}" -lt 16 ] && echo "$limit" && return
    done
    echo 1073741824
}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    : "${POSTGRES_PASSWORD:?must be set before the first start}"
    # A start that was interrupted leaves no version file: begin again from nothing.
    find "$PGDATA" -mindepth 1 -delete
    rm -rf "$PGDATA.new"
    umask 077
    printf '%s\n' "$POSTGRES_PASSWORD" > /tmp/password
    initdb --username="$POSTGRES_USER" --pwfile=/tmp/password --encoding=UTF8 \
        --locale=C.UTF-8 --auth=scram-sha-256 --data-checksums --pgdata="$PGDATA.new"
    rm /tmp/password
    if [ "$POSTGRES_DB" != postgres ]; then
        printf 'CREATE DATABASE "%s";\n' "$POSTGRES_DB" \
            | postgres --single -D "$PGDATA.new" postgres > /dev/null
    fi
    # The version file goes last: it is what says that the cluster is whole.
    ( cd "$PGDATA.new" && find . -mindepth 1 -maxdepth 1 ! -name PG_VERSION \
        -exec mv {} "$PGDATA"/ \; )
    mv "$PGDATA.new/PG_VERSION" "$PGDATA/PG_VERSION"
    rmdir "$PGDATA.new"
    sync
fi

: "${POSTGRES_SHARED_BUFFERS:=$(( $(memory_limit) / 4 / 1048576 ))MB}"
if [ "${1:-}" = postgres ]; then
    shift
    set -- postgres --config-file=/etc/postgresql/ytempire.conf \
        -c shared_buffers="$POSTGRES_SHARED_BUFFERS" "$@"
fi
exec "$@"
