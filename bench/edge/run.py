#!/usr/bin/env python3
"""The edge against nginx, side by side on loopback: throughput, CPU per request, memory.

Both proxies forward to one nginx (1 worker, static files of 1 KB and 100 KB) and set the same forwarding headers.
They run in alternated order inside each round, a fresh process each time; figures are medians over the rounds, and
ratios are medians of the per-round ratios, because on a shared machine two neighbours in time are comparable and
two rounds are not.  CPU per request (utime + stime of all the proxy's processes) is the steadier measure.

    bench/edge/run.py [--rounds 3] [--seconds 10] [--json out.json] [--only h1-1k,h1-100k,h2-1k] [--edge BINARY]
                      [--nice -10]

Needs nginx, wrk and h2load.  All load goes to 127.0.0.1 and ends by itself.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TICK = os.sysconf("SC_CLK_TCK")

# name -> (path, tool, target for the throughput ratio)
CASES = {
    "h1-1k": ("/1k", "wrk", 1.0),
    "h1-100k": ("/100k", "wrk", 1.4),
    "h2-1k": ("/1k", "h2load", 1.05),
}

UPSTREAM = """
worker_processes 1; pid {dir}/up.pid; error_log {dir}/up.log; daemon off;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; sendfile on; tcp_nopush on; open_file_cache max=16;
  server {{ listen 127.0.0.1:{port} backlog=4096; root {dir}/www; }}
}}
"""

PROXY = """
worker_processes {workers}; pid {dir}/px.pid; error_log {dir}/px.log; daemon off;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 100000000;
  upstream up {{ server 127.0.0.1:{up}; keepalive 128; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096{h2};
    location / {{
      proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $host;
      proxy_set_header X-Request-ID $request_id;
      add_header Via "1.1 nginx";
    }}
  }}
}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port, process):
    for _ in range(400):
        if process.poll() is not None:
            raise SystemExit(f"a process ended early: {process.args}")
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.025)
    raise SystemExit(f"nothing listens on {port}")


def family(pid):
    """The process and all its children."""
    pids = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            pids += family(int(child))
    return pids


def cpu_seconds(pid):
    total = 0
    for one in family(pid):
        fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def pss_mb(pid):
    total = 0
    for one in family(pid):
        for line in pathlib.Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024


def busy_seconds():
    fields = pathlib.Path("/proc/stat").read_text().splitlines()[0].split()
    return sum(int(f) for f in fields[1:4] + fields[6:8]) / TICK


class Lab:
    """One folder with the files, the upstream and the proxies' configurations."""

    def __init__(self, folder, edge):
        self.dir, self.edge = folder, edge
        www = pathlib.Path(folder, "www")
        www.mkdir()
        (www / "1k").write_bytes(b"x" * 1024)
        (www / "100k").write_bytes(b"x" * 102400)
        os.chmod(folder, 0o755)
        self.port = free_port()
        conf = pathlib.Path(folder, "up.conf")
        conf.write_text(UPSTREAM.format(dir=folder, port=self.port))
        self.upstream = self.spawn(["nginx", "-c", str(conf), "-p", folder])
        wait_port(self.port, self.upstream)

    def spawn(self, words):
        return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start_nginx(self, h2):
        port = free_port()
        conf = pathlib.Path(self.dir, "px.conf")
        workers = os.cpu_count() or 1
        conf.write_text(PROXY.format(dir=self.dir, port=port, up=self.port, workers=workers, h2=" http2" if h2 else ""))
        process = self.spawn(["nginx", "-c", str(conf), "-p", self.dir])
        wait_port(port, process)
        return process, port

    def start_edge(self, _h2):
        port = free_port()
        snapshot = {
            "schema": 1, "epoch": 1,
            "listeners": [{"name": "web", "bind": f"127.0.0.1:{port}"}],
            "pools": [{"name": "bench/bench/web", "release": "r1", "targets": [f"127.0.0.1:{self.port}"]}],
            "routes": [{"path": "/", "pool": "bench/bench/web"}],
        }
        file = pathlib.Path(self.dir, "snapshot.json")
        file.write_text(json.dumps(snapshot))
        state = tempfile.mkdtemp(dir=self.dir)
        process = self.spawn([self.edge, str(file), state])
        wait_port(port, process)
        return process, port


def stop(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def load(tool, port, path, seconds):
    """Runs one load; returns requests, failures, p99 in ms."""
    url = f"http://127.0.0.1:{port}{path}"
    if tool == "wrk":
        words = ["wrk", "-t1", "-c64", f"-d{seconds}s", "--latency", url]
        text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        requests = int(re.search(r"(\d+) requests in", text)[1])
        failed = sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", text)))
        failed += int((re.search(r"Non-2xx or 3xx responses: (\d+)", text) or [0, 0])[1])
        number, unit = re.search(r"^\s+99%\s+([\d.]+)(us|ms|s)", text, re.M).groups()
        return requests, failed, float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]
    words = ["h2load", "-t1", "-c16", "-m4", "-D", str(seconds), url]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    done = re.search(r"requests: \d+ total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed, (\d+) errored", text)
    number, unit = re.search(r"time for request:\s+\S+\s+([\d.]+)(us|ms|s)", text).groups()
    return int(done[1]), int(done[2]) + int(done[3]), float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def measure(lab, who, case, seconds, warm):
    path, tool, _ = CASES[case]
    start = {"nginx": lab.start_nginx, "edge": lab.start_edge}[who]
    process, port = start(tool == "h2load")
    try:
        idle = pss_mb(process.pid)
        load(tool, port, path, warm)
        cpu, busy, began = cpu_seconds(process.pid), busy_seconds(), time.monotonic()
        requests, failed, tail = load(tool, port, path, seconds)
        elapsed = time.monotonic() - began
        used = cpu_seconds(process.pid) - cpu
        return {
            "rps": requests / elapsed, "failed": failed, "tail_ms": tail, "cpu_us": used / requests * 1e6,
            "pss_idle": idle, "pss_load": pss_mb(process.pid), "machine_busy": (busy_seconds() - busy) / elapsed,
        }
    finally:
        stop(process)


def row(rows, name, values, unit, target=None, better="higher"):
    value = statistics.median(values)
    met = None if target is None else (value >= target if better == "higher" else value <= target)
    spread = [round(min(values), 3), round(max(values), 3)]
    rows.append({"name": name, "value": round(value, 3), "unit": unit, "target": target, "met": met,
                 "runs": len(values), "spread": spread})


def report(case, runs, rows):
    edge, nginx = runs["edge"], runs["nginx"]
    ratio = lambda key: [e[key] / n[key] for e, n in zip(edge, nginx)]
    for who, results in runs.items():
        row(rows, f"{case} {who} throughput", [r["rps"] for r in results], "req/s")
        row(rows, f"{case} {who} CPU", [r["cpu_us"] for r in results], "us/req")
        row(rows, f"{case} {who} tail", [r["tail_ms"] for r in results], "ms")
        row(rows, f"{case} {who} PSS idle", [r["pss_idle"] for r in results], "MB")
        row(rows, f"{case} {who} PSS under load", [r["pss_load"] for r in results], "MB")
    row(rows, f"{case} throughput ratio", ratio("rps"), "x nginx", CASES[case][2])
    row(rows, f"{case} CPU ratio", ratio("cpu_us"), "x nginx")
    row(rows, f"{case} failed", [r["failed"] for r in edge], "requests", 0, "lower")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--warm", type=int, default=2)
    parser.add_argument("--nice", type=int, default=0, help="priority of everything measured; below 0 needs root")
    parser.add_argument("--json")
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--edge", help="the edge-bench example; built in release mode when not given")
    args = parser.parse_args()
    for tool in ("nginx", "wrk", "h2load"):
        if not shutil.which(tool):
            raise SystemExit(f"{tool} is not installed")
    edge = args.edge or build()
    if args.nice:
        os.setpriority(os.PRIO_PROCESS, 0, args.nice)
    rows = []
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as folder:
        lab = Lab(folder, edge)
        try:
            for case in args.only.split(","):
                runs = {"nginx": [], "edge": []}
                for turn in range(args.rounds):
                    for who in ("nginx", "edge") if turn % 2 == 0 else ("edge", "nginx"):
                        result = measure(lab, who, case, args.seconds, args.warm)
                        runs[who].append(result)
                        print(f"  {case} {who:5} {result['rps']:9.0f} req/s {result['cpu_us']:7.1f} us/req "
                              f"tail {result['tail_ms']:7.2f} ms  PSS {result['pss_load']:5.1f} MB  "
                              f"failed {result['failed']}  machine {result['machine_busy']:.2f} cores", file=sys.stderr)
                report(case, runs, rows)
        finally:
            stop(lab.upstream)
    for r in rows:
        target = "" if r["target"] is None else f"  target {r['target']} {'met' if r['met'] else 'MISSED'}"
        print(f"{r['name']:34} {r['value']:12.3f} {r['unit']:8} ({r['spread'][0]} .. {r['spread'][1]}){target}")
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps({"bench": "edge", "rows": rows}, indent=2) + "\n")


def build():
    words = ["cargo", "build", "--release", "-p", "edge", "--example", "edge-bench", "--message-format=json"]
    output = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    if output.returncode != 0:
        raise SystemExit(output.stderr)
    for line in output.stdout.splitlines():
        message = json.loads(line)
        if message.get("target", {}).get("name") == "edge-bench" and message.get("executable"):
            return message["executable"]
    raise SystemExit("cargo built no edge-bench")


if __name__ == "__main__":
    main()
