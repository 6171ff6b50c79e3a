"""The edge's world while it is soaked: its snapshot, which changes all the time, its targets, and the load tools."""
import asyncio
import hashlib
import itertools

import lab
import sample
import targets
from clients import Clients

POOLS = "soak/test"
# So often everything about the routes changes, and every so many times the certificate too.
CHANGE_EVERY, CERTIFICATE_EVERY = 1.0, 10


class World:
    def __init__(self, edge, folder, ports):
        self.edge, self.folder, self.counted = edge, folder, sample.Counted()
        self.one, self.two, self.plain, self.secure, self.dead = ports
        self.certificates, self.turns = [], itertools.count(1)

    def start(self):
        for name in ("first", "second"):
            place = self.folder / name
            place.mkdir()
            self.certificates.append(lab.certificate(place))

    def snapshot(self, turn, odd):
        """Another release each time, one or two targets, a certificate in turn, and a route that comes and goes."""
        host = {"host": "127.0.0.1"}
        bulk = [f"127.0.0.1:{port}" for port in (self.one, self.two)]
        pools = [
            {"name": f"{POOLS}/bulk", "release": f"r{turn}", "targets": bulk[:1 + turn % 2], "drain_websocket_ms": 500},
            {"name": f"{POOLS}/odd", "release": f"r{turn // 5}", "targets": [f"127.0.0.1:{odd}"],
             "drain_websocket_ms": 500},
            {"name": f"{POOLS}/failing", "release": f"r{turn // 3}",
             "targets": [f"127.0.0.1:{self.dead}", f"127.0.0.1:{odd}"],
             "health": {"path": "/slow", "interval_ms": 500, "timeout_ms": 200, "fall": 2, "rise": 2},
             "outlier": {"consecutive": 5, "eject_ms": 300}},
        ]
        routes = [{"path": "/", "pool": f"{POOLS}/bulk", **host}]
        routes += [{"path": path, "pool": f"{POOLS}/odd", **host} for path in ("/ws", "/events", "/upload", "/slow")]
        routes += [
            {"path": "/failing", "pool": f"{POOLS}/failing", **host},
            {"path": "/limited", "pool": f"{POOLS}/bulk", "strip_prefix": True,
             "limits": {"rates": [{"requests": 20, "per_ms": 1000, "burst": 5}]}, **host},
            {"path": "/crowded", "pool": f"{POOLS}/odd", "strip_prefix": True,
             "limits": {"in_flight": 2, "queue": 2, "queue_ms": 100}, **host},
            {"path": f"/comes-and-goes-{turn}", "pool": f"{POOLS}/bulk", "methods": ["GET"],
             "sticky": {"cookie": "stay"}, **host},
        ]
        chain, key = self.certificates[turn // CERTIFICATE_EVERY % 2]
        digest = hashlib.sha256(chain.read_bytes() + key.read_bytes()).hexdigest()
        listeners = [lab.listener("web", self.plain), lab.listener("websecure", self.secure, tls={})]
        certificates = [{"chain": str(chain), "key": str(key), "digest": digest, "is_default": True}]
        log = {"sample": 1000, "slow_ms": 5000, "rotate_bytes": 1 << 20}
        return {"listeners": listeners, "pools": pools, "routes": routes, "certificates": certificates,
                "access_log": log}

    async def under_load(self, seconds):
        server = await asyncio.start_server(targets.odd, "127.0.0.1", 0, backlog=512)
        odd = server.sockets[0].getsockname()[1]
        await asyncio.to_thread(self.edge.apply, self.snapshot(next(self.turns), odd))
        ends = asyncio.get_running_loop().time() + seconds
        clients = Clients(self.plain, self.secure)
        tools = [self.again(words, ends, clients.counts) for words in self.tools()]
        await asyncio.gather(clients.run(ends), self.change(ends, odd), *tools)
        server.close()
        return clients.counts

    async def change(self, ends, odd):
        loop = asyncio.get_running_loop()
        while loop.time() < ends:
            await asyncio.to_thread(self.edge.apply, self.snapshot(next(self.turns), odd))
            await asyncio.sleep(CHANGE_EVERY)

    def tools(self):
        """Each runs for ten seconds and then anew, with new connections."""
        plain, secure = f"http://127.0.0.1:{self.plain}", f"https://127.0.0.1:{self.secure}"
        shake = ["openssl", "s_time", "-connect", f"127.0.0.1:{self.secure}", "-www", "/1k HTTP/1.0\r\nHost: 127.0.0.1\r\nX:",
                 "-time", "10"]
        return [
            ["wrk", "-t1", "-c32", "-d10s", f"{plain}/1k"],
            ["wrk", "-t1", "-c4", "-d10s", f"{plain}/100k"],
            ["wrk", "-t1", "-c4", "-d10s", "-H", "Connection: close", f"{plain}/1k"],
            ["wrk", "-t1", "-c8", "-d10s", f"{secure}/1k"],
            ["wrk", "-t1", "-c4", "-d10s", f"{plain}/limited/1k"],
            ["h2load", "-t1", "-c8", "-m4", "-D", "10", f"{plain}/1k"],
            ["h2load", "-t1", "-c4", "-m4", "-D", "10", f"{secure}/1k"],
            [*shake, "-new"],
            [*shake, "-reuse"],
        ]

    async def again(self, words, ends, counts):
        loop = asyncio.get_running_loop()
        while loop.time() < ends:
            quiet = asyncio.subprocess.DEVNULL
            tool = await asyncio.create_subprocess_exec(*words, stdin=quiet, stdout=quiet, stderr=quiet)
            try:
                await asyncio.wait_for(tool.wait(), 60)
            except asyncio.TimeoutError:
                tool.kill()
                await tool.wait()
            counts.add(f"{words[0]}, {'done' if tool.returncode == 0 else f'ended with {tool.returncode}'}")
