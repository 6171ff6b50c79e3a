"""One folder with everything a run needs: files to serve, the upstream, a certificate, the load tools' TLS settings."""
import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import time

import machine

# One worker, so that it takes the same small share of the machine beside every peer.
UPSTREAM = """
worker_processes 1; pid {dir}/upstream.pid; error_log {dir}/upstream.log; daemon off;
events {{ worker_connections 8192; }}
http {{
{paths}  access_log off; keepalive_requests 100000000; keepalive_timeout 300s;
  sendfile on; tcp_nopush on; open_file_cache max=16;
  server {{
    listen 127.0.0.1:{port} backlog=4096; root {dir}/www;
    location = /accepted {{ stub_status; }}
  }}
}}
"""


def nginx_paths(prefix):
    """Folders that nginx wants even when it writes nothing there; its own are root's."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return "".join(f"  {kind}_temp_path {prefix}-{kind};\n" for kind in kinds)


# The same protocol, cipher and curve with every peer, whatever each would prefer.
OPENSSL = """
openssl_conf = start
[start]
ssl_conf = ssl
[ssl]
system_default = defaults
[defaults]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_128_GCM_SHA256
Groups = X25519
"""


class Broken(Exception):
    """A peer, a tool or a feature does not do what the case needs; the message says which and why."""


class Lab:
    def __init__(self, folder):
        self.dir = pathlib.Path(folder)
        self.dir.chmod(0o755)  # The workers of nginx have a user of their own.
        www = self.dir / "www"
        www.mkdir()
        (www / "1k").write_bytes(b"x" * 1024)
        (www / "100k").write_bytes(b"x" * 102400)
        self.chain, self.key = self._certificate()
        (self.dir / "openssl.cnf").write_text(OPENSSL)
        self.client_environment = {**os.environ, "OPENSSL_CONF": str(self.dir / "openssl.cnf")}
        self.port = machine.free_port()
        conf = self.dir / "upstream.conf"
        conf.write_text(UPSTREAM.format(dir=self.dir, port=self.port, paths=nginx_paths(self.dir / "upstream")))
        self.upstream = self.spawn("upstream", ["nginx", "-c", str(conf), "-p", str(self.dir)])
        wait_port(self.port, self.upstream, "the upstream")

    def _certificate(self):
        chain, key = self.dir / "chain.pem", self.dir / "key.pem"
        words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                 "-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                 "-keyout", str(key), "-out", str(chain)]
        made = subprocess.run(words, capture_output=True, text=True)
        if made.returncode != 0:
            raise Broken(f"openssl made no certificate: {made.stderr}")
        # HAProxy wants both in one file.
        (self.dir / "both.pem").write_text(chain.read_text() + key.read_text())
        return chain, key

    def spawn(self, name, words, environment=None):
        with open(self.dir / f"{name}.out", "wb") as out:
            return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.dir,
                                    env={**os.environ, "HOME": str(self.dir), **(environment or {})})

    def log_of(self, name):
        """The last lines that a process has said."""
        text = (self.dir / f"{name}.out").read_text(errors="replace")
        return " | ".join(text.strip().splitlines()[-3:]) or "it said nothing"

    def accepted(self):
        """Connections the upstream has taken so far."""
        with socket.create_connection(("127.0.0.1", self.port)) as link:
            link.sendall(b"GET /accepted HTTP/1.0\r\n\r\n")
            text = b"".join(iter(lambda: link.recv(4096), b"")).decode()
        return int(text.split("requests\n")[1].split()[0])

    def close(self):
        stop(self.upstream)


def wait_port(port, process, name, said=lambda: "see its output"):
    for _ in range(400):
        if process.poll() is not None:
            raise Broken(f"{name} ended at its start: {said()}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.025)
    raise Broken(f"{name} does not listen after 10 s: {said()}")


def stop(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        for pid in reversed(machine.family(process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
