"""HTTP/2 by hand: frames and header blocks as bytes, so that what no library would send can be sent."""
import socket
import ssl
import struct
import time

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 1, 1, 4, 8, 32

(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR,
 REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM) = range(12)

PATIENCE = 5.0


def frame(kind, flags, stream, payload=b"", length=None):
    """One frame; `length` lies about the payload's."""
    size = len(payload) if length is None else length
    return struct.pack(">I", size)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(*pairs):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def literal(name, value):
    """A field that is not indexed, without compression."""
    return b"\0" + text(name) + text(value)


def text(value):
    raw = value if isinstance(value, bytes) else value.encode("latin-1")
    return integer(len(raw), 7) + raw


def integer(number, bits, first=0):
    """HPACK's integer with its prefix (RFC 7541, 5.1)."""
    most = (1 << bits) - 1
    if number < most:
        return bytes([first | number])
    out, number = [first | most], number - most
    while number >= 128:
        out.append(number % 128 + 128)
        number //= 128
    return bytes([*out, number])


def block(*fields):
    return b"".join(literal(name, value) for name, value in fields)


def fields(method="GET", path="/", *more):
    return [(":method", method), (":scheme", "http"), (":authority", "localhost"), (":path", path), *more]


def request(stream, flags=END_STREAM | END_HEADERS, method="GET", path="/", more=()):
    """The head of a request as one HEADERS frame."""
    return frame(HEADERS, flags, stream, block(*fields(method, path, *more)))


class Frame:
    def __init__(self, kind, flags, stream, payload):
        self.kind, self.flags, self.stream, self.payload = kind, flags, stream, payload

    @property
    def code(self):
        at = 4 if self.kind == GOAWAY else 0
        return struct.unpack(">I", self.payload[at:at + 4])[0]


class Link:
    """One connection to the edge."""

    def __init__(self, port, is_secure):
        link = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if is_secure:
            trusting = ssl.create_default_context()
            trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
            trusting.set_alpn_protocols(["h2"])
            link = trusting.wrap_socket(link, server_hostname="localhost")
        self.link, self.bytes, self.decoder = link, b"", hpack.Decoder()
        self.is_closed = False
        self.came = []

    def send(self, data):
        try:
            self.link.sendall(data)
        except OSError:
            pass  # The edge has closed; what it said before is read all the same.

    def open(self, *pairs):
        """Preface and settings both ways."""
        self.send(PREFACE + settings(*pairs))
        self.until(lambda came: came.kind == SETTINGS and not came.flags & ACK)
        self.send(frame(SETTINGS, ACK, 0))
        self.until(lambda came: came.kind == SETTINGS and came.flags & ACK)

    def next(self, deadline):
        """The next frame; None at the end of the connection or of the time."""
        while len(self.bytes) < 9 or len(self.bytes) < 9 + int.from_bytes(self.bytes[:3], "big"):
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self.link.settimeout(left)
            try:
                piece = self.link.recv(65536)
            except TimeoutError:
                return None
            except OSError:
                piece = b""
            if not piece:
                self.is_closed = True
                return None
            self.bytes += piece
        length = int.from_bytes(self.bytes[:3], "big")
        kind, flags, stream = self.bytes[3], self.bytes[4], int.from_bytes(self.bytes[5:9], "big") & 0x7FFFFFFF
        came = Frame(kind, flags, stream, self.bytes[9:9 + length])
        self.bytes = self.bytes[9 + length:]
        if kind == HEADERS:
            came.fields = dict(self.decoder.decode(came.payload))
        self.came.append(came)
        return came

    def until(self, fits, patience=PATIENCE):
        """Reads until a frame fits; None when it ends before."""
        deadline = time.monotonic() + patience
        while (came := self.next(deadline)) is not None:
            if fits(came):
                return came
        return None

    def close(self):
        self.link.close()
