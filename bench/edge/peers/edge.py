"""Mainstay's edge: the example `edge-bench`, which is the data plane alone, from a snapshot file."""
import json
import os
import tempfile

NAME = "edge"
MISSING = "cargo built no edge-bench"


def find(_tools):
    return os.environ.get("EDGE_BENCH")


def version(_program):
    return os.environ.get("EDGE_VERSION", "of this checkout")


def prepare(lab, plan):
    listener = {"name": "web", "bind": f"127.0.0.1:{plan.port}"}
    route = {"path": "/", "pool": "bench/bench/web", **(plan.route or {})}
    hosts = [f"h{number}.bench.test" for number in range(plan.hosts)] or [None]
    snapshot = {
        "schema": 2, "epoch": 1,
        "listeners": [listener],
        "pools": [{"name": "bench/bench/web", "release": "r1", "targets": [f"127.0.0.1:{plan.upstream}"]}],
        "routes": [{**route, "host": host} if host else route for host in hosts],
        **(plan.snapshot or {}),
    }
    if plan.tls:
        listener["tls"] = {}
        snapshot["certificates"] = [{"chain": str(lab.chain), "key": str(lab.key), "is_default": True}]
    file = lab.dir / "snapshot.json"
    file.write_text(json.dumps(snapshot, indent=1) + "\n")
    return [str(file), tempfile.mkdtemp(prefix="state-", dir=lab.dir)], [file]
