"""One case of HTTP/2: what is sent, and what must come back."""
import dataclasses
from collections.abc import Callable

from http2.wire import (ACK, CONTINUATION, GOAWAY, HEADERS, PING, PROTOCOL_ERROR, RST_STREAM, SETTINGS, Link,
                        frame)
from verdict import FAILED, LAXER, OTHER, PASSED, Result

MARK = b"is it on"


@dataclasses.dataclass
class Case:
    section: str
    title: str
    # Bytes, or a function that converses over the link.
    sent: bytes | Callable
    wanted: "Connection | Stream | Answer | Goes | Frames"
    # The client's settings.
    settings: tuple = ()
    # Whether preface and settings are exchanged before.
    is_open: bool = True

    @property
    def name(self):
        return f"{self.section} {self.title}"


@dataclasses.dataclass
class Connection:
    """A connection error of one of these codes: GOAWAY, or the connection is closed (RFC 9113, 5.4.1)."""
    codes: tuple

    def look(self, link):
        came = link.until(lambda came: came.kind == GOAWAY)
        if came is None:
            return PASSED if link.is_closed else LAXER
        return goodbye(link, came, self.codes)


@dataclasses.dataclass
class Stream:
    """A stream error of one of these codes; a connection error of them is allowed too (5.4.2)."""
    codes: tuple
    stream: int = 1
    # The stream may have been answered before it went wrong.
    is_late: bool = False

    def look(self, link):
        def ends(came):
            kinds = (RST_STREAM,) if self.is_late else (RST_STREAM, HEADERS)
            is_it = came.kind in kinds and came.stream == self.stream
            # A stream that was answered before its body was read is reset without an error (8.1).
            return came.kind == GOAWAY or is_it and not (self.is_late and came.kind == RST_STREAM and came.code == 0)
        came = link.until(ends)
        if came is None:
            return PASSED if link.is_closed else LAXER
        if came.kind == HEADERS:
            # An answer that refuses goes before the reset (8.1.1).
            return PASSED if came.fields.get(":status", "").startswith("4") else LAXER
        if came.kind == GOAWAY:
            return goodbye(link, came, self.codes)
        return PASSED if came.code in self.codes else FAILED


def goodbye(link, came, codes):
    """After it the connection must end, whatever the code; the general code instead of a special one is a deviation."""
    link.until(lambda _: False)
    if not link.is_closed:
        return FAILED
    if came.code in codes:
        return PASSED
    return OTHER if came.code == PROTOCOL_ERROR else FAILED


@dataclasses.dataclass
class Answer:
    """An answer with this status on a stream."""
    status: str = "200"
    stream: int = 1

    def look(self, link):
        came = link.until(lambda came: came.kind == GOAWAY
                          or came.kind in (HEADERS, RST_STREAM) and came.stream == self.stream)
        is_it = came is not None and came.kind == HEADERS and came.fields.get(":status") == self.status
        return PASSED if is_it else FAILED


class Goes:
    """It is ignored, or simply taken: the connection goes on, shown by a PING that is answered."""

    def look(self, link):
        link.send(frame(PING, 0, 0, MARK))
        came = link.until(lambda came: came.kind in (GOAWAY, RST_STREAM)
                          or came.kind == PING and came.flags & ACK and came.payload == MARK)
        return PASSED if came is not None and came.kind == PING else FAILED


@dataclasses.dataclass
class Frames:
    """A frame that fits comes back."""
    fits: Callable

    def look(self, link):
        return PASSED if link.until(self.fits) else FAILED


def run(case, suite, port, is_secure, recorder):
    recorder.take()
    link = Link(port, is_secure)
    try:
        if case.is_open:
            link.open(*case.settings)
        wanted = case.sent(link) if callable(case.sent) else link.send(case.sent)
        verdict = (wanted or case.wanted).look(link)
        seen = told(link)
    finally:
        link.close()
    doubts = [doubt for one in recorder.take() for doubt in one.doubts]
    if doubts:
        verdict, seen = FAILED, f"what the target got can be read in two ways: {doubts[0]}"
    return Result(suite, case.name, verdict, "" if verdict == PASSED else seen)


def told(link):
    names = {HEADERS: "HEADERS", RST_STREAM: "RST_STREAM", SETTINGS: "SETTINGS", PING: "PING", GOAWAY: "GOAWAY",
             CONTINUATION: "CONTINUATION"}
    def one(came):
        name = names.get(came.kind, str(came.kind))
        if came.kind in (GOAWAY, RST_STREAM):
            return f"{name}({came.code})"
        return f"{name}({came.fields.get(':status')})" if came.kind == HEADERS else name
    return f"came: {', '.join(map(one, link.came)) or 'nothing'}; {'closed' if link.is_closed else 'open'}"
