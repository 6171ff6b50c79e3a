"""Clients that hold connections open and notice everything that goes wrong with them.

Libraries that are not ours speak the protocols; each client counts what it did and writes down each fault with its time.
"""
import asyncio
import collections
import hashlib
import json
import ssl
import time

import aiohttp
import grpc
import websockets

PIECE = b"0123456789abcdef" * 4096  # 64 KiB


class Ledger:
    """What happened, by kind of client."""

    def __init__(self):
        self.done = collections.Counter()
        self.ended = collections.Counter()
        self.faults = []
        self.changes = []

    def fault(self, kind, text):
        self.faults.append({"at": round(time.time(), 3), "kind": kind, "text": str(text)[:200]})


async def websocket(ledger, url, tls, stop):
    """Sends a message every 100 ms and wants each back; comes back when the edge ends it."""
    while not stop.is_set():
        waiting = None
        try:
            async with websockets.connect(url, ssl=tls, ping_interval=None, close_timeout=1) as socket:
                number = 0
                while not stop.is_set():
                    number += 1
                    waiting = f"message {number}"
                    await socket.send(waiting)
                    answer = await asyncio.wait_for(socket.recv(), 10)
                    if not answer.endswith(waiting):
                        ledger.fault("websocket", f"sent {waiting!r}, got {answer!r}")
                    waiting = None
                    ledger.done["websocket messages"] += 1
                    await asyncio.sleep(0.1)
        except websockets.ConnectionClosed as closed:
            # The end of its budget: allowed, and only then. Whether it is the time for it is judged afterwards.
            ledger.ended["websocket"] += 1
            ledger.changes.append({"at": time.time(), "kind": "websocket", "clean": closed.rcvd is not None})
        except (OSError, asyncio.TimeoutError, websockets.InvalidHandshake, websockets.InvalidMessage) as error:
            ledger.fault("websocket", f"{type(error).__name__}: {error} (waiting for {waiting!r})")
            await asyncio.sleep(0.2)


async def server_sent_events(ledger, session, url, stop):
    """Reads events; the stream may end, but only as HTTP ends streams."""
    while not stop.is_set():
        try:
            async with session.get(url, timeout=aiohttp.ClientTimeout(total=None, sock_read=10)) as answer:
                if answer.status != 200:
                    ledger.fault("events", f"status {answer.status}")
                    await asyncio.sleep(0.2)
                    continue
                async for line in answer.content:
                    if line.startswith(b"data:"):
                        ledger.done["events"] += 1
                    if stop.is_set():
                        return
            ledger.ended["events"] += 1
            ledger.changes.append({"at": time.time(), "kind": "events", "clean": True})
        except (aiohttp.ClientError, asyncio.TimeoutError) as error:
            ledger.fault("events", f"{type(error).__name__}: {error}")
            await asyncio.sleep(0.2)


async def upload(ledger, session, url, seconds, stop):
    """One upload after another, each as slow as told; the far side must have got every byte."""
    while not stop.is_set():
        digest, size = hashlib.sha256(), 0

        async def pieces():
            nonlocal size
            for _ in range(int(seconds * 10)):
                digest.update(PIECE)
                size += len(PIECE)
                yield PIECE
                await asyncio.sleep(0.1)

        try:
            async with session.post(url, data=pieces(), timeout=aiohttp.ClientTimeout(total=seconds * 3)) as answer:
                text = await answer.text()
                if answer.status != 200:
                    ledger.fault("upload", f"status {answer.status}: {text}")
                elif json.loads(text) != {"size": size, "sha256": digest.hexdigest()}:
                    ledger.fault("upload", f"{size} bytes sent, the answer is {text}")
                else:
                    ledger.done["uploads"] += 1
        except (aiohttp.ClientError, asyncio.TimeoutError, ValueError) as error:
            ledger.fault("upload", f"{type(error).__name__}: {error} after {size} bytes")
            await asyncio.sleep(0.2)


def channel(address, authority, index):
    """A connection of its own. The library's repeats are off: a call that fails is to be seen."""
    options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1), ("zerodrop.channel", index)]
    if authority is None:
        return grpc.aio.insecure_channel(address, options)
    with open(authority, "rb") as file:
        return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(file.read()), options)


async def calls(ledger, connection, stop):
    """Calls with one answer, one every 20 ms; each must succeed."""
    say = connection.unary_unary("/zerodrop.Echo/Say")
    number = 0
    while not stop.is_set():
        number += 1
        message = f"call {number}".encode()
        try:
            answer = await say(message, timeout=10)
            if not answer.endswith(b" " + message):
                ledger.fault("grpc call", f"sent {message!r}, got {answer!r}")
            ledger.done["grpc calls"] += 1
        except grpc.aio.AioRpcError as error:
            ledger.fault("grpc call", f"{error.code().name}: {error.details()}")
        await asyncio.sleep(0.02)


async def grpc_stream(ledger, connection, stop):
    """A stream both ways: a message every 100 ms, each wanted back; comes back when the edge ends it."""
    talk = connection.stream_stream("/zerodrop.Echo/Talk")
    while not stop.is_set():
        stream, number = talk(), 0
        try:
            while not stop.is_set():
                number += 1
                message = f"message {number}".encode()
                await stream.write(message)
                answer = await asyncio.wait_for(stream.read(), 10)
                if answer is grpc.aio.EOF or not answer.endswith(b" " + message):
                    ledger.fault("grpc stream", f"sent {message!r}, got {answer!r}")
                    break
                ledger.done["grpc stream messages"] += 1
                await asyncio.sleep(0.1)
            else:
                await stream.done_writing()
                await asyncio.wait_for(stream.read(), 10)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, asyncio.TimeoutError) as error:
            code, text = await stream.code(), await stream.details()
            if code == grpc.StatusCode.UNAVAILABLE and "(release-over)" in text:
                # As with WebSockets: whether it was the time for it is judged afterwards.
                ledger.ended["grpc stream"] += 1
                ledger.changes.append({"at": time.time(), "kind": "grpc stream", "clean": True})
            else:
                ledger.fault("grpc stream", f"{type(error).__name__}, {code}: {text} (at message {number})")
                await asyncio.sleep(0.2)


async def run(ledger, plain, secure, authority, stop, upload_s=20, sockets=20):
    """All clients at once: half of the WebSockets and streams over TLS when there is a secure address."""
    tls = ssl.create_default_context(cafile=authority) if secure else None
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, ssl=tls or True)) as session:
        work = []
        for index in range(sockets):
            over_tls = secure and index % 2
            url = f"wss://{secure}/ws" if over_tls else f"ws://{plain}/ws"
            work.append(websocket(ledger, url, tls if over_tls else None, stop))
            base = f"https://{secure}" if over_tls else f"http://{plain}"
            work.append(server_sent_events(ledger, session, f"{base}/events", stop))
        bases = [f"http://{plain}"] + ([f"https://{secure}"] if secure else [])
        work += [upload(ledger, session, f"{base}/upload", upload_s, stop) for base in bases]
        # Two of each kind, both on one connection, as gRPC clients have it.
        channels = [channel(plain, None, 0)] + ([channel(secure, authority, 1)] if secure else [])
        for connection in channels:
            work += [calls(ledger, connection, stop), calls(ledger, connection, stop),
                     grpc_stream(ledger, connection, stop), grpc_stream(ledger, connection, stop)]
        await asyncio.gather(*work)
        for connection in channels:
            await connection.close()
