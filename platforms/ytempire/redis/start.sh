#!/bin/sh
# Become Redis. The password and the memory limit come from the environment, by a
# private file: arguments could be read in the process list.
set -eu
: "${REDIS_PASSWORD:?must be set}"
umask 077
{
    cat /etc/redis.conf
    echo "requirepass $REDIS_PASSWORD"
    [ -z "${REDIS_MAXMEMORY:-}" ] || echo "maxmemory $REDIS_MAXMEMORY"
} > /tmp/redis.conf
exec redis-server /tmp/redis.conf
