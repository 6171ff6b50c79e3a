"""Cases side by side: most of their time is waiting, and each lane has a listener and a target of its own."""
import concurrent.futures
import queue

import lab
from http1.recorder import Recorder

MANY = 12


class Lanes:
    def __init__(self):
        self.recorders = [Recorder() for _ in range(MANY)]
        self.ports = [lab.free_port() for _ in range(MANY)]

    def snapshot(self, listener, **more):
        """Lane by lane a listener (with these settings), a pool and a route."""
        names = [f"lane-{number}" for number in range(MANY)]
        listeners = [lab.listener(name, port, **listener) for name, port in zip(names, self.ports)]
        pools = [{"name": f"conformance/test/{name}", "release": "r1", "targets": [f"127.0.0.1:{recorder.port}"]}
                 for name, recorder in zip(names, self.recorders)]
        routes = [{"path": "/", "pool": f"conformance/test/{name}", "listeners": [name]} for name in names]
        return {"listeners": listeners, "pools": pools, "routes": routes, **more}

    def each(self, cases, judged):
        """The results of `judged(case, port, recorder)` in the order of the cases."""
        free = queue.Queue()
        for lane in zip(self.ports, self.recorders):
            free.put(lane)
        def one(case):
            lane = free.get()
            try:
                return judged(case, *lane)
            finally:
                free.put(lane)
        with concurrent.futures.ThreadPoolExecutor(MANY) as pool:
            return list(pool.map(one, cases))

    def close(self):
        for recorder in self.recorders:
            recorder.close()
