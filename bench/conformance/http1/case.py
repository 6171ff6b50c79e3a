"""One case of HTTP/1.1: bytes, and what they mean to the suite that they come from."""
import dataclasses
import re

HEAD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+ [^\r\n ]+ HTTP/1\.[01])\r\n((?:[^\r\n]+\r\n)*)")
LENGTH = re.compile(rb"(?im)^content-length:[ \t]*(\d{1,9})[ \t]*\r$")
CHUNKED = re.compile(rb"(?im)^transfer-encoding:[ \t]*chunked[ \t]*\r$")
CHUNK = re.compile(rb"([0-9a-fA-F]{1,6})[^\r\n]*\r\n")


@dataclasses.dataclass
class Wanted:
    """One request as the suite reads it; names of headers in small letters."""
    method: str
    target: str
    headers: list
    body: bytes


@dataclasses.dataclass
class Case:
    suite: str
    name: str
    data: bytes
    # Those that are whole, in their order.
    wanted: list
    # Why what follows them is refused; None when all is fine.
    error: str | None = None
    # Another protocol follows the last one.
    is_upgrade: bool = False
    # It begins with a PROXY protocol header.
    is_announced: bool = False

    def hosted(self):
        """The bytes with a `Host` in every HTTP/1.1 head that has none.

        Parsers are tested without one; a proxy must refuse that (RFC 9112, 3.2), and every case would then pass for
        this reason alone.
        """
        at = len(self.data) - len(self.data.lstrip(b"\r\n"))
        if self.is_announced and self.data.startswith(b"PROXY"):
            at = self.data.index(b"\r\n") + 2
        done = self.data[:at]
        # Heads only: what looks like one inside a body is the body's.
        while found := HEAD.match(self.data, at):
            start, fields = found[1], found[2]
            has_one = re.search(rb"(?im)^host[ \t]*:", fields) or re.search(rb" [a-zA-Z]+://", start)
            has_one = has_one or start.endswith(b"0")
            end = end_of(self.data, found.end(), fields)
            done += start + b"\r\n" + (b"" if has_one else b"Host: added.example\r\n")
            done += fields + self.data[found.end():end]
            at = end
        return done + self.data[at:]


def end_of(data, at, fields):
    """Where the body behind these header fields ends, as far as it is plain."""
    at += 2 if data[at:at + 2] == b"\r\n" else 0
    length = LENGTH.search(fields)
    if length:
        at = min(at + int(length[1]), len(data))
    elif CHUNKED.search(fields):
        while chunk := CHUNK.match(data, at):
            size = int(chunk[1], 16)
            at = chunk.end() + size + 2
            if size == 0:
                break
    # Empty lines between requests are passed over.
    while data[at:at + 2] == b"\r\n":
        at += 2
    return min(at, len(data))
