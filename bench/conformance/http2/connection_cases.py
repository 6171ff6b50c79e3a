"""Connections, frames and streams: sections 3 to 5 of RFC 9113."""
from http2.case import Answer, Case, Connection, Frames, Goes, Stream
from http2.wire import (CONTINUATION, DATA, END_HEADERS, END_STREAM, FRAME_SIZE_ERROR, COMPRESSION_ERROR, GOAWAY,
                        HEADERS, PADDED, PREFACE, PRIORITIZED, PRIORITY, PROTOCOL_ERROR, REFUSED_STREAM, RST_STREAM,
                        SETTINGS, STREAM_CLOSED, WINDOW_UPDATE, PING, block, fields, frame, request, settings)

ONE = (1).to_bytes(4, "big")
GOES, PROTOCOL = Goes(), Connection((PROTOCOL_ERROR,))
UNKNOWN = 0xEE
# A stream that is open, and the rest of whose head is owed.
OPEN = request(1, END_HEADERS, "POST")
OWED = frame(HEADERS, END_STREAM, 1, block(*fields()))


def after_answer(more, wanted, stream=1):
    """Something on a stream that is over."""
    def converse(link):
        link.send(request(stream))
        link.until(lambda came: came.stream == stream and came.flags & END_STREAM and came.kind in (DATA, HEADERS))
        link.send(more)
        return wanted
    return converse


def too_many(link):
    """More streams at once than the edge allows; the bodies are owed, so that none of them ends."""
    opened = next(came for came in link.came if came.kind == SETTINGS)
    pairs = [opened.payload[at:at + 6] for at in range(0, len(opened.payload), 6)]
    most = next(int.from_bytes(pair[2:], "big") for pair in pairs if pair[:2] == b"\0\3")
    last = 2 * most + 1
    for number in range(1, last + 1, 2):
        link.send(request(number, END_HEADERS, "POST"))
    return Stream((REFUSED_STREAM, PROTOCOL_ERROR), last, is_late=True)


def names_last_stream(link):
    link.send(request(1))
    link.until(lambda came: came.stream == 1 and came.flags & END_STREAM and came.kind in (DATA, HEADERS))
    link.send(frame(PING, 0, 0, b"short"))
    return Frames(lambda came: came.kind == GOAWAY and int.from_bytes(came.payload[:4], "big") == 1)


CASES = [
    Case("3.4", "preface and settings are answered with settings", PREFACE + settings(),
         Frames(lambda came: came.kind == SETTINGS), is_open=False),
    Case("3.4", "a request right behind the preface is served", PREFACE + settings() + request(1), Answer(),
         is_open=False),
    Case("3.4", "a preface that goes wrong after its first line", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + settings(),
         PROTOCOL, is_open=False),
    Case("3.4", "the first frame is not SETTINGS", PREFACE + frame(PING, 0, 0, bytes(8)), PROTOCOL, is_open=False),
    Case("4.1", "a frame of an unknown kind", frame(UNKNOWN, 0, 0, b"unknown"), GOES),
    Case("4.1", "a frame of an unknown kind on an open stream", OPEN + frame(UNKNOWN, 255, 1, b"x")
         + frame(DATA, END_STREAM, 1), Answer()),
    Case("4.1", "flags that are not defined", frame(PING, 0b0001_0110, 0, bytes(8)), GOES),
    Case("4.1", "the reserved bit is set", frame(PING, 0, 0x8000_0000, bytes(8)), GOES),
    Case("4.1", "the reserved bit is set on a request", request(0x8000_0001), Answer()),
    Case("4.2", "DATA of 16,384 bytes", OPEN + frame(DATA, END_STREAM, 1, bytes(16384)), Answer()),
    Case("4.2", "DATA beyond the largest frame", OPEN + frame(DATA, END_STREAM, 1, bytes(16385)),
         Stream((FRAME_SIZE_ERROR,))),
    Case("4.2", "HEADERS beyond the largest frame", frame(HEADERS, END_STREAM | END_HEADERS, 1, block(
        *fields("GET", "/", *[(f"x-{number}", "a" * 100) for number in range(160)]))), Connection((FRAME_SIZE_ERROR,))),
    Case("4.2", "SETTINGS beyond the largest frame", frame(SETTINGS, 0, 0, bytes(6) * 2731),
         Connection((FRAME_SIZE_ERROR,))),
    Case("4.3", "a header block that is no HPACK", frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x40\xff\xff\xff\xff"),
         Connection((COMPRESSION_ERROR,))),
    Case("4.3", "a header block that breaks off inside a field",
         frame(HEADERS, END_STREAM | END_HEADERS, 1, block(*fields())[:-1]), Connection((COMPRESSION_ERROR,))),
    Case("4.3", "PRIORITY inside a header block", OWED + frame(PRIORITY, 0, 1, bytes(4) + b"\xff"), PROTOCOL),
    Case("4.3", "HEADERS of another stream inside a header block", OWED + request(3), PROTOCOL),
    Case("4.3", "a broken header block in trailers",
         OPEN + frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x40\xff\xff\xff\xff"),
         Connection((COMPRESSION_ERROR,))),
    Case("5.1", "idle: DATA", frame(DATA, END_STREAM, 1, b"x"), PROTOCOL),
    Case("5.1", "idle: RST_STREAM", frame(RST_STREAM, 0, 1, ONE), PROTOCOL),
    Case("5.1", "idle: WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 1, ONE), PROTOCOL),
    Case("5.1", "idle: CONTINUATION", frame(CONTINUATION, END_HEADERS, 1, block(*fields())), PROTOCOL),
    Case("5.1", "idle: PRIORITY is allowed", frame(PRIORITY, 0, 1, bytes(4) + b"\x10") + request(1), Answer()),
    Case("5.1", "half-closed: DATA", request(1) + frame(DATA, END_STREAM, 1, b"x"),
         Stream((STREAM_CLOSED,), is_late=True)),
    Case("5.1", "half-closed: HEADERS", request(1) + request(1),
         Stream((STREAM_CLOSED, PROTOCOL_ERROR), is_late=True)),
    Case("5.1", "half-closed: CONTINUATION", request(1) + frame(CONTINUATION, END_HEADERS, 1, block(*fields())),
         Connection((PROTOCOL_ERROR, STREAM_CLOSED))),
    Case("5.1", "half-closed: WINDOW_UPDATE and PRIORITY are allowed",
         request(1) + frame(WINDOW_UPDATE, 0, 1, ONE) + frame(PRIORITY, 0, 1, bytes(4) + b"\x10"), Answer()),
    Case("5.1", "reset: DATA", OPEN + frame(RST_STREAM, 0, 1, bytes(3) + b"\x08") + frame(DATA, END_STREAM, 1, b"x"),
         Stream((STREAM_CLOSED,), is_late=True)),
    Case("5.1", "reset: HEADERS", OPEN + frame(RST_STREAM, 0, 1, bytes(3) + b"\x08") + request(1),
         Stream((STREAM_CLOSED, PROTOCOL_ERROR), is_late=True)),
    Case("5.1", "reset: CONTINUATION",
         OPEN + frame(RST_STREAM, 0, 1, bytes(3) + b"\x08") + frame(CONTINUATION, END_HEADERS, 1, block(*fields())),
         Connection((PROTOCOL_ERROR, STREAM_CLOSED))),
    Case("5.1", "closed: DATA", after_answer(frame(DATA, END_STREAM, 1, b"x"), Stream((STREAM_CLOSED,), is_late=True)),
         None),
    Case("5.1", "closed: HEADERS",
         after_answer(request(1), Stream((STREAM_CLOSED, PROTOCOL_ERROR), is_late=True)), None),
    Case("5.1", "closed: CONTINUATION", after_answer(frame(CONTINUATION, END_HEADERS, 1, block(*fields())),
         Connection((PROTOCOL_ERROR, STREAM_CLOSED))), None),
    Case("5.1", "closed: PRIORITY, WINDOW_UPDATE and RST_STREAM may still come",
         after_answer(frame(PRIORITY, 0, 1, bytes(4) + b"\x10") + frame(WINDOW_UPDATE, 0, 1, ONE)
                      + frame(RST_STREAM, 0, 1, bytes(3) + b"\x08"), GOES), None),
    Case("5.1.1", "a stream with an even number", request(2), PROTOCOL),
    Case("5.1.1", "a stream with a lower number than the one before", request(5) + request(3), PROTOCOL),
    Case("5.1.1", "numbers may be left out", request(7) + request(101), Answer(stream=101)),
    Case("5.1.1", "stream 2^31 - 1", request(0x7FFF_FFFF), Answer(stream=0x7FFF_FFFF)),
    Case("5.1.2", "more streams than are allowed", too_many, None),
    Case("5.3.1", "HEADERS that depend on their own stream", frame(
        HEADERS, END_STREAM | END_HEADERS | PRIORITIZED, 1, ONE + b"\xff" + block(*fields())),
         Stream((PROTOCOL_ERROR,))),
    Case("5.3.1", "PRIORITY that depends on its own stream", OPEN + frame(PRIORITY, 0, 1, ONE + b"\xff"),
         Stream((PROTOCOL_ERROR,))),
    Case("5.4.1", "after a connection error the connection is closed", frame(PING, 0, 0, b"short"),
         Connection((FRAME_SIZE_ERROR,))),
    Case("5.4.1", "GOAWAY names the last stream that was served", names_last_stream, None),
    Case("5.4.2", "a stream's error leaves the others alone", OPEN
         + request(3, more=[("connection", "close")]) + request(5), Answer(stream=5)),
    Case("5.5", "an unknown kind inside a header block",
         OWED + frame(UNKNOWN, 0, 0, b"x") + frame(CONTINUATION, END_HEADERS, 1), PROTOCOL),
    Case("5.5", "padding is the frame's, not the body's",
         OPEN + frame(DATA, END_STREAM | PADDED, 1, b"\4abcd" + bytes(4)), Answer()),
]
