"""Serves HTTP on 8000: pages, WebSocket, server-sent events, uploads."""
import asyncio
import hashlib
import os
import sys

from aiohttp import WSMsgType, web

BUILD = os.environ["BUILD"]


async def page(_request):
    return web.Response(text=f"build {BUILD}\n", headers={"x-build": BUILD})


async def health(_request):
    return web.Response(text="ok\n")


async def echo(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type == WSMsgType.TEXT:
            await socket.send_str(f"{BUILD} {message.data}")
    return socket


async def events(request):
    answer = web.StreamResponse(headers={"content-type": "text/event-stream", "cache-control": "no-store"})
    await answer.prepare(request)
    number = 0
    while True:
        number += 1
        await answer.write(f"id: {number}\ndata: {BUILD}\n\n".encode())
        await asyncio.sleep(0.25)


async def upload(request):
    digest, size = hashlib.sha256(), 0
    async for chunk in request.content.iter_any():
        digest.update(chunk)
        size += len(chunk)
    return web.json_response({"size": size, "sha256": digest.hexdigest()})


async def main():
    if os.environ.get("CRASH"):
        sys.exit("this build crashes at start")
    app = web.Application(client_max_size=1 << 30)
    app.add_routes([
        web.get("/", page), web.get("/health", health), web.get("/ws", echo),
        web.get("/events", events), web.post("/upload", upload),
    ])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", 8000).start()
    print(f"build {BUILD} serves", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
