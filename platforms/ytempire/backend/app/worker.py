"""Start a worker: `python -m app.worker`. The first process of its container.

On SIGTERM it takes no further message, finishes what it renders, and ends.
Threads are enough: the work is done by ffmpeg, a process of its own.
"""

import os

import redis
from celery.signals import setup_logging, worker_ready, worker_shutting_down

from app import logs, sidecar, tasks
from app.queue import celery, store

assert tasks  # registers what a worker can do
state = {"ready": False}


@setup_logging.connect
def keep_our_logging(**_: object) -> None:
    """Celery leaves logging alone when this signal has a receiver."""


@worker_ready.connect
def on_ready(**_: object) -> None:
    state["ready"] = True


@worker_shutting_down.connect
def on_shutdown(**_: object) -> None:
    state["ready"] = False


def check() -> str | None:
    if not state["ready"]:
        return "not taking jobs"
    try:
        store.ping()
    except redis.RedisError as problem:
        return f"redis does not answer: {type(problem).__name__}"
    return None


def main() -> None:
    logs.log_as_json()
    sidecar.start(check)
    concurrency = os.environ.get("WORKER_CONCURRENCY", "2")
    celery.worker_main(
        ["worker", "--pool=threads", f"--concurrency={concurrency}", "--without-gossip"]
        + ["--without-mingle", "--loglevel=INFO"]
    )


if __name__ == "__main__":
    main()
