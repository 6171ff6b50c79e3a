#!/usr/bin/env python3
"""How long each way to replace a service takes, phase by phase, beside Docker Compose and Docker Swarm.

    MAINSTAY=<binary> TESTAPP=<static binary> bench/strategies/run.py [--runs 5] [--json FILE]

The phases are those of Mainstay's own report (`deploy --json`); `command` is the whole command from outside.
Compose does the same change with `up -d --wait`, Swarm with `service update`, where this machine can be a swarm.
"""
import argparse
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
IMAGE = "mainstay-bench/strategies"
HEALTH = "[CMD, bash, -c, \"exec 3<>/dev/tcp/127.0.0.1/8080; printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3; head -1 <&3 | grep -q ' 200 '\"]"
WORKER = "trap 'exit 0' TERM; while true; do sleep 0.1; done"
WEB = "port: 8080, health: {path: /health, interval: 50ms}, drain: 2s, drain_websocket: 2s"
# Name, what Compose says of the service, what the platform file says, copies.
KINDS = {
    "blue-green": ("expose: ['8080']", WEB, 1),
    "rolling": ("expose: ['8080']\n    deploy: {replicas: 3}", WEB, 3),
    "exclusive": ("expose: ['8080']", WEB, 1),
    "drain-first": (f"command: [sh, -c, \"{WORKER}\"]", "health: {check: docker, interval: 50ms}", 1),
    "job": ("command: [sh, -c, 'sleep 0.2']\n    restart: 'no'", "", 1),
}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def say(text):
    print(f"  {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def call(*words, cwd=None, **variables):
    began = time.monotonic()
    done = subprocess.run(words, cwd=cwd, env={**os.environ, **variables}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout, (time.monotonic() - began) * 1000


def build_images(testapp, folder):
    context = pathlib.Path(folder, "image")
    shutil.copytree(HERE / "image", context)
    shutil.copy(testapp, context / "testapp")
    for tag in ("one", "two"):
        call("docker", "build", "--quiet", "--tag", f"{IMAGE}:{tag}", "--build-arg", f"BUILD={tag}", str(context),
             DOCKER_BUILDKIT="0")


def compose_file(kind, name):
    service = KINDS[kind][0]
    check = "" if kind == "job" else f"    healthcheck: {{test: {HEALTH}, interval: 1s, timeout: 2s, retries: 30}}\n"
    if kind == "drain-first":
        check = "    healthcheck: {test: [CMD, 'true'], interval: 1s, timeout: 2s, retries: 30}\n"
    return f"name: {name}\nservices:\n  it:\n    image: {IMAGE}:${{TAG:-one}}\n    init: true\n    {service}\n{check}"


def ours(kind, folder, binary, runs):
    """Per phase the milliseconds of each run, and those of the whole command."""
    place = pathlib.Path(folder, kind)
    place.mkdir()
    (place / "compose.yaml").write_text(compose_file(kind, f"bench-{kind}"))
    (place / "mainstay.yaml").write_text(
        f"version: 1\nplatform: bench-{kind}\nenvironments: {{bench: {{edge: {{http: \"127.0.0.1:{free_port()}\"}}}}}}\n"
        f"services:\n  it: {{strategy: {kind}{', ' if KINDS[kind][1] else ''}{KINDS[kind][1]}}}\n")
    words = [binary, "--root", str(place / "root")]
    times = {}
    try:
        call(*words, "up", "--yes", cwd=place)
        for number in range(runs):
            image = f"{IMAGE}:{('two', 'one')[number % 2]}"
            out, took = call(*words, "deploy", "it", "--image", image, "--yes", "--json", cwd=place)
            phases = {"command": took}
            for phase in json.loads(out)["report"]["services"][0]["phases"]:
                step = phase["step"].rstrip("0123456789").rstrip("-")
                phases[step] = phases.get(step, 0) + phase["ms"]
            for step, ms in phases.items():
                times.setdefault(step, []).append(ms)
    finally:
        for last in (["down", "--yes", "--volumes"], ["stop"]):
            subprocess.run([*words, *last], cwd=place, capture_output=True)
    return times


def compose(kind, folder, runs):
    place = pathlib.Path(folder, f"compose-{kind}")
    place.mkdir()
    (place / "compose.yaml").write_text(compose_file(kind, f"bench-compose-{kind}"))
    times = []
    try:
        up = ["docker", "compose", "up", "-d"] if kind == "job" else ["docker", "compose", "up", "-d", "--wait"]
        call(*up, cwd=place, TAG="one")
        for number in range(runs):
            times.append(call(*up, cwd=place, TAG=("two", "one")[number % 2])[1])
    finally:
        subprocess.run(["docker", "compose", "down", "--timeout", "1"], cwd=place, capture_output=True)
    return times


def swarm(runs):
    """The rolling update of three copies, one at a time; nothing when this machine cannot be a swarm or is one."""
    state, _ = call("docker", "info", "--format", "{{.Swarm.LocalNodeState}}")
    if state.strip() != "inactive":
        say(f"Swarm is left out: this machine's swarm is {state.strip()}, and not ours to change")
        return None
    started = subprocess.run(["docker", "swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1"],
                             capture_output=True, text=True)
    if started.returncode:
        say(f"Swarm is left out: {started.stderr.strip()}")
        return None
    name, times = f"bench-strategies-{os.getpid()}", []
    check = "exec 3<>/dev/tcp/127.0.0.1/8080; printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3; head -1 <&3 | grep -q ' 200 '"
    try:
        call("docker", "service", "create", "--name", name, "--replicas", "3", "--endpoint-mode", "dnsrr", "--init",
             "--no-resolve-image", "--update-parallelism", "1", "--update-order", "start-first", "--update-delay", "0s",
             "--update-monitor", "1s", "--health-cmd", f"bash -c \"{check}\"", "--health-interval", "1s", f"{IMAGE}:one")
        for number in range(runs):
            image = f"{IMAGE}:{('two', 'one')[number % 2]}"
            times.append(call("docker", "service", "update", "--no-resolve-image", "--image", image, name)[1])
    finally:
        subprocess.run(["docker", "service", "rm", name], capture_output=True)
        subprocess.run(["docker", "swarm", "leave", "--force"], capture_output=True)
    return times


def row(name, times):
    return {"name": name, "value": round(statistics.median(times)), "unit": "ms", "target": None, "met": None,
            "runs": len(times), "spread": [round(min(times)), round(max(times))]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", help="kinds, separated by commas")
    parser.add_argument("--json", help="file for the rows")
    args = parser.parse_args()
    binary, testapp = (os.path.abspath(os.environ[name]) for name in ("MAINSTAY", "TESTAPP"))
    kinds = args.only.split(",") if args.only else list(KINDS)
    folder = tempfile.mkdtemp(prefix="bench-strategies-")
    rows = []
    try:
        build_images(testapp, folder)
        for kind in kinds:
            say(kind)
            times = ours(kind, folder, binary, args.runs)
            rows.append(row(f"{kind} ({KINDS[kind][2]}): whole command", times.pop("command")))
            rows += [row(f"{kind}: {step}", values) for step, values in times.items()]
            rows.append(row(f"{kind}: docker compose up -d{'' if kind == 'job' else ' --wait'}", compose(kind, folder, args.runs)))
        if "rolling" in kinds and (times := swarm(args.runs)):
            rows.append(row("rolling: docker service update, start-first", times))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for r in rows:
        print(f"{r['name']:56} {r['value']:>8} {r['unit']}   {r['spread'][0]} to {r['spread'][1]}, {r['runs']} runs")
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps({"bench": "strategies", "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
