"""What the edge holds at one moment: memory, files, threads, tasks, connections."""
import dataclasses
import json
import os
import pathlib
import time


@dataclasses.dataclass
class Sample:
    seconds: float
    requests: float
    rss_kb: int
    pss_kb: int
    files: int
    threads: int
    tasks: float
    connections: float
    in_flight: float
    websockets: float
    draining: int


def look(edge, began):
    pid = edge.process.pid
    # Before anything is asked: the edge takes a moment to close what a question came over.
    files, threads = len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))
    metrics = edge.metrics()
    status = json.loads(edge.ask("/v1/status"))
    def total(name):
        return sum(value for key, value in metrics.items() if key == name or key.startswith(name + "{"))
    memory = {}
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        words = line.split()
        if words[0] in ("Rss:", "Pss:"):
            memory[words[0]] = int(words[1])
    return Sample(
        round(time.monotonic() - began, 1),
        total("mainstay_edge_requests_total") + total("mainstay_edge_own_answers_total"),
        memory["Rss:"], memory["Pss:"],
        files, threads,
        total("mainstay_edge_tasks"), total("mainstay_edge_client_connections"), total("mainstay_edge_in_flight"),
        total("mainstay_edge_websockets"), len(status["draining"]))
