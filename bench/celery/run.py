#!/usr/bin/env python3
"""Twenty deploys of a Celery worker while tasks are queued at a steady rate: none may be lost, none may run twice.

Each task notes in Redis that it began and that it ended. Beside it the same worker is replaced by plain
`docker compose up -d`, once with the grace of its compose file and once with one that is longer than every task.

    MAINSTAY=<binary> bench/celery/run.py [--deploys 20] [--rate 8] [--json FILE]

Needs Docker, celery and redis (the Python packages). Everything is on 127.0.0.1 and is taken away afterwards.
"""
import argparse
import collections
import json
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

import redis
from celery import Celery

HERE = pathlib.Path(__file__).resolve().parent
# A task takes a fraction of a second; one in twelve takes up to five.
LONG_ONE_IN, SHORT, LONG = 12, (0.05, 0.4), (2.0, 5.0)
# After the last deploy everything that is queued must have been run within this.
PATIENCE = 90


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def say(text):
    print(f"  {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def build_images():
    def build(tag, folder, *arguments):
        words = ["docker", "build", "--quiet", "--tag", tag, *arguments, str(HERE / folder)]
        subprocess.run(words, check=True, capture_output=True, env={**os.environ, "DOCKER_BUILDKIT": "0"})

    build("mainstay-bench/celery-redis:7", "redis")
    for tag in ("one", "two"):
        build(f"mainstay-bench/celery-worker:{tag}", "image", "--build-arg", f"BUILD={tag}", "--build-arg", "PIP_INDEX_URL")


class Place:
    """A folder with the compose file, and how its worker is replaced."""

    def __init__(self, folder, name, grace=None):
        self.dir, self.name = pathlib.Path(folder, name), name
        self.dir.mkdir()
        self.redis = free_port()
        text = (HERE / "platform/compose.yaml").read_text()
        text = text.replace("@PROJECT@", f"bench-{name}").replace("@REDIS@", str(self.redis))
        if grace:
            text = text.replace("stop_grace_period: 2s", f"stop_grace_period: {grace}")
        (self.dir / "compose.yaml").write_text(text)

    def run(self, words, **variables):
        done = subprocess.run(words, cwd=self.dir, env={**os.environ, **variables}, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr


class Compose(Place):
    def deploy(self, tag):
        self.run(["docker", "compose", "up", "-d", "--wait"], TAG=tag)

    def end(self):
        subprocess.run(["docker", "compose", "down", "--timeout", "1"], cwd=self.dir, capture_output=True)


class Mainstay(Place):
    def __init__(self, folder, name, binary):
        super().__init__(folder, name)
        self.words = [binary, "--root", str(self.dir / "root")]
        text = (HERE / "platform/mainstay.yaml").read_text().replace("@HTTP@", str(free_port()))
        (self.dir / "mainstay.yaml").write_text(text)
        self.is_up = False

    def deploy(self, tag):
        if not self.is_up:
            self.run([*self.words, "up", "--yes"], TAG=tag)
            self.is_up = True
        else:
            self.run([*self.words, "deploy", "worker", "--image", f"mainstay-bench/celery-worker:{tag}", "--yes"])

    def end(self):
        for words in (["down", "--yes", "--volumes"], ["stop"]):
            subprocess.run([*self.words, *words], cwd=self.dir, capture_output=True)


class Producer(threading.Thread):
    """Queues tasks by the clock until it is told to stop."""

    def __init__(self, port, rate):
        super().__init__(daemon=True)
        self.app, self.rate, self.stop, self.sent = Celery(broker=f"redis://127.0.0.1:{port}/0"), rate, threading.Event(), 0
        self.dice = random.Random(7)

    def run(self):
        began = time.monotonic()
        while not self.stop.is_set():
            time.sleep(max(0.0, began + self.sent / self.rate - time.monotonic()))
            bounds = LONG if self.dice.randrange(LONG_ONE_IN) == 0 else SHORT
            self.app.send_task("work", args=[self.sent, self.dice.uniform(*bounds)])
            self.sent += 1


def notes(port):
    return [json.loads(line) for line in redis.Redis(port=port, db=1).lrange("notes", 0, -1)]


def settle(port, sent):
    """Waits until every task has ended, or nothing happens any more."""
    last, since = -1, time.monotonic()
    while time.monotonic() - since < PATIENCE / 3:
        found = notes(port)
        if sum(note["what"] == "ended" for note in found) >= sent:
            return
        if len(found) != last:
            last, since = len(found), time.monotonic()
        time.sleep(0.5)


def measure(place, deploys, rate):
    """Rows of one way to deploy: what was queued, what was lost, what ran twice."""
    place.deploy("one")
    producer = Producer(place.redis, rate)
    producer.start()
    times = []
    try:
        time.sleep(2)
        for number in range(deploys):
            began = time.monotonic()
            place.deploy(("two", "one")[number % 2])
            times.append(time.monotonic() - began)
            # What piled up meanwhile is worked off, so that each deploy meets a worker with full hands and a short queue.
            time.sleep(2.5)
    finally:
        producer.stop.set()
        producer.join()
    settle(place.redis, producer.sent)
    found = notes(place.redis)
    began = collections.Counter(note["task"] for note in found if note["what"] == "began")
    ended = collections.Counter(note["task"] for note in found if note["what"] == "ended")
    workers = len({note["host"] for note in found})
    lost = [task for task in range(producer.sent) if not ended[task]]
    twice = [task for task, count in began.items() if count > 1]
    say(f"{place.name}: {deploys} deploys of {min(times):.1f} to {max(times):.1f} s, {producer.sent} tasks on {workers} workers, "
        f"{len(lost)} lost, {len(twice)} run twice")
    if workers != deploys + 1:
        raise SystemExit(f"tasks ran on {workers} workers, and there were {deploys + 1}")
    return {"queued": producer.sent, "ended": sum(ended.values()), "lost": len(lost), "twice": len(twice),
            "slowest": max(times)}


def row(name, value, unit, target=None, better="lower"):
    met = None if target is None else (value <= target if better == "lower" else value >= target)
    return {"name": name, "value": value, "unit": unit, "target": target, "met": met, "runs": 1, "spread": [value, value]}


def rows(name, counts, is_ours):
    return [row(f"{name}: tasks queued", counts["queued"], "tasks"),
            row(f"{name}: tasks that ended", counts["ended"], "tasks"),
            row(f"{name}: tasks lost", counts["lost"], "tasks", 0 if is_ours else None),
            row(f"{name}: tasks run twice", counts["twice"], "tasks", 0 if is_ours else None),
            row(f"{name}: slowest deploy", round(counts["slowest"], 1), "s")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deploys", type=int, default=20)
    parser.add_argument("--rate", type=float, default=8, help="tasks a second")
    parser.add_argument("--ways", default="mainstay,compose,patient", help="which of these, separated by commas")
    parser.add_argument("--json", help="file for the rows")
    args = parser.parse_args()
    binary = os.path.abspath(os.environ["MAINSTAY"])
    build_images()
    folder = tempfile.mkdtemp(prefix="bench-celery-")
    name = f"celery{os.getpid()}"
    places = {"mainstay": ("mainstay, drain-first", lambda: Mainstay(folder, name, binary)),
              "compose": ("docker compose up -d", lambda: Compose(folder, f"{name}-compose")),
              "patient": ("docker compose up -d, stop_grace_period 60s", lambda: Compose(folder, f"{name}-patient", "60s"))}
    found = []
    try:
        for label, make in (places[way] for way in args.ways.split(",")):
            place = make()
            try:
                counts = measure(place, args.deploys, args.rate)
            finally:
                place.end()
            found += rows(label, counts, "mainstay" in label)
            if label == "docker compose up -d":
                found.append(row(f"{label}: the control loses some, or this run proves nothing", counts["lost"], "tasks", 1,
                                 better="higher"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for r in found:
        verdict = "" if r["met"] is None else ("  yes" if r["met"] else "  NO")
        print(f"{r['name']:76} {r['value']:>8} {r['unit']}{verdict}")
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps({"bench": "celery", "rows": found}, indent=2) + "\n")
    sys.exit(any(r["met"] is False for r in found))


if __name__ == "__main__":
    main()
