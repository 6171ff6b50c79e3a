"""What every request leaves behind: a build id, a measurement and one log line."""

import asyncio
import logging
import os
import time
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)
from starlette.responses import JSONResponse, Response

from app import faults
from app.settings import BUILD_ID

REQUESTS = Counter("http_requests", "Requests answered.", ["method", "route", "status"])
SECONDS = Histogram(
    "http_request_duration_seconds",
    "Time from the first byte of a request to the last of its answer.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
BUILD = Gauge("ytempire_build_info", "The version that runs.", ["build_id"], multiprocess_mode="max")
BUILD.labels(BUILD_ID).set(1)

QUIET = {"/health/live", "/health/ready", "/metrics"}
access_log = logging.getLogger("ytempire.access")


def metrics_answer() -> Response:
    """The figures of every server process of this container together."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class Telemetry:
    """Outermost, so that an unhandled error is also counted and carries the build id."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def send_with_build_id(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", []),
                    (b"x-build-id", BUILD_ID.encode()),
                ]
            await send(message)

        try:
            await self._answer(scope, receive, send_with_build_id)
        finally:
            self._record(scope, status, time.perf_counter() - started)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].startswith("/api"):
            if delay := faults.delay_seconds():
                await asyncio.sleep(delay)
            if faults.fails_now():
                failure = JSONResponse({"detail": "FAULT=errors"}, status_code=500)
                await failure(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _record(self, scope: Any, status: int, seconds: float) -> None:
        # The template, never the path: a path per video would be a series per video.
        route = getattr(scope.get("route"), "path", "unmatched")
        REQUESTS.labels(scope["method"], route, str(status)).inc()
        SECONDS.labels(scope["method"], route).observe(seconds)
        if scope["path"] not in QUIET:
            fields = {
                "method": scope["method"],
                "path": scope["path"],
                "route": route,
                "status": status,
                "milliseconds": round(seconds * 1000, 1),
            }
            access_log.info("request", extra={"fields": fields})
