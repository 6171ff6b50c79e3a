"""Connections that do nothing: what memory they take, and whether they are still there afterwards."""
import contextlib
import socket
import subprocess
import sys
import time

import machine
from lab import Broken, stop, wait_port
from machine import Window, pss_kb
from peers import Plan

CONNECTIONS = 5_000
WEBSOCKETS = 10_000
# Files a proxy needs beside two for each WebSocket, and what the other peers keep back for themselves.
SPARE_FILES = 200
# One address of a client stays below what an edge allows a single one.
PER_ADDRESS = 500


def connections(bench, _case, contender):
    """PSS with all connections idle, less PSS after the first request."""
    count = CONNECTIONS // 10 if bench.quick else CONNECTIONS
    plan = Plan(upstream=bench.lab.port, connections=count + 100)
    with bench.peers.running(bench.lab, contender.peer, plan) as process, contextlib.ExitStack() as links:
        ask(links, plan.port, 0)
        time.sleep(0.5)
        before = pss_kb(process.pid)
        window = Window(process.pid, [bench.lab.upstream.pid])
        for number in range(count):
            ask(links, plan.port, number)
        time.sleep(0.5 if bench.quick else 2)
        _, _, foreign = window.end()
        after = pss_kb(process.pid)
        return {"bytes_each": (after - before) * 1024 / count, "pss_rest": before / 1000, "pss": after / 1000,
                "count": count, "foreign": foreign}


def ask(links, port, number):
    """One request over a connection that is then left open."""
    link = links.enter_context(socket.socket())
    link.settimeout(10)
    link.bind((f"127.1.0.{1 + number // PER_ADDRESS}", 0))
    link.connect(("127.0.0.1", port))
    link.sendall(b"GET /1k HTTP/1.1\r\nHost: bench.test\r\n\r\n")
    got = b""
    while b"\r\n\r\n" not in got or len(got.partition(b"\r\n\r\n")[2]) < 1024:
        part = link.recv(8192)
        if not part:
            raise Broken(f"connection {number} was closed: {got[:80]!r}")
        got += part
    if not got.startswith(b"HTTP/1.1 200"):
        raise Broken(f"connection {number} was answered {got[:40]!r}")


def possible(limit):
    """How many WebSockets fit into one process that takes two files for each."""
    return min(WEBSOCKETS, (limit - SPARE_FILES) // 2)


def websockets(bench, _case, contender):
    """Opened through the peer, left alone, then each asked for an echo."""
    fit = possible(machine.raise_file_limit())
    count, rest = (min(500, fit), 1) if bench.quick else (fit, 5)
    target = machine.free_port()
    script = __file__.replace("idle.py", "websockets.py")
    server = bench.lab.spawn("websockets", [sys.executable, script, "serve", str(target)])
    try:
        wait_port(target, server, "the WebSockets' target")
        plan = Plan(upstream=target, websockets=True, connections=count + 20)
        with bench.peers.running(bench.lab, contender.peer, plan) as process:
            # A worker may still be setting itself up when the port already answers.
            time.sleep(0.5)
            before = pss_kb(process.pid)
            return held(process, server, [sys.executable, script, "hold", str(plan.port), str(count), str(rest)],
                        count, before)
    finally:
        stop(server)


def held(process, server, words, count, before):
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as client:
        opened = client.stdout.readline().split(maxsplit=2)
        if opened[:1] != ["open"] or opened[1] == "0":
            raise Broken(f"no WebSocket was opened: {' '.join(opened[2:]) or 'the client ended'}")
        window = Window(process.pid, [server.pid, client.pid])
        memory = pss_kb(process.pid) - before
        alive = client.stdout.readline().split()
        seconds, cpu, foreign = window.end()
        if alive[:1] != ["alive"]:
            raise Broken("the WebSockets' client ended before its proof")
        return {"alive": int(alive[1]), "asked": count, "problems": " ".join(opened[2:]).strip(),
                "bytes_each": memory * 1024 / int(opened[1]), "cpu_share": cpu / seconds * 100,
                "pss_rest": before / 1000, "pss": (before + memory) / 1000, "foreign": foreign}
