"""One task: it notes that it began, works for a while, and notes that it ended."""

import json
import os
import socket
import time

import redis
from celery import Celery

BROKER = os.environ.get("BROKER", "redis://redis:6379/0")
app = Celery("app", broker=BROKER)
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)
notes = redis.Redis.from_url(BROKER.rsplit("/", 1)[0] + "/1")


def note(what: str, number: int) -> None:
    entry = {"task": number, "what": what, "at": time.time(), "build": os.environ.get("BUILD"), "host": socket.gethostname()}
    notes.rpush("notes", json.dumps(entry))


@app.task(name="work")
def work(number: int, seconds: float) -> None:
    note("began", number)
    time.sleep(seconds)
    note("ended", number)
