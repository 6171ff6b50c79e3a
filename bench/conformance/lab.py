"""The real program, started as a process: an edge with a state folder, certificates, and targets in this process."""
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import time


class Broken(Exception):
    """Something that the run needs does not work; the message says what."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def certificate(folder):
    """A chain and a key for `localhost`, as paths."""
    chain, key = folder / "chain.pem", folder / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", str(key), "-out", str(chain)]
    made = subprocess.run(words, capture_output=True, text=True)
    if made.returncode != 0:
        raise Broken(f"openssl made no certificate: {made.stderr}")
    return chain, key


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Edge:
    """`mainstay edge`, and the snapshots that it serves."""

    def __init__(self, folder, mainstay, apply):
        self.folder = pathlib.Path(folder)
        self.apply_program = apply
        self.epoch = 0
        root = self.folder / "root"
        root.mkdir()
        self.log = self.folder / "edge.log"
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen([mainstay, "--root", str(root), "edge"], stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=out, env={**os.environ, "HOME": str(self.folder)})
        self.socket = str(root / "run" / "edge.sock")
        self._wait()

    def _wait(self):
        for _ in range(1200):
            if self.process.poll() is not None:
                raise Broken(f"the edge ended at its start: {self.log.read_text(errors='replace')[-500:]}")
            try:
                self.ask("/v1/status")
                return
            except OSError:
                time.sleep(0.025)
        raise Broken("the edge's control socket does not answer after 30 s")

    def ask(self, path):
        """A reading question to the control socket, as text."""
        link = UnixConnection(self.socket)
        try:
            link.request("GET", path)
            return link.getresponse().read().decode()
        finally:
            link.close()

    def metrics(self):
        """Each line of the metrics as name with labels, and its value."""
        lines = (line.rpartition(" ") for line in self.ask("/metrics").splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    def apply(self, snapshot):
        """Serves a snapshot; its epoch and its hash are filled in, and what cannot work in it is an error."""
        self.epoch += 1
        file = self.folder / "snapshot.json"
        file.write_text(json.dumps({"schema": 2, "epoch": self.epoch, **snapshot}))
        done = subprocess.run([self.apply_program, self.socket, str(file)], capture_output=True, text=True)
        if done.returncode != 0:
            raise Broken(f"the edge did not take the snapshot: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(45)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def listener(name, port, **more):
    return {"name": name, "bind": f"127.0.0.1:{port}", **more}
