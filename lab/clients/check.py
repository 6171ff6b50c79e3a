#!/usr/bin/env python3
"""Real clients at full speed through the edge: none of them may be taken for an attacker.

    lab/clients/check.py EDGE MODULES      EDGE is the example program `edge-bench`, MODULES a folder of Node's modules

The C core of gRPC (Python), @grpc/grpc-js, h2load, nghttp, curl and httpx.
A connection that is ended loses the calls on it, so each client has to get every answer; the edge's own counters
have to name no refusal.
A flood is sent first and has to be refused: a check that an attack passes is no check.
"""

import asyncio
import collections
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import grpc
import httpx

# Far more than what a connection may send for nothing at once, for as little as each call brings with it.
CALLS = 3_000
STREAMS = 100
WORKERS = 16
HERE = pathlib.Path(__file__).parent
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
WINDOW_UPDATE = bytes([0, 0, 4, 8, 0, 0, 0, 0, 0]) + (1).to_bytes(4, "big")


class Calls(grpc.GenericRpcHandler):
    """`Echo` answers what it was asked; `Count` streams as many small messages as it was asked for."""

    def service(self, details):
        if details.method.endswith("/Echo"):
            return grpc.unary_unary_rpc_method_handler(self.echo)
        if details.method.endswith("/Count"):
            return grpc.unary_stream_rpc_method_handler(self.count)
        return None

    async def echo(self, asked, _context):
        return asked

    async def count(self, asked, _context):
        for number in range(int(asked)):
            yield b"%d" % number


class Service(asyncio.Protocol):
    """`ok` to each request over HTTP/1.1 that has no body."""

    def connection_made(self, transport):
        self.transport, self.unread = transport, b""

    def data_received(self, data):
        *heads, self.unread = (self.unread + data).split(b"\r\n\r\n")
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" * len(heads))


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


async def listens(port):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        await asyncio.sleep(0.05)
    raise SystemExit("the edge does not listen")


async def services():
    calls = grpc.aio.server()
    calls.add_generic_rpc_handlers((Calls(),))
    calls_port = calls.add_insecure_port("127.0.0.1:0")
    await calls.start()
    plain = await asyncio.get_running_loop().create_server(Service, "127.0.0.1", 0)
    return calls, calls_port, plain, plain.sockets[0].getsockname()[1]


def certificate(folder):
    """One that nobody trusts: what it is worth is no question here."""
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
             "2", "-subj", "/CN=lab.test", "-addext", "subjectAltName=DNS:lab.test", "-keyout", f"{folder}/key.pem",
             "-out", f"{folder}/chain.pem"]
    subprocess.run(words, check=True, capture_output=True)
    return {"names": [], "chain": f"{folder}/chain.pem", "key": f"{folder}/key.pem", "is_default": True}


async def edge(program, folder, calls_port, plain_port):
    """A running edge with one listener for gRPC and one for the rest."""
    ports = {name: free_port() for name in ["calls", "plain", "tls"]}
    listeners = [{"name": name, "bind": f"127.0.0.1:{port}"} for name, port in ports.items()]
    listeners[2]["tls"] = {}
    targets = {"calls": calls_port, "plain": plain_port}
    pools = [{"name": name, "release": "r1", "targets": [f"127.0.0.1:{port}"]} for name, port in targets.items()]
    pools[0]["protocol"] = "h2c"
    routes = [{"pool": "calls", "listeners": ["calls"]}, {"pool": "plain", "listeners": ["plain", "tls"]}]
    snapshot = pathlib.Path(folder, "snapshot.json")
    snapshot.write_text(json.dumps({"epoch": 1, "listeners": listeners, "pools": pools, "routes": routes,
                                    "certificates": [certificate(folder)]}))
    process = subprocess.Popen([program, str(snapshot), f"{folder}/state"])
    for port in ports.values():
        await listens(port)
    return process, ports


async def refused(folder):
    """What the edge has refused, by its words."""
    transport = httpx.AsyncHTTPTransport(uds=f"{folder}/state/edge.sock")
    async with httpx.AsyncClient(transport=transport) as client:
        text = (await client.get("http://edge/metrics")).text
    head = "mainstay_edge_refused_total{reason=\""
    lines = [line.removeprefix(head).split("\"} ") for line in text.splitlines() if line.startswith(head)]
    return {word: int(float(count)) for word, count in lines if float(count) > 0}


async def ran(*words, **environment):
    process = await asyncio.create_subprocess_exec(
        *words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **environment})
    said, _ = await asyncio.wait_for(process.communicate(), 300)
    return said.decode(errors="replace")


async def over_and_over(one, times):
    """WORKERS at once do `one` until it was done so often; what came of it, by its word."""
    outcomes, left = collections.Counter(), iter(range(times))

    async def worker():
        for _ in left:
            outcomes[await one()] += 1

    await asyncio.gather(*[worker() for _ in range(WORKERS)])
    return dict(outcomes)


async def by_grpcio(port, method, times=CALLS):
    options = [("grpc.enable_retries", 0)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        async def one():
            try:
                await method(channel)
                return "ok"
            except grpc.RpcError as error:
                return f"{error.code().name} {error.details()}"

        return await over_and_over(one, times)


async def echo(channel):
    assert await channel.unary_unary("/lab.Calls/Echo")(b"x", timeout=20) == b"x"


async def stream(channel):
    messages = [message async for message in channel.unary_stream("/lab.Calls/Count")(b"200", timeout=20)]
    assert len(messages) == 200, len(messages)


async def cancelled(channel):
    call = channel.unary_stream("/lab.Calls/Count")(b"1000000", timeout=20)
    await call.read()
    call.cancel()


async def by_grpc_js(port, modules):
    said = await ran("node", str(HERE / "calls.mjs"), str(port), str(WORKERS), str(CALLS), CLIENTS_MODULES=modules)
    return json.loads(said.strip().splitlines()[-1])


async def by_httpx(port):
    async with httpx.AsyncClient(http1=False, http2=True) as client:
        async def one():
            try:
                return "ok" if (await client.get(f"http://127.0.0.1:{port}/")).text == "ok" else "another answer"
            except httpx.HTTPError as error:
                return repr(error)

        return await over_and_over(one, CALLS)


async def by_h2load(port):
    said = await ran("h2load", "-n", "20000", "-c", "1", "-m", "100", f"http://127.0.0.1:{port}/")
    fine = "20000 succeeded, 0 failed, 0 errored, 0 timeout"
    return {"ok": 20_000} if fine in said else {said: 1}


async def by_nghttp(port):
    said = await ran("nghttp", "-m", "3000", "-v", "-n", f"http://127.0.0.1:{port}/")
    answers = said.count(":status: 200")
    return {"ok": answers} if answers == 3_000 else {f"{answers} of 3000 answers: {said[-500:]}": 1}


async def by_curl(port):
    # Over TLS: with prior knowledge, the curl of Debian 12 fails with any server when it uses a connection again.
    words = ["--http2", "--insecure", "--parallel", "--parallel-max", "100", "--no-progress-meter",
             "--output", "/dev/null", "--write-out", "%{http_code}\n"]
    said = await ran("curl", *words, f"https://127.0.0.1:{port}/[1-3000]")
    outcomes = collections.Counter("ok" if line == "200" else line for line in said.splitlines())
    return dict(outcomes)


async def the_check_can_fail(port, folder):
    """A flood that answers nothing ends its connection, and is counted by its word."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(PREFACE + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        for _ in range(100):
            writer.write(WINDOW_UPDATE * 100)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()
    await asyncio.sleep(0.3)
    found = await refused(folder)
    if not found.get("h2-flood-window"):
        raise SystemExit(f"the check is blind: a flood of windows is not refused; counted: {found}")
    print("PASS  a flood of WINDOW_UPDATE frames that answer nothing is refused")
    return found


async def main(program, modules):
    calls, calls_port, plain, plain_port = await services()
    folder = tempfile.mkdtemp(prefix="mainstay-clients-")
    process, passed, failed = None, 0, 0
    try:
        process, ports = await edge(program, folder, calls_port, plain_port)
        before = await the_check_can_fail(ports["calls"], folder)
        passed += 1
        clients = {
            "grpcio, calls of one byte": lambda: by_grpcio(ports["calls"], echo),
            "grpcio, streams of small messages": lambda: by_grpcio(ports["calls"], stream, STREAMS),
            "grpcio, streams that are cancelled": lambda: by_grpcio(ports["calls"], cancelled),
            "@grpc/grpc-js, calls of one byte": lambda: by_grpc_js(ports["calls"], modules),
            "httpx": lambda: by_httpx(ports["plain"]),
            "h2load": lambda: by_h2load(ports["plain"]),
            "nghttp": lambda: by_nghttp(ports["plain"]),
            "curl": lambda: by_curl(ports["tls"]),
        }
        for name, client in clients.items():
            began = time.monotonic()
            outcomes, now = await client(), await refused(folder)
            rate = outcomes.get("ok", 0) / (time.monotonic() - began)
            is_fine = set(outcomes) == {"ok"} and now == before
            passed, failed = passed + is_fine, failed + (not is_fine)
            found = "" if is_fine else f" {outcomes}; refused before {before}, now {now}"
            print(f"{'PASS' if is_fine else 'FAIL'}  {name}: {rate:.0f} a second{found}", flush=True)
            before = now
    finally:
        if process:
            process.terminate()
            process.wait()
        plain.close()
        await calls.stop(None)
        shutil.rmtree(folder)
    print(f"clients: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(asyncio.run(main(*sys.argv[1:])))
