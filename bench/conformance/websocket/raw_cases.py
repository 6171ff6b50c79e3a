"""Bytes of a WebSocket that no library sends: they are the target's business, and the edge must not touch them."""
import asyncio
import os
import struct

from websocket.cases import need

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def masked(first, payload, mask=b"\1\2\3\4"):
    """A client's frame whose first byte is as given."""
    length = len(payload)
    size = bytes([0x80 | length]) if length < 126 else b"\xfe" + struct.pack(">H", length)
    return bytes([first]) + size + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


async def handshake(lab, path="/raw", more="", version="HTTP/1.1", method="GET"):
    reader, writer = await asyncio.open_connection("127.0.0.1", lab.raw_port, ssl=lab.trusting,
                                                   server_hostname="localhost" if lab.trusting else None)
    writer.write((f"{method} {path} {version}\r\nHost: raw.example\r\nConnection: keep-alive, Upgrade\r\n"
                  f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{more}\r\n").encode())
    return reader, writer


async def switched(lab, **more):
    """A connection that has switched, and its other end."""
    reader, writer = await handshake(lab, **more)
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode()
    need(head.startswith("HTTP/1.1 101 "), head)
    far_reader, far_writer = await asyncio.wait_for(lab.raw.links.get(), 5)
    return reader, writer, far_reader, far_writer, head


def arrives(sent):
    """The very bytes arrive, in both directions."""
    async def case(lab):
        reader, writer, far_reader, far_writer, _ = await switched(lab)
        writer.write(sent)
        there = await asyncio.wait_for(far_reader.readexactly(len(sent)), 10)
        need(there == sent, "other bytes arrived at the target")
        far_writer.write(sent)
        need(await asyncio.wait_for(reader.readexactly(len(sent)), 10) == sent, "other bytes arrived at the client")
        writer.close()
        far_writer.close()
    return case


async def headers_of_the_handshake(lab):
    *_, far_writer, head = await switched(lab, more="Sec-WebSocket-Extensions: x-none; a=1\r\nOrigin: http://a\r\n")
    there = lab.raw.heads[-1].decode().lower()
    need("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=" in head.lower(), head)
    need("x-extra: kept" in head.lower(), "a header of the 101 was lost")
    for line in ("upgrade: websocket", "connection: upgrade", f"sec-websocket-key: {KEY.lower()}",
                 "sec-websocket-version: 13", "sec-websocket-extensions: x-none; a=1", "origin: http://a"):
        need(f"\r\n{line}\r\n" in there, f"`{line}` did not arrive: {there}")
    far_writer.close()


async def bytes_with_the_101(lab):
    reader, writer, _, far_writer, _ = await switched(lab, path="/early")
    need(await asyncio.wait_for(reader.readexactly(5), 5) == b"early", "the first bytes were lost")
    writer.close()
    far_writer.close()


async def bytes_before_the_101(lab):
    """A client that does not wait: what it sends right behind its handshake is the new protocol's."""
    reader, writer = await handshake(lab)
    writer.write(masked(0x81, b"early"))
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    far_reader, far_writer = await asyncio.wait_for(lab.raw.links.get(), 5)
    need(await asyncio.wait_for(far_reader.readexactly(11), 5) == masked(0x81, b"early"), "the first frame was lost")
    writer.close()
    far_writer.close()


async def client_half_closes(lab):
    """The client has said all; the server's bytes still come."""
    reader, writer, far_reader, far_writer, _ = await switched(lab)
    writer.write(b"last words")
    writer.write_eof()
    need(await asyncio.wait_for(far_reader.read(), 5) == b"last words", "the end did not arrive")
    far_writer.write(b"x" * 100_000)
    need(len(await asyncio.wait_for(reader.readexactly(100_000), 5)) == 100_000, "the answer did not arrive")
    far_writer.close()
    need(await asyncio.wait_for(reader.read(), 5) == b"", "the end did not come back")
    writer.close()


async def server_half_closes(lab):
    reader, writer, far_reader, far_writer, _ = await switched(lab)
    far_writer.write(b"last words")
    far_writer.write_eof()
    need(await asyncio.wait_for(reader.readexactly(10), 5) == b"last words", "the words did not arrive")
    need(await asyncio.wait_for(reader.read(), 5) == b"", "the end did not arrive")
    if not lab.trusting:
        writer.write(b"x" * 100_000)
        need(len(await asyncio.wait_for(far_reader.readexactly(100_000), 5)) == 100_000, "the answer did not arrive")
    writer.close()
    far_writer.close()


async def not_switched(lab, **request):
    reader, writer = await handshake(lab, **request)
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode()
    writer.close()
    need(not head.startswith("HTTP/1.1 101 "), head)
    return head


async def in_http_1_0(lab):
    """There is no upgrade in it, so a target that switches all the same was not asked to."""
    head = await not_switched(lab, version="HTTP/1.0")
    _, far_writer = await asyncio.wait_for(lab.raw.links.get(), 5)
    far_writer.close()
    need(" 502 " in head, f"the target's 101 became {head}")


PAYLOAD = os.urandom(200)

CASES = [
    ("6455 4.2 the headers of the handshake arrive, and those of its answer", headers_of_the_handshake),
    ("6455 4.2.2 first bytes in one piece with the 101", bytes_with_the_101),
    ("6455 4.1 a client that does not wait for the 101", bytes_before_the_101),
    ("6455 4.1 a handshake in HTTP/1.0 is not one", in_http_1_0),
    ("6455 5.2 a frame without a mask", arrives(b"\x82\x05hello")),
    *[(f"6455 5.2 reserved bits {bits:03b}", arrives(masked(0x82 | bits << 4, PAYLOAD))) for bits in range(1, 8)],
    *[(f"6455 5.2 opcode {opcode}", arrives(masked(0x80 | opcode, PAYLOAD[:100])))
      for opcode in (*range(3, 8), *range(11, 16))],
    ("6455 5.2 a length of 64 bits that is too long for its value",
     arrives(b"\x82\xff" + struct.pack(">Q", 5) + bytes(4) + b"hello")),
    ("6455 5.2 a length with its first bit set", arrives(b"\x82\xff" + b"\x80" + bytes(7))),
    ("6455 5.4 a continuation of nothing", arrives(masked(0x80, b"x"))),
    ("6455 5.5 a ping of 126 bytes", arrives(masked(0x89, PAYLOAD[:126]))),
    ("6455 5.5 a ping in pieces", arrives(masked(0x09, b"x"))),
    ("6455 5.5.1 a close of one byte", arrives(masked(0x88, b"\3"))),
    *[(f"6455 7.4 a close with {code}", arrives(masked(0x88, struct.pack(">H", code))))
      for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)],
    ("6455 8.1 text that is no UTF-8", arrives(masked(0x81, b"\xce\xba\xed\xa0\x80"))),
    ("6455 5.2 what is no frame at all", arrives(b"GET / HTTP/1.1\r\nHost: smuggled\r\n\r\n")),
    ("6455 5.2 four megabytes of chance", arrives(os.urandom(4 << 20))),
    ("6455 5.5.1 the server half-closes", server_half_closes),
]

# asyncio's TLS cannot close one half.
OVER_CLEARTEXT = [("6455 5.5.1 the client half-closes", client_half_closes)]
