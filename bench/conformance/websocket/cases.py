"""Cases of RFC 6455 and RFC 7692 with a client and a server that are not ours."""
import asyncio
import os

import websockets
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

SIZES = (0, 1, 125, 126, 127, 128, 65535, 65536, 65537, 1 << 20, 16 << 20)


def need(condition, what):
    if not condition:
        raise AssertionError(what)


def link(lab, path, **more):
    return connect(lab.url + path, ssl=lab.trusting, max_size=64 << 20, ping_interval=None, close_timeout=5, **more)


def echoes(message, **more):
    async def case(lab):
        async with link(lab, "/echo", **more) as socket:
            await socket.send(message)
            back = await socket.recv()
            need(back == message, f"{len(message)} went, {len(back)} came back")
    return case


def in_pieces(pieces):
    async def case(lab):
        async with link(lab, "/echo", compression=None) as socket:
            await socket.send(pieces)
            back = await socket.recv()
            need(back == type(pieces[0])().join(pieces), "the pieces came back otherwise")
    return case


def from_server(pieces, size):
    async def case(lab):
        async with link(lab, f"/pieces?pieces={pieces}&size={size}", compression=None) as socket:
            seen = [piece async for piece in socket.recv_streaming()]
            need(b"".join(seen) == b"a" * pieces * size, "the message is another")
            need(sum(1 for piece in seen if piece) == (pieces if size else 0), f"{len(seen)} pieces")
    return case


async def pings_between_pieces(lab):
    async with link(lab, "/echo", compression=None) as socket:
        async def pieces():
            for number in range(5):
                waiter = await socket.ping(b"between %d" % number)
                yield "x" * 1000
                await asyncio.wait_for(waiter, 5)
        await socket.send(pieces())
        need(await socket.recv() == "x" * 5000, "the message is another")


async def many_pings(lab):
    async with link(lab, "/echo") as socket:
        waiters = [await socket.ping(b"%d" % number) for number in range(200)]
        await asyncio.wait_for(asyncio.gather(*waiters), 10)


def pinged(data):
    async def case(lab):
        async with link(lab, f"/ping?data={data}") as socket:
            need(await socket.recv() == "ponged", "no pong came to the server")
    return case


async def unasked_pong(lab):
    async with link(lab, "/echo") as socket:
        await socket.pong(b"nobody asked")
        await socket.send("still here")
        need(await socket.recv() == "still here", "the connection did not go on")


def closed_by_client(code, reason=""):
    async def case(lab):
        socket = await link(lab, "/echo")
        await socket.close(code, reason)
        need((socket.close_code, socket.close_reason) == (code, reason), f"{socket.close_code} {socket.close_reason}")
    return case


def closed_by_server(code, reason=""):
    async def case(lab):
        async with link(lab, f"/close?code={code}&reason={reason}") as socket:
            try:
                await socket.recv()
                need(False, "a message came")
            except websockets.ConnectionClosed as closed:
                need(closed.rcvd and (closed.rcvd.code, closed.rcvd.reason) == (code, reason), str(closed))
    return case


async def dropped(lab):
    async with link(lab, "/drop") as socket:
        try:
            await asyncio.wait_for(socket.recv(), 5)
            need(False, "a message came")
        except websockets.ConnectionClosed as closed:
            need(closed.rcvd is None, "a close that the server never sent")


async def client_vanishes(lab):
    socket = await link(lab, "/echo")
    await socket.send("x")
    await socket.recv()
    socket.transport.abort()
    for _ in range(500):
        if lab.tunnels() == 0:
            return
        await asyncio.sleep(0.01)
    need(False, "the edge keeps the tunnel of a client that has gone")


def protocols(offered, chosen):
    async def case(lab):
        async with link(lab, "/protocol", subprotocols=offered) as socket:
            need(socket.subprotocol == chosen, f"the client has {socket.subprotocol}")
            need((await socket.recv()).startswith(f"{chosen} "), "the server has another")
    return case


def refused(status):
    async def case(lab):
        try:
            async with link(lab, f"/{status}"):
                need(False, "it was let in")
        except websockets.InvalidStatus as answer:
            response = answer.response
            need(response.status_code == status and response.headers.get("X-Why") == "because", str(response))
            need(response.body == b"not here\n", f"another body: {response.body!r}")
    return case


def deflates(**parameters):
    async def case(lab):
        text = "deflate me " * 20000
        factory = ClientPerMessageDeflateFactory(**parameters)
        async with link(lab, "/echo", extensions=[factory], compression=None) as socket:
            need(socket.protocol.extensions, "the extension was not agreed on")
            for _ in range(3):
                await socket.send(text)
                need(await socket.recv() == text, "another text")
            wire = socket.transport.get_extra_info("socket")
            need(wire is not None, "no socket")
    return case


async def many_at_once(lab):
    async def one(number):
        async with link(lab, "/echo") as socket:
            for turn in range(20):
                await socket.send(f"{number}.{turn}")
                need(await socket.recv() == f"{number}.{turn}", "another's message")
    await asyncio.gather(*[one(number) for number in range(100)])


async def both_ways_at_once(lab):
    """Neither direction waits for the other: far more is under way than any buffer holds."""
    async with link(lab, "/echo", compression=None) as socket:
        message = os.urandom(1 << 20)
        async def writes():
            for _ in range(24):
                await socket.send(message)
        writing = asyncio.create_task(writes())
        for _ in range(24):
            need(await asyncio.wait_for(socket.recv(), 20) == message, "another message")
        await writing


CASES = [
    *[(f"6455 5.6 text of {size} bytes", echoes("x" * size)) for size in SIZES],
    *[(f"6455 5.6 binary of {size} bytes", echoes(os.urandom(size), compression=None)) for size in SIZES],
    ("6455 5.6 text beyond ASCII", echoes("h\u00e9llo \u4e16\u754c \U0001f600" * 1000)),
    ("6455 5.4 a message in two pieces", in_pieces(["he", "llo"])),
    ("6455 5.4 a message in a thousand pieces", in_pieces([b"x"] * 1000)),
    ("6455 5.4 empty pieces", in_pieces(["", "a", "", "b", ""])),
    ("6455 5.4 large pieces", in_pieces([os.urandom(1 << 18)] * 16)),
    ("6455 5.4 pieces from the server", from_server(10, 1000)),
    ("6455 5.4 large pieces from the server", from_server(5, 1 << 20)),
    ("6455 5.5.2 pings between the pieces of a message", pings_between_pieces),
    ("6455 5.5.2 two hundred pings at once", many_pings),
    ("6455 5.5.2 a ping of the server", pinged("")),
    ("6455 5.5.2 a ping of 125 bytes", pinged("p" * 125)),
    ("6455 5.5.3 a pong that nobody asked for", unasked_pong),
    *[(f"6455 7.4 the client closes with {code}", closed_by_client(code, "because"))
      for code in (1000, 1001, 1003, 1008, 1011, 3000, 3999, 4000, 4999)],
    *[(f"6455 7.4 the server closes with {code}", closed_by_server(code, "because"))
      for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)],
    ("6455 5.5.1 a reason of 123 bytes", closed_by_client(1000, "r" * 123)),
    ("6455 7.1.5 the server is gone without a close", dropped),
    ("6455 7.1.5 the client is gone without a close", client_vanishes),
    ("6455 1.9 one subprotocol", protocols(["chat"], "chat")),
    ("6455 1.9 the server's choice of several", protocols(["other", "superchat"], "superchat")),
    *[(f"6455 4.2.2 a handshake that is answered with {status}", refused(status)) for status in (401, 403, 404, 503)],
    ("7692 7 permessage-deflate", deflates()),
    ("7692 7.1.1 without context of the client", deflates(client_no_context_takeover=True)),
    ("7692 7.1.1 without context of the server", deflates(server_no_context_takeover=True)),
    ("7692 7.1.2 small windows", deflates(client_max_window_bits=9, server_max_window_bits=9)),
    ("6455 5 a hundred connections at once", many_at_once),
    ("6455 5 both directions at once", both_ways_at_once),
]
