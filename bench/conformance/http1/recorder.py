"""A target that writes down every byte it gets and reads it as strictly as HTTP/1.1 can be read.

It stands for the second reader behind a proxy: what it finds doubtful, two programs may understand in two ways.
"""
import dataclasses
import re
import socket
import threading

START = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/1\.1")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[\x21-\xff](?:[\x20-\xff\t]*[\x21-\xff])?)?)[ \t]*")
CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
# What a trailer must never say (RFC 9110, 6.5.1): framing, routing, and who somebody is.
NOT_IN_TRAILERS = {"content-length", "transfer-encoding", "host", "connection", "te", "trailer", "expect",
                   "authorization", "cookie", "forwarded", "x-forwarded-for", "x-real-ip"}


@dataclasses.dataclass
class Seen:
    """One request as it arrived."""
    method: str = ""
    target: str = ""
    headers: list = dataclasses.field(default_factory=list)
    body: bytes = b""
    trailers: list = dataclasses.field(default_factory=list)
    is_whole: bool = False
    # Why another reader could understand it otherwise.
    doubts: list = dataclasses.field(default_factory=list)

    def all(self, name):
        return [value for header, value in self.headers if header == name]


class Recorder:
    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.server.getsockname()[1]
        self.lock = threading.Lock()
        self.seen = []
        threading.Thread(target=self._accept, daemon=True).start()

    def take(self):
        """What came since the last call, whole or not."""
        with self.lock:
            taken, self.seen = self.seen, []
        return taken

    def count(self):
        with self.lock:
            return len(self.seen)

    def close(self):
        self.server.close()

    def _accept(self):
        while True:
            try:
                link, _ = self.server.accept()
            except OSError:
                return
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link):
        reading = link.makefile("rb")
        with link:
            try:
                while self._one(link, reading):
                    pass
            except OSError:
                pass

    def _one(self, link, reading):
        first = reading.readline(65536)
        if not first:
            return False
        seen = Seen()
        with self.lock:
            self.seen.append(seen)
        head(seen, first, reading)
        seen.is_whole = body(seen, reading)
        if not seen.is_whole:
            return False
        link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + (b"" if seen.method == "HEAD" else b"ok"))
        return not seen.doubts


def line(seen, raw):
    """A line without its end."""
    if not raw.endswith(b"\r\n"):
        seen.doubts.append(f"a line does not end in CR LF: {raw[:40]!r}")
        return raw.rstrip(b"\r\n")
    if CONTROL.search(raw[:-2]):
        seen.doubts.append(f"control characters in a line: {raw[:60]!r}")
    return raw[:-2]


def head(seen, first, reading):
    start = START.fullmatch(line(seen, first))
    if not start:
        seen.doubts.append(f"the first line is not as it should be: {first[:60]!r}")
        return
    seen.method, seen.target = start[1].decode(), start[2].decode()
    seen.headers = fields(seen, reading)
    if len(seen.all("host")) > 1:
        seen.doubts.append("two hosts")
    lengths, codings = seen.all("content-length"), seen.all("transfer-encoding")
    if len(lengths) + len(codings) > 1:
        seen.doubts.append(f"more than one word about the length: {lengths} {codings}")
    if lengths and not re.fullmatch(r"[0-9]+", lengths[0]):
        seen.doubts.append(f"a length that is no number: {lengths[0]!r}")
    if codings and codings[0] != "chunked":
        seen.doubts.append(f"a coding that is not `chunked`: {codings[0]!r}")


def fields(seen, reading):
    found = []
    while True:
        raw = reading.readline(1 << 20)
        text = line(seen, raw)
        if not text:
            return found
        field = FIELD.fullmatch(text)
        if not field:
            seen.doubts.append(f"a header that is not as it should be: {text[:60]!r}")
            continue
        found.append((field[1].decode().lower(), field[2].decode("latin-1")))


def body(seen, reading):
    """Reads the body; false when it breaks off, or nobody knows where it ends."""
    if seen.doubts:
        return False
    if seen.all("transfer-encoding"):
        return chunks(seen, reading)
    length = int(next(iter(seen.all("content-length")), "0"))
    while len(seen.body) < length and (piece := reading.read(min(length - len(seen.body), 65536))):
        seen.body += piece
    return len(seen.body) == length


def chunks(seen, reading):
    while True:
        raw = reading.readline(4096)
        if not raw.endswith(b"\n"):
            return False
        size = line(seen, raw)
        if not re.fullmatch(rb"[0-9a-fA-F]{1,16}", size):
            seen.doubts.append(f"a chunk's size that is no plain number: {size[:40]!r}")
            return False
        length = int(size, 16)
        if length == 0:
            seen.trailers = fields(seen, reading)
            wrong = sorted({name for name, _ in seen.trailers} & NOT_IN_TRAILERS)
            if wrong:
                seen.doubts.append(f"trailers that must not be there: {', '.join(wrong)}")
            return True
        part = reading.read(length + 2)
        if len(part) < length + 2:
            return False
        if part[-2:] != b"\r\n":
            seen.doubts.append("a chunk does not end where its size says")
            return False
        seen.body += part[:-2]
