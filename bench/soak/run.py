#!/usr/bin/env python3
"""One real edge under every kind of load at once, for as many requests as an hour has at 1,000 a second.

Called by `./x bench soak`. Samples what the edge holds; judges by slope under load, and by what is left at rest.
"""
import argparse
import asyncio
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(1, str(pathlib.Path(__file__).parent.parent / "conformance"))

import lab
import sample
import targets
import verdict
from world import World

HOUR = 3_600_000
# What is learned once: buffers, pools, threads, the allocator's arenas.
BEGINNING = 0.25


def main():
    options = read_options()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        edge = lab.Edge(folder, options.mainstay, options.apply)
        ports = [lab.free_port() for _ in range(5)]
        nginx = targets.nginx(folder, ports[0], ports[1])
        world = World(edge, pathlib.Path(folder), ports)
        try:
            before, samples, after, counts = soak(world, options)
        finally:
            edge.stop()
            nginx.terminate()
            nginx.wait()
    under = [one for one in samples if one.seconds >= samples[-1].seconds * BEGINNING]
    enough = int(options.requests * options.minutes / 60) if options.minutes < 10 else options.requests
    found = verdict.rows(before, under, after, enough)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({
            "before": vars(before), "after": vars(after), "samples": [vars(one) for one in samples],
            "clients": counts, "rows": [vars(row) for row in found]}, indent=1) + "\n")
    return tell(found, counts, samples)


def read_options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mainstay", required=True)
    parser.add_argument("--apply", required=True, help="the example `edge-apply`")
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--requests", type=int, default=HOUR, help="so many are needed for a verdict of 10 minutes or more")
    parser.add_argument("--json", metavar="FILE", help="keep all samples")
    return parser.parse_args()


def soak(world, options):
    """Samples at rest, under load, and at rest again."""
    world.start()
    began = time.monotonic()
    # A short load first, so that the level to come back to is that of an edge that has worked.
    load(world, 15)
    before = rest(world, began)
    print(f"at rest after a first load: {told(before)}", flush=True)
    samples = []
    done = threading.Event()
    def sampling():
        while not done.wait(2):
            samples.append(sample.look(world.edge, began, world.counted))
            if len(samples) % 30 == 0:
                print(f"  {samples[-1].seconds:.0f} s: {told(samples[-1])}", flush=True)
    sampler = threading.Thread(target=sampling)
    sampler.start()
    try:
        counts = load(world, options.minutes * 60)
    finally:
        done.set()
        sampler.join()
    after = rest(world, began)
    print(f"at rest again: {told(after)}", flush=True)
    return before, samples, after, counts


def load(world, seconds):
    """All clients and tools at once; what the clients saw."""
    return asyncio.run(world.under_load(seconds))


def rest(world, began):
    """Waits until nobody is connected and nothing is left; a leak is what does not go away, or never stands still."""
    begun = time.monotonic()
    last, since = None, begun
    while True:
        one = sample.look(world.edge, began, world.counted)
        level = (one.files, one.threads, one.tasks, one.connections, one.draining)
        if level != last:
            last, since = level, time.monotonic()
        quiet = time.monotonic() - since
        if quiet > 20 and one.connections == 0 or quiet > 120:
            return one
        if time.monotonic() - begun > 300:
            print(f"not at rest after five minutes: {told(one)}", flush=True)
            return one
        time.sleep(1)


def told(one):
    return (f"{one.requests:,.0f} requests, {one.pss_kb / 1024:.1f} MB, {one.files} files, {one.threads} threads, "
            f"{one.tasks:.0f} tasks, {one.connections:.0f} connections, {one.draining} draining")


def tell(found, counts, samples):
    print("clients: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    peak = max(one.pss_kb for one in samples)
    print(f"{len(samples)} samples; most memory {peak / 1024:.1f} MB")
    print("name, value, unit, target, met")
    for row in found:
        print(f"{row.name}, {row.value:g}, {row.unit}, {row.target}, {'yes' if row.met else 'NO'}")
    return 0 if all(row.met for row in found) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (lab.Broken, subprocess.SubprocessError) as why:
        sys.exit(f"soak: {why}")
