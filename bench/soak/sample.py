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


class Counted:
    """Requests so far. The counters of a release leave with it, so what they grow by is added up."""
    NAMES = ("mainstay_edge_requests_total", "mainstay_edge_own_answers_total")

    def __init__(self):
        self.last, self.total = {}, 0.0

    def add(self, metrics):
        now = {key: value for key, value in metrics.items() if key.partition("{")[0] in self.NAMES}
        self.total += sum(value - self.last.get(key, 0) for key, value in now.items())
        self.last = now
        return self.total


def look(edge, began, counted):
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
        counted.add(metrics),
        memory["Rss:"], memory["Pss:"],
        files, threads,
        total("mainstay_edge_tasks"), total("mainstay_edge_client_connections"), total("mainstay_edge_in_flight"),
        total("mainstay_edge_websockets"), len(status["draining"]))
