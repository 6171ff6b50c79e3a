"""/metrics and /healthz for a process that serves nothing else."""

import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest

from app.settings import BUILD_ID

PORT = 9100
log = logging.getLogger("ytempire.sidecar")

# What is wrong, in words; None when nothing is.
Check = Callable[[], str | None]


def start(check: Check) -> None:
    Gauge("ytempire_build_info", "The version that runs.", ["build_id"]).labels(BUILD_ID).set(1)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self.answer(200, generate_latest(), CONTENT_TYPE_LATEST)
            elif self.path == "/healthz":
                problem = check()
                self.answer(503 if problem else 200, (problem or "ok").encode(), "text/plain")
            else:
                self.answer(404, b"not found", "text/plain")

        def answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Build-Id", BUILD_ID)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("0.0.0.0", PORT), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="sidecar", daemon=True).start()
