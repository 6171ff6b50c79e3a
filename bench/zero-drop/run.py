#!/usr/bin/env python3
"""Nothing is dropped, whatever happens: 500 requests a second, WebSockets, server-sent events, 20 s uploads, gRPC calls
and gRPC streams go on while releases change, fail and go back, the configuration and the certificate change, the agent dies
and the edge is replaced. Beside it `docker compose up -d` under the same load, which does drop: a control that shows
that the run would notice.

    MAINSTAY=<binary> K6=<binary> bench/zero-drop/run.py [--seconds 20] [--json FILE]

Needs Docker, aiohttp, grpcio and websockets. All load goes to 127.0.0.1 and ends by itself.
"""
import argparse
import asyncio
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import clients

HERE = pathlib.Path(__file__).resolve().parent
RATE = 500
# After a switch an old release's WebSockets have `drain_websocket`, and are then closed over a few seconds.
BUDGET = (7.5, 15.0)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def say(text):
    print(f"  {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class Platform:
    """A platform of its own, in a folder of its own, with a Mainstay of its own."""

    def __init__(self, folder, mainstay):
        self.dir, self.mainstay = pathlib.Path(folder), mainstay
        self.http, self.https = free_port(), free_port()
        self.plain, self.secure = f"127.0.0.1:{self.http}", f"127.0.0.1:{self.https}"
        self.switches = []
        self.write("compose.yaml", (HERE / "platform/compose.yaml").read_text())
        text = (HERE / "platform/mainstay.yaml").read_text()
        self.write("mainstay.yaml", text.replace("@HTTP@", str(self.http)).replace("@HTTPS@", str(self.https)))
        self.authority = self.make_authority()
        self.new_certificate()

    def write(self, name, text):
        (self.dir / name).write_text(text)

    def openssl(self, *words):
        subprocess.run(["openssl", *words], cwd=self.dir, check=True, capture_output=True)

    def make_authority(self):
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                     "-subj", "/CN=zero-drop", "-keyout", "ca.key", "-out", "ca.pem")
        return str(self.dir / "ca.pem")

    def new_certificate(self):
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=127.0.0.1",
                     "-keyout", "new.key", "-out", "new.csr")
        self.write("names", "subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        self.openssl("x509", "-req", "-in", "new.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                     "-days", "2", "-extfile", "names", "-out", "new.pem")
        os.chmod(self.dir / "new.key", 0o600)
        os.replace(self.dir / "new.key", self.dir / "edge.key")
        os.replace(self.dir / "new.pem", self.dir / "edge.pem")

    def served_certificate(self):
        """The serial number that clients see."""
        with subprocess.Popen(["openssl", "s_client", "-connect", self.secure], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as peer:
            said = subprocess.run(["openssl", "x509", "-noout", "-serial"], stdin=peer.stdout, capture_output=True)
        return said.stdout.decode().strip()

    async def call(self, *words, expect=(0,)):
        process = await asyncio.create_subprocess_exec(
            self.mainstay, *words, cwd=self.dir, env={**os.environ, "MAINSTAY_ROOT": str(self.dir / "root")},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        said = (await process.communicate())[0].decode()
        if process.returncode not in expect:
            raise SystemExit(f"mainstay {' '.join(words)} ended with {process.returncode}:\n{said}")
        return said

    async def change(self, *words, expect=(0,)):
        """A command in whose course traffic may move; it returns when the old side has drained, or later."""
        began = time.time()
        await self.call(*words, expect=expect)
        self.switches.append((began, time.time()))

    async def deploy(self, service, tag, expect=(0,)):
        await self.change("deploy", service, "--image", f"zero-drop/app:{tag}", "--yes", expect=expect)

    def pids(self, name):
        """The agents or edges of this platform's root; an edge that was replaced finishes what it had begun."""
        found = set()
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if len(words) > 2 and words[1] == name.encode() and b"--root" in words and str(self.dir / "root").encode() in words:
                    found.add(int(entry.name))
        return found


async def http_load(k6, address, seconds, folder):
    """k6 at a fixed rate, every body compared."""
    summary, log = pathlib.Path(folder, "k6.json"), pathlib.Path(folder, "k6.log")
    bodies = ",".join(f"build {tag}\n" for tag in ("one", "two"))
    with log.open("w") as out:
        process = await asyncio.create_subprocess_exec(
            k6, "run", "--quiet", "--no-usage-report", "--address", "", str(HERE.parent / "load.js"),
            env={**os.environ, "URL": f"http://{address}/", "BODIES": bodies, "RATE": str(RATE),
                 "SECONDS": str(seconds), "SUMMARY": str(summary)}, stdout=out, stderr=out)
        await process.wait()
    if not summary.exists():
        raise SystemExit(f"k6 brought no summary:\n{log.read_text()[-2000:]}")
    counts = json.loads(summary.read_text())
    counts["examples"] = [line for line in log.read_text().splitlines() if "level=error" in line][:3]
    summary.unlink()
    return counts


def build_images():
    for tag, arguments in (("one", []), ("two", []), ("crash", ["--build-arg", "CRASH=1"])):
        words = ["docker", "build", "--quiet", "--tag", f"zero-drop/app:{tag}", "--build-arg", f"BUILD={tag}", *arguments,
                 "--build-arg", "PIP_INDEX_URL", str(HERE / "image")]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "DOCKER_BUILDKIT": "0"})


def events(platform):
    """What happens, in this order."""

    async def deploys():
        for service in ("web", "calls"):
            await platform.deploy(service, "two")

    async def fails():
        for service in ("web", "calls"):
            await platform.deploy(service, "crash", expect=(1, 3))

    async def back():
        for service in ("web", "calls"):
            await platform.change("rollback", service, "--yes")

    async def configuration():
        text = (platform.dir / "mainstay.yaml").read_text()
        header = "{path: /, https_only: false, headers: {response: {set: {x-zero-drop: changed}}}}"
        platform.write("mainstay.yaml", text.replace("{path: /, https_only: false}", header))
        await platform.change("up", "--yes")
        said = subprocess.run(["curl", "-sI", f"http://{platform.plain}/health"], capture_output=True, text=True).stdout
        if "x-zero-drop: changed" not in said.lower():
            raise SystemExit(f"the changed configuration is not served:\n{said}")

    async def certificate():
        before = platform.served_certificate()
        platform.new_certificate()
        await platform.call("up", "--yes")
        if platform.served_certificate() in ("", before):
            raise SystemExit("the new certificate is not served")

    async def agent():
        for pid in platform.pids("agent"):
            os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(3)
        await platform.call("status")

    async def edge():
        before = platform.pids("edge")
        await platform.change("upgrade")
        if not platform.pids("edge") - before:
            raise SystemExit("the edge is still the same process")

    return [("nothing", lambda: asyncio.sleep(1)), ("deploy", deploys), ("failed deploy", fails),
            ("rollback", back), ("configuration change", configuration), ("certificate change", certificate),
            ("agent killed", agent), ("edge upgrade", edge)]


def misplaced(ledger, switches):
    """WebSockets, event streams and gRPC streams that ended when it was not the time for it."""
    found = []
    for change in ledger.changes:
        if not any(began + BUDGET[0] <= change["at"] <= ended + BUDGET[1] for began, ended in switches):
            found.append(change)
    return found


async def ours(platform, k6, seconds, folder):
    """All events under all load; rows of the report."""
    rows = []
    say("bringing the platform up")
    await platform.call("up", "--yes")
    ledger, stop = clients.Ledger(), asyncio.Event()
    holding = asyncio.create_task(clients.run(ledger, platform.plain, platform.secure, platform.authority, stop))
    await asyncio.sleep(2)
    for name, event in events(platform):
        faults = len(ledger.faults)
        load = asyncio.create_task(http_load(k6, platform.plain, seconds, folder))
        await asyncio.sleep(3)
        began = time.monotonic()
        await event()
        took = time.monotonic() - began
        counts = await load
        dropped = len(ledger.faults) - faults
        say(f"{name}: {took:.1f} s; {counts['requests']} requests, {counts['failed']} failed, {counts['wrong']} wrong, "
            f"{dropped} faults of connections {counts['examples'] or ''}")
        rows += [row(f"{name}: requests", counts["requests"], "requests"),
                 row(f"{name}: failed or wrong requests", counts["failed"] + counts["wrong"], "requests", 0),
                 row(f"{name}: dropped connections", dropped, "connections", 0)]
    # What has begun ends by itself: the last upload and the last streams count, too.
    await asyncio.sleep(5)
    stop.set()
    await asyncio.wait_for(holding, 90)
    wrong_time = misplaced(ledger, platform.switches)
    for fault in ledger.faults + wrong_time:
        say(f"fault: {fault}")
    rows += [row(f"{kind}", count, "done") for kind, count in sorted(ledger.done.items())]
    rows += [row(f"{kind}: ended after their budget", count, "connections") for kind, count in sorted(ledger.ended.items())]
    rows += [row("dropped connections of all kinds", len(ledger.faults), "connections", 0),
             row("ended outside their budget", len(wrong_time), "connections", 0)]
    for kind in ("websocket messages", "events", "uploads", "grpc calls", "grpc stream messages"):
        rows.append(row(f"{kind}: there were some", int(ledger.done[kind] > 0), "", 1, better="higher"))
    return rows


async def control(k6, folder):
    """The same load on `docker compose up -d`: it must drop, or this run proves nothing."""
    port = free_port()
    file = pathlib.Path(folder, "control.yaml")
    file.write_text("name: zero-drop-control\nservices:\n  web:\n    image: zero-drop/app:${TAG}\n    init: true\n"
                    f"    ports: ['127.0.0.1:{port}:8000']\n")
    compose = ["docker", "compose", "-f", str(file)]

    async def up(tag):
        process = await asyncio.create_subprocess_exec(*compose, "up", "-d", env={**os.environ, "TAG": tag},
                                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        await process.wait()

    try:
        await up("one")
        await asyncio.sleep(4)
        load = asyncio.create_task(http_load(k6, f"127.0.0.1:{port}", 15, folder))
        await asyncio.sleep(3)
        await up("two")
        counts = await load
    finally:
        subprocess.run([*compose, "down", "-t", "1"], env={**os.environ, "TAG": "one"}, capture_output=True)
    say(f"docker compose up -d: {counts['requests']} requests, {counts['failed']} failed")
    return [row("docker compose up -d: requests", counts["requests"], "requests"),
            row("docker compose up -d: failed requests (the control must see some)", counts["failed"], "requests", 1,
                better="higher")]


def row(name, value, unit, target=None, better="lower"):
    met = None if target is None else (value <= target if better == "lower" else value >= target)
    return {"name": name, "value": value, "unit": unit, "target": target, "met": met, "runs": 1, "spread": [value, value]}


async def all_of_it(args, folder):
    rows = await control(args.k6, folder)
    platform = Platform(folder, args.mainstay)
    try:
        rows += await ours(platform, args.k6, args.seconds, folder)
    finally:
        await platform.call("down", "--yes", "--volumes", expect=range(256))
        await platform.call("stop", expect=range(256))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20, help="of load around each event")
    parser.add_argument("--json", help="file for the rows")
    args = parser.parse_args()
    args.mainstay, args.k6 = (os.path.abspath(os.environ[name]) for name in ("MAINSTAY", "K6"))
    build_images()
    folder = tempfile.mkdtemp(prefix="zero-drop-")
    try:
        rows = asyncio.run(all_of_it(args, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for r in rows:
        verdict = "" if r["met"] is None else ("  yes" if r["met"] else "  NO")
        print(f"{r['name']:72} {r['value']:>10} {r['unit']}{verdict}")
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps({"bench": "zero-drop", "rows": rows}, indent=2) + "\n")
    sys.exit(any(r["met"] is False for r in rows))


if __name__ == "__main__":
    main()
