"""WebSocket: a client and a server that are not ours, and raw bytes, over cleartext and over TLS."""
import asyncio
import ssl
import threading

import lab as labs
from verdict import FAILED, PASSED, Result
from websocket import cases, raw_cases, target

PATIENCE = 60


class Lab:
    """What a case may use."""

    def __init__(self, edge, raw, port, raw_port, is_secure):
        self.edge, self.raw, self.raw_port = edge, raw, raw_port
        self.url = f"{'wss' if is_secure else 'ws'}://localhost:{port}"
        self.trusting = None
        if is_secure:
            self.trusting = ssl.create_default_context()
            self.trusting.check_hostname, self.trusting.verify_mode = False, ssl.CERT_NONE

    def tunnels(self):
        return sum(value for name, value in self.edge.metrics().items() if name.startswith("mainstay_edge_websockets{"))


def results(edge, _suites):
    # In a loop of its own, since the runner is not one.
    found, failure = [], []
    def whole():
        try:
            asyncio.run(run(edge, found))
        except Exception as problem:
            failure.append(problem)
    thread = threading.Thread(target=whole)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return found


async def run(edge, found):
    server = await target.library()
    raw = target.Raw()
    ports = [labs.free_port() for _ in range(4)]
    raw_target = await raw.start()
    snapshot = described(edge, server.sockets[0].getsockname()[1], raw_target, ports)
    await asyncio.to_thread(edge.apply, snapshot)
    for suite, port, raw_port, is_secure in (("ws", ports[0], ports[1], False), ("wss", ports[2], ports[3], True)):
        lab = Lab(edge, raw, port, raw_port, is_secure)
        more = [] if is_secure else raw_cases.OVER_CLEARTEXT
        for name, case in [*cases.CASES, *raw_cases.CASES, *more]:
            found.append(await judged(suite, name, case, lab))
    server.close()


async def judged(suite, name, case, lab):
    try:
        await asyncio.wait_for(case(lab), PATIENCE)
    except Exception as problem:
        return Result(suite, name, FAILED, f"{type(problem).__name__}: {problem}")
    return Result(suite, name, PASSED)


def described(edge, library, raw, ports):
    chain, key = labs.certificate(edge.folder)
    names = ("web", "raw", "websecure", "rawsecure")
    listeners = [labs.listener(name, port, **({"tls": {}} if "secure" in name else {}))
                 for name, port in zip(names, ports)]
    pools = [{"name": f"conformance/test/{name}", "release": "r1", "targets": [f"127.0.0.1:{port}"]}
             for name, port in (("library", library), ("raw", raw))]
    routes = [{"path": "/", "pool": "conformance/test/library", "listeners": ["web", "websecure"]},
              {"path": "/", "pool": "conformance/test/raw", "listeners": ["raw", "rawsecure"]}]
    return {"listeners": listeners, "pools": pools, "routes": routes,
            "certificates": [{"chain": str(chain), "key": str(key), "is_default": True}]}
