#!/usr/bin/env python3
"""The edge beside nginx, HAProxy, Caddy and Traefik on loopback. `./x bench edge` installs what this needs and runs it.

All load goes to 127.0.0.1 and ends by itself. Files: `peers/` (who is measured and how it is set up), `loads.py` (the
load tools), `cases.py` and `idle.py` (what is measured), `features.py` (the edge with everything on), `rounds.py` (in
which order), `report.py` and `page.py` (how it is shown).
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import machine
import page
import report
from cases import CASES, Bench
from lab import Lab
from peers import ALL, Peers, Plan
from rounds import measure_all

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/benchmarks-edge.md"
# Written by hand, taken into the page: what a figure means, why a target is missed.
NOTES = ROOT / "bench/edge/notes.md"


def options():
    parser = argparse.ArgumentParser(prog="./x bench edge", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--other-rounds", type=int, default=2, help="rounds with Caddy and Traefik")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--warm", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="one short round: to see that it works, not to quote")
    parser.add_argument("--only", help="cases, separated by commas")
    parser.add_argument("--peers", default=",".join(ALL), help="who is measured, separated by commas")
    parser.add_argument("--list", action="store_true", help="list the cases and run none")
    parser.add_argument("--json", action="store_true", help="everything as JSON on standard output")
    parser.add_argument("--write", action="store_true", help=f"keep the figures in {PAGE.relative_to(ROOT)}")
    parser.add_argument("--noisy", action="store_true", help="write even though the machine was busy")
    parser.add_argument("--tools", type=pathlib.Path, default=ROOT / ".cache/x/peers",
                        help="folder of caddy and traefik")
    parser.add_argument("--nice", type=int, default=0, help="priority of everything measured; below 0 needs root")
    parser.add_argument("--edge", help="the edge-bench example; built in release mode when not given")
    chosen = parser.parse_args()
    # Processes are started in a folder of their own.
    chosen.tools = chosen.tools.resolve()
    chosen.edge = chosen.edge and str(pathlib.Path(chosen.edge).resolve())
    if chosen.write and (chosen.quick or chosen.only or chosen.peers != ",".join(ALL)):
        parser.error("only a whole run is kept: --write goes with neither --quick nor --only nor --peers")
    if chosen.quick:
        chosen.rounds, chosen.other_rounds, chosen.seconds = 1, 1, 2
    unknown = set((chosen.only or "h1-1k").split(",")) - CASES.keys() | set(chosen.peers.split(",")) - ALL.keys()
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    return chosen


def main():
    chosen = options()
    if chosen.list:
        for case in CASES.values():
            print(f"{case.name:12} {case.shows}")
        return 0
    for tool in ("nginx", "wrk", "h2load", "openssl"):
        if not shutil.which(tool):
            raise SystemExit(f"{tool} is not installed")
    # Whoever ends this ends what it has started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    files = machine.raise_file_limit()
    if chosen.nice:
        os.setpriority(os.PRIO_PROCESS, 0, chosen.nice)
    os.environ["EDGE_BENCH"] = chosen.edge or build()
    os.environ["EDGE_VERSION"] = commit()
    began, facts = time.monotonic(), machine.facts()
    peers = Peers(chosen.peers.split(","), chosen.tools)
    for name, why in peers.missing.items():
        tell(f"MISSING: {name}: {why}")
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as folder:
        lab = Lab(folder)
        try:
            bench = Bench(lab, peers, chosen.seconds, chosen.warm, chosen.quick)
            results, problems = measure_all(bench, chosen, tell)
            configurations = written(lab, peers)
        finally:
            lab.close()
    cases = {name: CASES[name] for name in results}
    rows = [row for name, case in cases.items() for row in report.case_rows(case, results[name])]
    noisy, runs = report.noise_of(results)
    return show(chosen, {
        "bench": "edge", "machine": facts, "versions": peers.versions, "missing": peers.missing, "problems": problems,
        "settings": {"rounds": chosen.rounds, "other_rounds": chosen.other_rounds, "seconds": chosen.seconds,
                     "warm": chosen.warm, "noisy": noisy, "runs": runs, "files": files,
                     "took_seconds": time.monotonic() - began},
        "shows": {name: case.shows for name, case in cases.items()}, "rows": rows, "runs": results,
        "configurations": configurations,
    })


def written(lab, peers):
    """Every peer's configuration as it is for the first case, with neither the folder nor the ports of this run."""
    texts = {}
    for name in peers.programs:
        plan = Plan(upstream=lab.port)
        _, files = ALL[name].prepare(lab, plan)
        texts[name] = {file.name: nameless(file.read_text(), lab, plan) for file in files}
    return texts


def nameless(text, lab, plan):
    return text.replace(str(lab.dir), "DIR").replace(str(plan.port), "PORT").replace(str(lab.port), "TARGET")


def show(chosen, result):
    if chosen.json:
        print(report.as_json(result))
    else:
        print(report.table(result["rows"]), end="")
    noisy, runs = result["settings"]["noisy"], result["settings"]["runs"]
    tell(f"{noisy} of {runs} runs were noisy; {result['settings']['took_seconds'] / 60:.1f} minutes")
    if chosen.write:
        if noisy * 4 > runs and not chosen.noisy:
            raise SystemExit("the machine was too busy for figures to keep; --noisy keeps them all the same")
        notes = NOTES.read_text() if NOTES.exists() else ""
        PAGE.write_text(page.render(result, notes))
        tell(f"kept in {PAGE.relative_to(ROOT)}")
    missed = [row["name"] for row in result["rows"] if row["met"] is False]
    for name in missed:
        tell(f"MISSED: {name}")
    for one in result["problems"]:
        tell(f"NOT MEASURED: {one['case']}, {one['contender']}: {one['why']}")
    for name, why in result["missing"].items():
        tell(f"MISSING: {name}: {why}")
    return 1 if missed or result["problems"] or result["missing"] else 0


def tell(text):
    print(text, file=sys.stderr, flush=True)


def commit():
    said = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return f"at {said.stdout.strip()}" if said.returncode == 0 else "of this checkout"


def build():
    words = ["cargo", "build", "--release", "-p", "edge", "--example", "edge-bench", "--message-format=json"]
    output = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    if output.returncode != 0:
        raise SystemExit(output.stderr)
    for said in output.stdout.splitlines():
        message = json.loads(said)
        if message.get("target", {}).get("name") == "edge-bench" and message.get("executable"):
            return message["executable"]
    raise SystemExit("cargo built no edge-bench")


if __name__ == "__main__":
    sys.exit(main())
