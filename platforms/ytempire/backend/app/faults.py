"""Faults on purpose: a test aid, so that a bad release can be deployed and judged.

`FAULT` is empty in every real image. A bad one is built with, for example,
`--build-arg BUILD_ID=v3 --build-arg FAULT=never-ready`, or `build.sh --fault`.

    crash                   exit with status 1 at start
    slow-start=SECONDS      start serving that much later
    wrong-port              serve on port 9999
    never-ready             serve, and answer 503 on /health/ready for ever
    oom                     take memory until the kernel ends the process
    errors=PERCENT          ready, then answer 500 on that share of /api requests
    slow=MILLISECONDS       ready, then answer every /api request that much later
    migration-fails         the migration step fails
    migration-slow=SECONDS  the migration step takes that much longer
"""

import os
import random
import sys
import time

DEFAULT_PORT = 8000
WRONG_PORT = 9999


def parse(value: str) -> tuple[str, float]:
    """`name` or `name=number`; an unknown name is refused, never ignored."""
    name, _, number = value.strip().partition("=")
    known = {line.split()[0].split("=")[0] for line in _table()}
    if name and name not in known:
        raise ValueError(f"FAULT={value!r} is unknown: use one of {', '.join(sorted(known))}")
    return name, float(number or 0)


def _table() -> list[str]:
    return [line for line in (__doc__ or "").splitlines() if line.startswith("    ")]


NAME, AMOUNT = parse(os.environ.get("FAULT", ""))


def before_serving() -> None:
    if NAME == "crash":
        print("FAULT=crash: the API ends here on purpose", file=sys.stderr)
        sys.exit(1)
    if NAME == "slow-start":
        time.sleep(AMOUNT)
    if NAME == "oom":
        taken = []
        while True:
            taken.append(bytearray(os.urandom(1 << 20)) * 64)


def port() -> int:
    return WRONG_PORT if NAME == "wrong-port" else DEFAULT_PORT


def never_ready() -> bool:
    return NAME == "never-ready"


def fails_now() -> bool:
    return NAME == "errors" and random.uniform(0, 100) < AMOUNT


def delay_seconds() -> float:
    return AMOUNT / 1000 if NAME == "slow" else 0.0


def during_migration() -> None:
    if NAME == "migration-slow":
        time.sleep(AMOUNT)
    if NAME == "migration-fails":
        raise RuntimeError("FAULT=migration-fails: this migration fails on purpose")
