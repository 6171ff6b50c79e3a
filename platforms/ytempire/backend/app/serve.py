"""Start the API: `python -m app.serve`. The first process of its container."""

import os
import tempfile

import uvicorn

from app import faults


def main() -> None:
    faults.before_serving()
    # The server processes share their metrics through files that live as long as they do.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="metrics-")
    uvicorn.run(
        "app.main:app",
        host="0.0.0.0",
        port=faults.port(),
        workers=int(os.environ.get("API_WORKERS", "2")),
        timeout_worker_healthcheck=30,
        # A stopping container finishes what it has begun, within its grace period.
        timeout_graceful_shutdown=25,
        access_log=False,
        log_config=None,
        proxy_headers=True,
        forwarded_allow_ips="*",
        server_header=False,
    )


if __name__ == "__main__":
    main()
