"""Serves gRPC on 50051: one call with one answer, one stream both ways, and gRPC's own health."""
import asyncio
import os
import sys

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

BUILD = os.environ["BUILD"].encode()


async def say(message, _context):
    return BUILD + b" " + message


async def talk(messages, _context):
    async for message in messages:
        yield BUILD + b" " + message


async def main():
    if os.environ.get("CRASH"):
        sys.exit("this build crashes at start")
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("zerodrop.Echo", {
        "Say": grpc.unary_unary_rpc_method_handler(say),
        "Talk": grpc.stream_stream_rpc_method_handler(talk),
    }),))
    state = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(state, server)
    server.add_insecure_port("0.0.0.0:50051")
    await server.start()
    # Not serving yet, as an application that still warms up.
    await state.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    await asyncio.sleep(1)
    await state.set("", health_pb2.HealthCheckResponse.SERVING)
    print(f"build {BUILD.decode()} serves gRPC", flush=True)
    await server.wait_for_termination()


asyncio.run(main())
