"""The edge with everything on: what it is told, and the proof that each part works before its cost is measured.

A policy that is read but not carried out would cost nothing, and that is what the figure would show.
"""
import concurrent.futures
import json
import time

from lab import Broken
from peers import Plan
from recorder import get, recorder

ACCESS_LOG = {"sample": 1, "slow_ms": 1000, "rotate_bytes": 1 << 40, "mask": ["session"]}

HEADERS = {
    "request_headers": {"remove": ["X-Debug"], "set": {"X-Environment": "bench"}},
    "response_headers": {"remove": ["Server"], "set": {"X-Frame-Options": "DENY"},
                         "add": {"Cache-Control": "private"}},
}


def policies(requests_a_second, in_flight):
    rate = {"requests": requests_a_second, "per_ms": 1000, "burst": requests_a_second, "by": "client"}
    return {**HEADERS, "limits": {"rates": [rate], "in_flight": in_flight, "queue": 0}}


# Contenders: all is counted and compared, and nothing is refused.
LIMITS = {"route": policies(1_000_000, 1000)}
ALL_ON = {**LIMITS, "snapshot": {"access_log": ACCESS_LOG}}


def prove(peers, lab, plan):
    """Starts edges with tight limits and sees every part of a contender at work; raises with all that are not."""
    with recorder() as target:
        lacks = [*prove_headers(peers, lab, target), *prove_rate(peers, lab, target),
                 *prove_in_flight(peers, lab, target)] if "route" in plan else []
        lacks += prove_log(peers, lab, target) if "snapshot" in plan else []
    if lacks:
        raise Broken("the edge does not do what is to be measured: " + "; ".join(lacks))


def prove_headers(peers, lab, target):
    plan = Plan(upstream=target, **LIMITS)
    with peers.running(lab, "edge", plan):
        status, answer, body = get(plan.port, "/", headers={"X-Debug": "1"})
    seen = json.loads(body) if status == 200 else {}
    if "x-debug" in seen or seen.get("x-environment") != "bench":
        yield "rules for request headers"
    if "server" in answer or answer.get("x-frame-options") != "DENY" or answer.get("cache-control") != "private":
        yield "rules for response headers"


def prove_log(peers, lab, target):
    plan = Plan(upstream=target, **ALL_ON)
    with peers.running(lab, "edge", plan):
        get(plan.port, "/proof")
        end = time.monotonic() + 5
        while time.monotonic() < end:
            if any('/proof' in file.read_text() for file in logs(lab)):
                return
            time.sleep(0.05)
    yield "access log"


def prove_rate(peers, lab, target):
    route = policies(1, 1000)
    route["limits"]["rates"][0].update(per_ms=60_000, burst=0)
    plan = Plan(upstream=target, route=route)
    with peers.running(lab, "edge", plan):
        statuses = [get(plan.port, "/")[0] for _ in range(3)]
    if statuses[0] != 200 or statuses[-1] != 429:
        yield f"rate limit (one request a minute, answered {statuses})"


def prove_in_flight(peers, lab, target):
    plan = Plan(upstream=target, route=policies(1_000_000, 1))
    with peers.running(lab, "edge", plan), concurrent.futures.ThreadPoolExecutor(4) as threads:
        statuses = sorted(threads.map(lambda _: get(plan.port, "/slow")[0], range(4)))
    if statuses.count(200) != 1 or statuses[-1] != 503:
        yield f"limit of requests under way (one at a time, four answered {statuses})"


def logs(lab):
    """The access logs of the edges that ran in this folder."""
    return list(lab.dir.glob("state-*/access.log*"))


def logged(lab, requests):
    """Lines of the log for each request; the lines are cleared away, since a run writes hundreds of MB.

    The edge leaves lines out, and counts them, when its writer falls behind. Then their cost is missing from the
    figures, so the share of those that were written stands beside them.
    """
    before, lines = -1, 0
    # The last lines may still be on their way.
    while lines < requests and lines != before:
        time.sleep(1)
        before, lines = lines, sum(map(count_lines, logs(lab)))
    for file in logs(lab):
        file.unlink()
    return min(1.0, lines / max(1, requests))


def count_lines(file):
    with open(file, "rb") as text:
        return sum(part.count(b"\n") for part in iter(lambda: text.read(1 << 20), b""))
