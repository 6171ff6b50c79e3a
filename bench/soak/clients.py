"""Clients that no load tool is: they leave, dawdle, upload, listen, and ask for what is not there."""
import asyncio
import os
import ssl
import struct

KEY = "c29hayBzb2FrIHNvYWsgIQ=="


class Counts(dict):
    def add(self, name):
        self[name] = self.get(name, 0) + 1


class Clients:
    def __init__(self, port, secure_port):
        self.port, self.secure_port = port, secure_port
        self.counts = Counts()
        self.trusting = ssl.create_default_context()
        self.trusting.check_hostname, self.trusting.verify_mode = False, ssl.CERT_NONE

    def kinds(self):
        """Each with how many of it are at work at once, and its rest between two turns in seconds."""
        return [(self.websocket, 16, 0.0), (self.events, 8, 0.0), (self.upload, 6, 0.02), (self.chunked, 4, 0.02),
                (self.aborted, 8, 0.02), (self.aborted_download, 4, 0.02), (self.reset, 4, 0.02),
                (self.slow_head, 4, 0.5), (self.slow_reader, 4, 0.1), (self.idle, 8, 0.5), (self.nowhere, 4, 0.02),
                (self.missing, 4, 0.02), (self.limited, 4, 0.01), (self.crowded, 12, 0.0), (self.failing, 8, 0.02),
                (self.garbage, 4, 0.05), (self.plain_to_tls, 2, 0.1), (self.half_tls, 2, 0.2)]

    async def run(self, ends):
        """Until the moment `ends` of the loop's clock."""
        loop = asyncio.get_running_loop()
        async def again(kind, rest):
            while loop.time() < ends:
                try:
                    await asyncio.wait_for(kind(), 20)
                    self.counts.add(kind.__name__)
                except (OSError, EOFError, asyncio.TimeoutError, ssl.SSLError):
                    self.counts.add(f"{kind.__name__}, broken off")
                await asyncio.sleep(rest)
        await asyncio.gather(*[again(kind, rest) for kind, many, rest in self.kinds() for _ in range(many)])

    async def open(self, is_secure=False):
        if is_secure:
            return await asyncio.open_connection("127.0.0.1", self.secure_port, ssl=self.trusting)
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, text, body=b"", host="127.0.0.1", more="", is_secure=False):
        """One request on a connection of its own; the status is counted."""
        reader, writer = await self.open(is_secure)
        try:
            writer.write(request(text, host, more) + body)
            await writer.drain()
            answer = await reader.read()
            self.counts.add(answer[9:12].decode("latin-1") if answer else "no answer")
        finally:
            writer.close()

    async def websocket(self):
        reader, writer = await self.open(is_secure=os.urandom(1)[0] < 64)
        try:
            writer.write(request("GET /ws", more=f"Connection: Upgrade\r\nUpgrade: websocket\r\n"
                                                 f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"))
            await reader.readuntil(b"\r\n\r\n")
            for _ in range(20):
                writer.write(b"\x82\x85\0\0\0\0hello")
                await reader.readexactly(11)
                await asyncio.sleep(0.05)
        finally:
            writer.close()

    async def events(self):
        reader, writer = await self.open()
        try:
            writer.write(request("GET /events"))
            # Every other one leaves before the end.
            await (reader.read() if os.urandom(1)[0] < 128 else reader.readuntil(b"data: 5\n\n"))
        finally:
            writer.close()

    async def upload(self):
        size = 1 + int.from_bytes(os.urandom(2), "big") * 4
        await self.ask("POST /upload", bytes(size), more=f"Content-Length: {size}\r\n")

    async def chunked(self):
        await self.ask("POST /upload", b"400\r\n" + bytes(1024) + b"\r\n0\r\n\r\n", more="Transfer-Encoding: chunked\r\n")

    async def aborted(self):
        """Leaves inside its own body."""
        _, writer = await self.open()
        writer.write(request("POST /upload", more="Content-Length: 100000\r\n") + bytes(1000))
        await writer.drain()
        writer.close()

    async def aborted_download(self):
        reader, writer = await self.open()
        writer.write(request("GET /100k"))
        await reader.read(1000)
        writer.close()

    async def reset(self):
        """Leaves with a reset while its answer is on the way."""
        _, writer = await self.open()
        writer.write(request("GET /slow"))
        await writer.drain()
        writer.get_extra_info("socket").setsockopt(1, 13, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def slow_head(self):
        _, writer = await self.open()
        try:
            for byte in b"GET /1k HTTP/1.1\r\nHo":
                writer.write(bytes([byte]))
                await asyncio.sleep(0.1)
        finally:
            writer.close()

    async def slow_reader(self):
        reader, writer = await self.open()
        try:
            writer.write(request("GET /100k"))
            for _ in range(10):
                await reader.read(1000)
                await asyncio.sleep(0.1)
        finally:
            writer.close()

    async def idle(self):
        _, writer = await self.open(is_secure=os.urandom(1)[0] < 128)
        await asyncio.sleep(3)
        writer.close()

    async def nowhere(self):
        await self.ask("GET /", host="nowhere.example")

    async def missing(self):
        await self.ask("GET /missing", is_secure=True)

    async def limited(self):
        await self.ask("GET /limited/1k")

    async def crowded(self):
        await self.ask("GET /crowded/slow")

    async def failing(self):
        await self.ask("GET /failing")

    async def garbage(self):
        await self.ask(os.urandom(20).hex() + "\r\nGET")

    async def plain_to_tls(self):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.secure_port)
        writer.write(request("GET /"))
        await reader.read()
        writer.close()

    async def half_tls(self):
        _, writer = await asyncio.open_connection("127.0.0.1", self.secure_port)
        writer.write(b"\x16\x03\x01\x02\x00\x01")
        await asyncio.sleep(1)
        writer.close()


def request(text, host="127.0.0.1", more=""):
    close = "" if "Connection:" in more else "Connection: close\r\n"
    return f"{text} HTTP/1.1\r\nHost: {host}\r\n{close}{more}\r\n".encode()
