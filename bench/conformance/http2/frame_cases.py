"""The kinds of frames one by one: section 6 of RFC 9113."""
from http2.case import Answer, Case, Connection, Frames, Stream
from http2.connection_cases import GOES, ONE, OPEN, OWED, PROTOCOL
from http2.wire import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOAWAY,
                        HEADERS, PADDED, PING, PRIORITIZED, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE, RST_STREAM,
                        SETTINGS, WINDOW_UPDATE, block, fields, frame, request, settings)

SIZE = Connection((FRAME_SIZE_ERROR,))
MOST = (0x7FFF_FFFF).to_bytes(4, "big")
HEAD = block(*fields())
ALL = END_STREAM | END_HEADERS

ENABLE_PUSH, STREAMS, WINDOW, FRAME_SIZE, HEADER_LIST = 2, 3, 4, 5, 6


def data_of(length):
    return Frames(lambda came: came.kind == DATA and len(came.payload) == length)


def grows(link):
    """The answer waits for a window that opens afterwards."""
    link.send(settings((WINDOW, 0)) + request(1))
    link.until(lambda came: came.kind == HEADERS)
    link.send(settings((WINDOW, 1)))
    return data_of(1)


def negative(link):
    """A window below zero must be lifted above it before anything is sent."""
    link.send(settings((WINDOW, 1)) + request(1))
    link.until(lambda came: came.kind == DATA and len(came.payload) == 1)
    link.send(settings((WINDOW, 0)) + frame(WINDOW_UPDATE, 0, 1, ONE))
    link.send(frame(PING, 0, 0, b"too soon"))
    early = link.until(lambda came: came.kind == PING or came.kind == DATA and came.payload)
    if early is None or early.kind != PING:
        return Frames(lambda came: False)
    link.send(frame(WINDOW_UPDATE, 0, 1, ONE))
    return data_of(1)


def connection_window(link):
    """The connection's window is kept too, whatever the stream's allows."""
    body = b"x" * 16384
    link.send(OPEN + frame(DATA, 0, 1, body) * 3 + frame(DATA, END_STREAM, 1, body))
    return Frames(lambda came: came.kind == WINDOW_UPDATE or came.kind == HEADERS and came.stream == 1)


CASES = [
    Case("6.1", "DATA with padding", OPEN + frame(DATA, END_STREAM | PADDED, 1, b"\5hello" + bytes(5)), Answer()),
    Case("6.1", "several DATA frames, some empty", OPEN + frame(DATA, 0, 1, b"a") + frame(DATA, 0, 1)
         + frame(DATA, END_STREAM, 1, b"b"), Answer()),
    Case("6.1", "DATA of stream 0", frame(DATA, END_STREAM, 0, b"x"), PROTOCOL),
    Case("6.1", "DATA with more padding than bytes", OPEN + frame(DATA, END_STREAM | PADDED, 1, b"\x06abcde"),
         PROTOCOL),
    Case("6.1", "DATA that is all padding", OPEN + frame(DATA, END_STREAM | PADDED, 1, b"\5" + bytes(5)), Answer()),
    Case("6.1", "DATA with padding and no byte to say how much", OPEN + frame(DATA, END_STREAM | PADDED, 1),
         Connection((FRAME_SIZE_ERROR, PROTOCOL_ERROR))),
    Case("6.2", "HEADERS with padding", frame(HEADERS, ALL | PADDED, 1, b"\x08" + HEAD + bytes(8)), Answer()),
    Case("6.2", "HEADERS with a priority", frame(HEADERS, ALL | PRIORITIZED, 1, bytes(4) + b"\x0f" + HEAD), Answer()),
    Case("6.2", "HEADERS of stream 0", frame(HEADERS, ALL, 0, HEAD), PROTOCOL),
    Case("6.2", "HEADERS with more padding than bytes", frame(HEADERS, ALL | PADDED, 1, b"\xff" + HEAD[:9]), PROTOCOL),
    Case("6.2", "HEADERS too short for their priority", frame(HEADERS, ALL | PRIORITIZED, 1, b"\0"),
         Connection((FRAME_SIZE_ERROR, PROTOCOL_ERROR))),
    Case("6.2", "DATA inside a header block", OWED + frame(DATA, END_STREAM, 1), PROTOCOL),
    Case("6.3", "PRIORITY of stream 0", frame(PRIORITY, 0, 0, bytes(5)), PROTOCOL),
    Case("6.3", "PRIORITY that is too short", OPEN + frame(PRIORITY, 0, 1, bytes(4)), Stream((FRAME_SIZE_ERROR,))),
    Case("6.3", "PRIORITY that is too long", OPEN + frame(PRIORITY, 0, 1, bytes(6)), Stream((FRAME_SIZE_ERROR,))),
    Case("6.3", "an exclusive PRIORITY", frame(PRIORITY, 0, 1, b"\x80\0\0\3\xff") + request(1), Answer()),
    Case("6.4", "RST_STREAM of stream 0", frame(RST_STREAM, 0, 0, ONE), PROTOCOL),
    Case("6.4", "RST_STREAM of an idle stream", frame(RST_STREAM, 0, 9, ONE), PROTOCOL),
    Case("6.4", "RST_STREAM that is too short", OPEN + frame(RST_STREAM, 0, 1, bytes(3)), SIZE),
    Case("6.4", "RST_STREAM that is too long", OPEN + frame(RST_STREAM, 0, 1, bytes(5)), SIZE),
    Case("6.4", "a stream that is reset leaves the connection alone",
         OPEN + frame(RST_STREAM, 0, 1, bytes(3) + b"\x08") + request(3), Answer(stream=3)),
    Case("6.5", "an acknowledgement with a payload", frame(SETTINGS, ACK, 0, bytes(6)), SIZE),
    Case("6.5", "SETTINGS of a stream", frame(SETTINGS, 0, 1, bytes(6)), PROTOCOL),
    Case("6.5", "SETTINGS whose length is no multiple of six", frame(SETTINGS, 0, 0, bytes(3)), SIZE),
    Case("6.5.2", "ENABLE_PUSH that is neither 0 nor 1", settings((ENABLE_PUSH, 2)), PROTOCOL),
    Case("6.5.2", "a window above 2^31 - 1", settings((WINDOW, 0x8000_0000)), Connection((FLOW_CONTROL_ERROR,))),
    Case("6.5.2", "a frame size below 16,384", settings((FRAME_SIZE, 16383)), PROTOCOL),
    Case("6.5.2", "a frame size above 16,777,215", settings((FRAME_SIZE, 16777216)), PROTOCOL),
    Case("6.5.2", "a setting that nobody knows", settings((0xFF, 1)), GOES),
    Case("6.5.2", "no streams and small lists are the client's own wishes",
         settings((STREAMS, 0), (HEADER_LIST, 65536)) + request(1), Answer()),
    Case("6.5.3", "one setting twice: the last one counts", lambda link: (
        link.send(settings((WINDOW, 100), (WINDOW, 1)) + request(1)), data_of(1))[1], None),
    Case("6.5.3", "settings are acknowledged", settings((WINDOW, 65536)),
         Frames(lambda came: came.kind == SETTINGS and came.flags & ACK)),
    Case("6.6", "PUSH_PROMISE from a client",
         OPEN + frame(PUSH_PROMISE, END_HEADERS, 1, (2).to_bytes(4, "big") + HEAD), PROTOCOL),
    Case("6.7", "PING is answered with its own bytes", frame(PING, 0, 0, b"12345678"),
         Frames(lambda came: came.kind == PING and came.flags & ACK and came.payload == b"12345678")),
    Case("6.7", "an answer to no PING is passed over", frame(PING, ACK, 0, b"no ping!"), GOES),
    Case("6.7", "PING of a stream", frame(PING, 0, 1, bytes(8)), PROTOCOL),
    Case("6.7", "PING that is too short", frame(PING, 0, 0, bytes(6)), SIZE),
    Case("6.7", "PING that is too long", frame(PING, 0, 0, bytes(9)), SIZE),
    Case("6.8", "GOAWAY of a stream", frame(GOAWAY, 0, 1, bytes(8)), PROTOCOL),
    Case("6.8", "GOAWAY that is too short", frame(GOAWAY, 0, 0, bytes(7)), SIZE),
    Case("6.8", "a client that leaves gets its answer", request(1) + frame(GOAWAY, 0, 0, bytes(8)), Answer()),
    Case("6.9", "a connection's window that grows by nothing", frame(WINDOW_UPDATE, 0, 0, bytes(4)), PROTOCOL),
    Case("6.9", "a stream's window that grows by nothing", OPEN + frame(WINDOW_UPDATE, 0, 1, bytes(4)),
         Stream((PROTOCOL_ERROR,))),
    Case("6.9", "WINDOW_UPDATE that is too short", frame(WINDOW_UPDATE, 0, 0, bytes(3)), SIZE),
    Case("6.9", "WINDOW_UPDATE that is too long", frame(WINDOW_UPDATE, 0, 0, bytes(5)), SIZE),
    Case("6.9", "the reserved bit of a window's growth", frame(WINDOW_UPDATE, 0, 0, b"\x80\0\0\1"), GOES),
    Case("6.9.1", "a window of one byte gets one byte",
         lambda link: (link.send(settings((WINDOW, 1)) + request(1)), data_of(1))[1], None),
    Case("6.9.1", "a connection's window above 2^31 - 1", frame(WINDOW_UPDATE, 0, 0, MOST) * 2,
         Connection((FLOW_CONTROL_ERROR,))),
    Case("6.9.1", "a stream's window above 2^31 - 1", OPEN + frame(WINDOW_UPDATE, 0, 1, MOST) * 2,
         Stream((FLOW_CONTROL_ERROR,))),
    Case("6.9.1", "windows are opened again as a body is read", connection_window, None),
    Case("6.9.2", "a window that is opened by a setting", grows, None),
    Case("6.9.2", "a window below zero is respected", negative, None),
    Case("6.9.2", "a setting that lifts a window above 2^31 - 1",
         OPEN + frame(WINDOW_UPDATE, 0, 1, MOST[:3] + b"\0") + settings((WINDOW, 0x7FFF_FFFF)),
         Connection((FLOW_CONTROL_ERROR,))),
    Case("6.10", "a head in two CONTINUATIONs", frame(HEADERS, END_STREAM, 1, HEAD[:9])
         + frame(CONTINUATION, 0, 1, HEAD[9:20]) + frame(CONTINUATION, END_HEADERS, 1, HEAD[20:]), Answer()),
    Case("6.10", "an empty CONTINUATION", OWED + frame(CONTINUATION, END_HEADERS, 1), Answer()),
    Case("6.10", "something else after a CONTINUATION",
         OWED + frame(CONTINUATION, 0, 1) + frame(DATA, END_STREAM, 1), PROTOCOL),
    Case("6.10", "CONTINUATION of stream 0", OWED + frame(CONTINUATION, END_HEADERS, 0), PROTOCOL),
    Case("6.10", "CONTINUATION of another stream", OWED + frame(CONTINUATION, END_HEADERS, 3), PROTOCOL),
    Case("6.10", "CONTINUATION after a head that has ended",
         OPEN + frame(CONTINUATION, END_HEADERS, 1, block(("x", "y"))), PROTOCOL),
    Case("6.10", "CONTINUATION after the last CONTINUATION", frame(HEADERS, 0, 1, HEAD)
         + frame(CONTINUATION, END_HEADERS, 1) + frame(CONTINUATION, END_HEADERS, 1), PROTOCOL),
    Case("6.10", "CONTINUATION after DATA", OPEN + frame(DATA, 0, 1, b"x") + frame(CONTINUATION, END_HEADERS, 1),
         PROTOCOL),
    Case("7", "GOAWAY with a code that nobody knows", frame(GOAWAY, 0, 0, bytes(6) + b"\xff\xff") + request(1),
         Answer()),
    Case("7", "RST_STREAM with a code that nobody knows",
         OPEN + frame(RST_STREAM, 0, 1, b"\0\0\xff\xff") + request(3), Answer(stream=3)),
]
