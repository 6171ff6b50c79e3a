"""What stands behind the edge: nginx for the bulk, and a program for everything that a file server does not do."""
import asyncio
import base64
import hashlib
import pathlib
import subprocess

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

NGINX = """
worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/nginx.log; daemon off;
events {{ worker_connections 8192; }}
http {{
{paths}  access_log off; keepalive_requests 100000000; keepalive_timeout 300s;
  server {{
    listen 127.0.0.1:{one} backlog=4096; listen 127.0.0.1:{two} backlog=4096; root {dir}/www;
  }}
}}
"""


def nginx(folder, one, two):
    """Two ports with a file of 1 KB and one of 100 KB; everything else is its 404."""
    www = pathlib.Path(folder) / "www"
    www.mkdir()
    (www / "1k").write_bytes(b"x" * 1024)
    (www / "100k").write_bytes(b"x" * 102400)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"  {kind}_temp_path {folder}/nginx-{kind};\n" for kind in kinds)
    conf = pathlib.Path(folder) / "nginx.conf"
    conf.write_text(NGINX.format(dir=folder, one=one, two=two, paths=paths))
    pathlib.Path(folder).chmod(0o755)
    return subprocess.Popen(["nginx", "-c", str(conf), "-p", str(folder)], stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


async def odd(reader, writer):
    """One connection: WebSockets, events, uploads, slow answers, and connections that break."""
    try:
        while head := await head_of(reader):
            path = head.split(b" ", 2)[1]
            if path.startswith(b"/ws"):
                return await websocket(head, reader, writer)
            if path.startswith(b"/events"):
                return await events(writer)
            if path.startswith(b"/failing"):
                # Half an answer, none at all, or one that says it is broken.
                turn = hash(head) % 3
                if turn == 0:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                if turn < 2:
                    return None
                writer.write(b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n")
                continue
            if path.startswith(b"/slow"):
                await asyncio.sleep(0.05)
            size = await swallow(head, reader)
            body = b"%d" % size
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
        return None
    finally:
        writer.close()


async def head_of(reader):
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


async def swallow(head, reader):
    """Reads a body; returns its length."""
    lower = head.lower()
    if b"content-length: " in lower:
        size = int(lower.split(b"content-length: ")[1].split(b"\r")[0])
        await reader.readexactly(size)
        return size
    size = 0
    while b"transfer-encoding: chunked" in lower:
        length = int((await reader.readline()).strip() or b"0", 16)
        await reader.readexactly(length + 2)
        if length == 0:
            break
        size += length
    return size


async def websocket(head, reader, writer):
    key = head.lower().split(b"sec-websocket-key: ")[1].split(b"\r")[0]
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def events(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
    for number in range(50):
        writer.write(b"data: %d\n\n" % number)
        await writer.drain()
        await asyncio.sleep(0.1)
