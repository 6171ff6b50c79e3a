"""Two targets: a WebSocket server that is not ours, and one that only shows which bytes arrived."""
import asyncio
import base64
import contextlib
import hashlib
import urllib.parse

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
LARGEST = 64 << 20


async def behave(link):
    """What the server does is the path's word; the client sees how it ends."""
    with contextlib.suppress(ConnectionClosed):
        await act(link)


async def act(link):
    address = urllib.parse.urlsplit(link.request.path)
    query = dict(urllib.parse.parse_qsl(address.query))
    match address.path:
        case "/echo":
            async for message in link:
                await link.send(message)
        case "/count":
            # How many pieces a message came in.
            async for message in link:
                await link.send(str(len(message)))
        case "/pieces":
            pieces = [b"a" * int(query["size"])] * int(query["pieces"])
            await link.send(pieces)
            await link.wait_closed()
        case "/ping":
            waiter = await link.ping(query.get("data", "").encode())
            await waiter
            await link.send("ponged")
            await link.wait_closed()
        case "/close":
            await link.close(int(query["code"]), query.get("reason", ""))
        case "/drop":
            link.transport.abort()
        case "/protocol":
            await link.send(f"{link.subprotocol} {link.request.headers.get('Sec-WebSocket-Extensions', '-')}")
            await link.wait_closed()


async def refuse(link, request):
    """Some paths are no WebSocket."""
    for path, status in (("/401", 401), ("/403", 403), ("/404", 404), ("/503", 503)):
        if request.path == path:
            answer = link.respond(status, "not here\n")
            answer.headers["X-Why"] = "because"
            return answer
    return None


def choose(_link, offered):
    return next((name for name in ("superchat", "chat") if name in offered), None)


async def library():
    """The library's server."""
    return await serve(behave, "127.0.0.1", 0, process_request=refuse, select_subprotocol=choose,
                       max_size=LARGEST, ping_interval=None, close_timeout=5)


class Raw:
    """Takes the handshake, keeps every byte that follows, and writes what a case asks for."""

    def __init__(self):
        self.heads, self.received, self.links = [], bytearray(), asyncio.Queue()

    async def start(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]

    async def _serve(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        key = next(line.split(b": ")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(key + MAGIC).digest())
        # The first bytes of the new protocol come in one piece with the head.
        early = b"early" if b"/early" in head.split(b"\r\n")[0] else b""
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     b"Sec-WebSocket-Accept: " + accept + b"\r\nX-Extra: kept\r\n\r\n" + early)
        await self.links.put((reader, writer))
