"""What is measured: each case has contenders, one way to measure them, and what is asked of the result."""
import dataclasses
from collections.abc import Callable

import features
import idle
import loads
from machine import Window, pss_kb
from peers import ALL, Plan
from recorder import get


@dataclasses.dataclass(frozen=True)
class Target:
    """A figure of one contender, as a ratio to another's in the same round, or by itself."""

    key: str
    title: str
    to: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    of: str = "edge"
    unit: str = ""


@dataclasses.dataclass(frozen=True)
class Contender:
    """A peer, with what it is told beyond the plain plan."""

    label: str
    peer: str
    plan: dict = dataclasses.field(default_factory=dict)
    # Called before it is measured; raises when it does not do what the figure would stand for.
    prove: Callable | None = None


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    shows: str
    measure: Callable
    targets: tuple[Target, ...]
    contenders: tuple[Contender, ...] = tuple(Contender(name, name) for name in ALL)
    # More rounds than this show nothing new, since the figures hardly differ.
    rounds: int = 99
    path: str = "/1k"
    plan: dict = dataclasses.field(default_factory=dict)
    load: Callable | None = None


@dataclasses.dataclass
class Bench:
    """What every measurement works with."""

    lab: object
    peers: object
    seconds: int
    warm: int
    quick: bool


def under_load(bench, case, contender):
    """A fresh process, a short load to warm it, the load that counts."""
    lab = bench.lab
    plan = Plan(upstream=lab.port, **case.plan, **contender.plan)
    with bench.peers.running(lab, contender.peer, plan) as process:
        if not plan.h2:
            check_answer(plan, case.path)
        at_rest = pss_kb(process.pid)
        warm = case.load(lab, plan, case.path, bench.warm)
        accepted = lab.accepted()
        window = Window(process.pid, [lab.upstream.pid])
        load = case.load(lab, plan, case.path, bench.seconds)
        _, cpu, foreign = window.end()
        figures = {
            "rps": load.requests / load.seconds, "failed": load.failed, "p50": load.p50, "p99": load.p99,
            "cpu_us": cpu / max(1, load.requests) * 1e6, "pss_rest": at_rest / 1000, "pss": pss_kb(process.pid) / 1000,
            "foreign": foreign, "rate": load.rate,
            # One of these is our own look at the counter.
            "new_upstream": (lab.accepted() - accepted - 1) / max(1, load.requests),
        }
        if "access_log" in (plan.snapshot or {}):
            figures["logged"] = features.logged(lab, warm.requests + load.requests)
        return figures


def check_answer(plan, path):
    """The right bytes once, before they are counted by the thousand."""
    host = {"Host": "h0.bench.test"} if plan.hosts else {}
    status, _, body = get(plan.port, path, tls=plan.tls, headers=host)
    wanted = {"/1k": 1024, "/100k": 102400}[path]
    if status != 200 or len(body) != wanted:
        raise loads.Broken(f"{path} is answered {status} with {len(body)} bytes instead of 200 with {wanted}")


def url(plan, path):
    return f"http{'s' * plan.tls}://127.0.0.1:{plan.port}{path}"


def by_wrk(lab, plan, path, seconds):
    return loads.wrk(lab, url(plan, path), seconds)


def by_h2load(lab, plan, path, seconds):
    return loads.h2load(lab, url(plan, path), seconds)


def by_handshakes(lab, plan, path, seconds):
    return loads.handshakes(lab, plan.port, path, seconds)


def by_rate(lab, plan, path, seconds):
    return loads.fixed_rate(lab, url(plan, path), seconds)


def by_hosts(lab, plan, path, seconds):
    """Every route in turn, so that none is always in the processor's cache."""
    script = lab.dir / "hosts.lua"
    script.write_text(HOSTS % (plan.hosts, path))
    return loads.wrk(lab, url(plan, path), seconds, script)


HOSTS = """
local count, turn, requests = %d, 0, {}
function init()
  for n = 0, count - 1 do requests[n] = wrk.format("GET", "%s", {["Host"] = "h" .. n .. ".bench.test"}) end
end
function request() turn = (turn + 1) %% count; return requests[turn] end
"""


def beside_nginx(throughput=None, cpu=1.0, tail=None):
    targets = [Target("failed", "failed requests", at_most=0, unit="count")]
    if throughput:
        targets.append(Target("rps", "throughput", "nginx", at_least=throughput))
    if cpu:
        targets.append(Target("cpu_us", "CPU per request", "nginx", at_most=cpu))
    if tail:
        targets.append(Target("p99", "p99", "nginx", at_most=tail))
    return tuple(targets)


ROUTES = (10, 100, 1000)

CASES = {case.name: case for case in (
    Case("h1-1k", "HTTP/1.1 keep-alive, 1 KB, 64 connections (wrk)", under_load, beside_nginx(1.0), load=by_wrk),
    Case("h1-100k", "HTTP/1.1 keep-alive, 100 KB, 64 connections (wrk)", under_load, beside_nginx(1.4),
         path="/100k", load=by_wrk),
    Case("h2-1k", "HTTP/2 by prior knowledge, 1 KB, 16 connections with 4 streams each (h2load)", under_load,
         beside_nginx(1.05), plan={"h2": True}, load=by_h2load),
    Case("tls-1k", "HTTP/1.1 keep-alive over TLS 1.3 (AES-128-GCM, X25519, ECDSA P-256), 1 KB, 64 connections (wrk)",
         under_load, beside_nginx(1.0), plan={"tls": True}, load=by_wrk),
    Case("handshakes", "full TLS 1.3 handshakes, a new connection for each request, 8 clients (openssl s_time -new, "
         "which says of each connection that no session was resumed)", under_load, beside_nginx(0.9, cpu=None),
         plan={"tls": True}, load=by_handshakes),
    Case("rate", "2,000 requests a second over 40 connections, whatever the answers take (h2load --rps)", under_load,
         beside_nginx(cpu=None, tail=1.0), load=by_rate),
    Case("routes", "the edge with 10, 100 and 1,000 routes by host name, each asked in turn, to one pool (wrk)",
         under_load,
         (Target("failed", "failed requests", at_most=0, unit="count", of="1000 routes"),
          Target("rps", "throughput", "10 routes", at_least=0.97, of="1000 routes"),
          Target("cpu_us", "CPU per request", "10 routes", at_most=1.03, of="1000 routes")),
         tuple(Contender(f"{n} routes", "edge", {"hosts": n}) for n in ROUTES), load=by_hosts),
    Case("features", "the edge with a rate limit, a limit of requests under way and rules for headers (`limits`), and "
         "with an access log of every request besides (`all on`), beside itself without (wrk)", under_load,
         tuple(Target(key, title, "plain", of=of) for of in ("limits", "all on")
               for key, title in (("rps", "throughput"), ("cpu_us", "CPU per request"))) +
         tuple(Target("failed", "failed requests", at_most=0, unit="count", of=of) for of in ("limits", "all on")) +
         (Target("logged", "log lines per request", at_least=0.99, of="all on"),),
         (Contender("plain", "edge"), Contender("limits", "edge", features.LIMITS, features.prove),
          Contender("all on", "edge", features.ALL_ON, features.prove)), load=by_wrk),
    Case("idle", "memory of 5,000 idle keep-alive connections, one request each before", idle.connections,
         (Target("bytes_each", "memory per connection", "HAProxy", at_most=1.0),), rounds=2),
    Case("websockets", "10,000 idle WebSockets, each proved by an echo after the rest", idle.websockets,
         (Target("alive", "held", at_least=10_000, unit="count"),), rounds=1),
)}
