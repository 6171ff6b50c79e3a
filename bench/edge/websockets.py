#!/usr/bin/env python3
"""Many idle WebSockets: a target that echoes, and a client that opens, holds and then proves each of them.

    websockets.py serve PORT            answers upgrades, echoes frames, until it is terminated
    websockets.py hold PORT N SECONDS   opens N, prints `open K`, rests, sends a frame on each, prints `alive K`

Frames are the shortest there are (up to 125 bytes); this is a tool for one measurement and no library.
"""
import asyncio
import base64
import hashlib
import socket
import sys

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = base64.b64encode(b"0123456789abcdef")
ACCEPT = base64.b64encode(hashlib.sha1(KEY + GUID).digest())
# As many of one source address as an edge allows a single client, with room to spare.
PER_ADDRESS = 500
# Handshakes under way at a time.
AT_ONCE = 100
MASK = b"mask"


def masked(payload):
    return bytes([0x82, 0x80 | len(payload)]) + MASK + bytes(b ^ MASK[n % 4] for n, b in enumerate(payload))


def unmasked(frame):
    length, mask = frame[1] & 0x7F, frame[2:6]
    return bytes(b ^ mask[n % 4] for n, b in enumerate(frame[6:6 + length]))


class Echo(asyncio.Protocol):
    """One WebSocket of the target's side."""

    def connection_made(self, transport):
        self.transport, self.upgraded, self.rest = transport, False, b""

    def data_received(self, data):
        self.rest += data
        if not self.upgraded:
            head, end, self.rest = self.rest.partition(b"\r\n\r\n")
            if not end:
                self.rest = head
                return
            self._answer(head)
        while len(self.rest) >= 2 and len(self.rest) >= 6 + (self.rest[1] & 0x7F):
            payload = unmasked(self.rest)
            self.transport.write(bytes([0x82, len(payload)]) + payload)
            self.rest = self.rest[6 + len(payload):]

    def _answer(self, head):
        lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        if b"upgrade" not in lines.get(b"connection", b"") or lines.get(b"upgrade") != b"websocket":
            self.transport.write(b"HTTP/1.1 400 No Upgrade\r\nContent-Length: 0\r\n\r\n")
            return
        self.upgraded = True
        self.transport.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                             b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n")


async def serve(port):
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


def source(number):
    """127.1.0.1, 127.1.0.2, …: several clients, as far as a proxy can see."""
    address = 1 + number // PER_ADDRESS
    return f"127.1.{address // 250}.{address % 250 + 1}"


async def opened(port, number, gate):
    """A socket after its handshake, or the reason why there is none."""
    loop = asyncio.get_running_loop()
    link = socket.socket()
    link.setblocking(False)
    async with gate:
        try:
            link.bind((source(number), 0))
            await loop.sock_connect(link, ("127.0.0.1", port))
            await loop.sock_sendall(link, b"GET /socket HTTP/1.1\r\nHost: bench.test\r\nConnection: Upgrade\r\n"
                                    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
                                    + KEY + b"\r\n\r\n")
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                part = await asyncio.wait_for(loop.sock_recv(link, 4096), 20)
                if not part:
                    raise OSError("closed instead of answered")
                head += part
            if not head.startswith(b"HTTP/1.1 101"):
                raise OSError(head.split(b"\r\n")[0].decode(errors="replace"))
            return link
        except (OSError, TimeoutError, asyncio.TimeoutError) as problem:
            link.close()
            return str(problem) or "no answer within 20 s"


async def alive(link, number, gate):
    """Whether a frame comes back."""
    loop, payload = asyncio.get_running_loop(), f"frame {number}".encode()
    wanted, got = bytes([0x82, len(payload)]) + payload, b""
    async with gate:
        try:
            await loop.sock_sendall(link, masked(payload))
            while len(got) < len(wanted):
                part = await asyncio.wait_for(loop.sock_recv(link, 256), 20)
                if not part:
                    return False
                got += part
        except (OSError, TimeoutError, asyncio.TimeoutError):
            return False
    return got == wanted


async def hold(port, count, seconds):
    gate = asyncio.Semaphore(AT_ONCE)
    results = await asyncio.gather(*(opened(port, number, gate) for number in range(count)))
    links = [link for link in results if isinstance(link, socket.socket)]
    problems = sorted({problem for problem in results if isinstance(problem, str)})
    print("open", len(links), "; ".join(problems[:3]), flush=True)
    await asyncio.sleep(seconds)
    proofs = await asyncio.gather(*(alive(link, number, gate) for number, link in enumerate(links)))
    print("alive", sum(proofs), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(serve(int(sys.argv[2])))
    else:
        asyncio.run(hold(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
