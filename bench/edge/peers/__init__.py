"""The proxies that are measured, each a module: how it is found, what it is called, what it is told.

A module has NAME, `find(tools)` (its program or None), `version(program)` and `prepare(lab, plan)`, which writes its
configuration and returns the words it is started with, after its program, and the files it wrote.
"""
import contextlib
import dataclasses
import time

import machine
from lab import Broken, stop, wait_port
from recorder import get

from . import caddy, edge, haproxy, nginx, traefik

ALL = {peer.NAME: peer for peer in (edge, nginx, haproxy, caddy, traefik)}


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a peer is asked to be; the same for all."""

    upstream: int
    tls: bool = False
    h2: bool = False
    websockets: bool = False
    # Connections that must fit.
    connections: int = 4096
    # Routes by host name, all to the same target; none means one route for every host. Only for our own edge.
    hosts: int = 0
    # The policies of `features.py`. Only for our own edge.
    route: dict | None = None
    snapshot: dict | None = None
    port: int = dataclasses.field(default_factory=machine.free_port)
    cores: int = machine.CORES


class Peers:
    """Those of them that are on this machine, and why the others are not."""

    def __init__(self, wanted, tools):
        self.programs, self.missing = {}, {}
        for name in wanted:
            program = ALL[name].find(tools)
            if program:
                self.programs[name] = program
            else:
                self.missing[name] = ALL[name].MISSING
        self.versions = {name: ALL[name].version(program) for name, program in self.programs.items()}

    def __contains__(self, name):
        return name in self.programs

    @contextlib.contextmanager
    def running(self, lab, name, plan):
        """A fresh process that listens; ended afterwards."""
        words, _ = ALL[name].prepare(lab, plan)
        process = lab.spawn(name, [self.programs[name], *words], getattr(ALL[name], "ENVIRONMENT", {}))
        try:
            wait_port(plan.port, process, name, lambda: lab.log_of(name))
            if getattr(ALL[name], "LATE", False):
                wait_routes(plan, name)
            yield process
        finally:
            stop(process)


def wait_routes(plan, name):
    """A peer that listens before it has read its routes answers 404 until then, and no TLS."""
    for _ in range(200):
        with contextlib.suppress(Broken):
            if get(plan.port, "/1k", tls=plan.tls)[0] != 404:
                return
        time.sleep(0.05)
    raise Broken(f"{name} has no routes after 10 s")
