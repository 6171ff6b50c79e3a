"""A target that answers with what it was asked, for looks at what a peer really does before it is measured."""
import contextlib
import http.client
import http.server
import json
import ssl
import threading
import time

from lab import Broken

# What every peer says of the client to the target, at least. Names as a target sees them, in small letters.
FORWARDING = ["x-forwarded-for", "x-real-ip", "forwarded", "x-forwarded-port", "x-forwarded-proto",
              "x-forwarded-host", "x-request-id"]


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.startswith("/slow"):
            time.sleep(0.5)
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Server", "recorder")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def recorder():
    """Its port; ended afterwards."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def get(port, path, tls=False, headers=None):
    """Status, headers in small letters, body."""
    if tls:
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        link = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=trusting)
    else:
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        link.request("GET", path, headers=headers or {})
        answer = link.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    except (OSError, http.client.HTTPException) as problem:
        raise Broken(f"no {'HTTPS' if tls else 'HTTP'} answer to {path}: {problem!r}") from problem
    finally:
        link.close()


def unequal(peers, lab, plan_for):
    """Every peer that does not add the same headers, with what it lacks: one that does less would look faster.

    What the edge sends is what is wanted of all, so that a header it learns to send is asked of the others too.
    """
    wanted = set(FORWARDING)
    for name in sorted(peers.programs, key=lambda name: name != "edge"):
        try:
            sent, answer = seen_behind(peers, lab, name, plan_for)
        except (Broken, OSError) as why:
            yield name, str(why)
            continue
        if name == "edge":
            wanted |= sent
        lacks = sorted(wanted - sent) + ([] if "via" in answer else ["via (in its answer)"])
        if lacks:
            yield name, f"it is not set up as the others: it does not send {', '.join(lacks)}"


def seen_behind(peers, lab, name, plan_for):
    """Headers that the target got, and those of the answer."""
    with recorder() as target:
        plan = plan_for(target)
        with peers.running(lab, name, plan):
            status, answer, body = get(plan.port, "/", headers={"X-Forwarded-For": "1.2.3.4"})
    if status != 200:
        raise Broken(f"it answers {status}: {body[:100]!r}")
    return {header for header, value in json.loads(body).items() if value}, answer
