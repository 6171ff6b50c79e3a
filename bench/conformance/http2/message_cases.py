"""Requests: section 8 of RFC 9113, and what an HTTP/2 request must not become on its way to an HTTP/1.1 target."""
from http2.case import Answer, Case, Stream
from http2.wire import (DATA, END_HEADERS, END_STREAM, HEADERS, PROTOCOL_ERROR, block, fields, frame, request)

ALL = END_STREAM | END_HEADERS
MALFORMED = Stream((PROTOCOL_ERROR,))
POST = ("content-type", "text/plain")


def head(*given, flags=ALL):
    """A request of exactly these fields."""
    return frame(HEADERS, flags, 1, block(*given))


def get(*more):
    return request(1, more=more)


def post(*pieces, more=(), trailers=None):
    """A body in these pieces."""
    sent = request(1, END_HEADERS, "POST", more=more)
    for number, piece in enumerate(pieces):
        is_last = number == len(pieces) - 1 and trailers is None
        sent += frame(DATA, END_STREAM if is_last else 0, 1, piece)
    return sent if trailers is None else sent + frame(HEADERS, ALL, 1, block(*trailers))


def without(name):
    return head(*[field for field in fields() if field[0] != name])


def doubled(name):
    """The field twice, with one value."""
    return head(*[field for field in fields() for _ in range(2 if field[0] == name else 1)])


def valued(name, value):
    return head(*[(field, value if field == name else old) for field, old in fields()])


CASES = [
    Case("8.1", "GET", get(), Answer()),
    Case("8.1", "HEAD", request(1, method="HEAD"), Answer()),
    Case("8.1", "POST", post(b"hello"), Answer()),
    Case("8.1", "POST with its length", post(b"hel", b"lo", more=[("content-length", "5")]), Answer()),
    Case("8.1", "POST with trailers", post(b"hello", trailers=[("x-sum", "1")]), Answer()),
    Case("8.1", "OPTIONS with and without a path", request(1, method="OPTIONS", path="*"), Answer()),
    Case("8.1", "a method that nobody knows", request(1, method="BREW"), Answer()),
    Case("8.1", "a second head that does not end the stream",
         request(1, END_HEADERS, "POST") + frame(HEADERS, END_HEADERS, 1, block(("x", "y"))), MALFORMED),
    Case("8.1", "DATA after trailers", post(b"hello", trailers=[("x-sum", "1")]) + frame(DATA, END_STREAM, 1, b"x"),
         Stream((5,), is_late=True)),
    Case("8.1.1", "a length above the body's", post(b"test", more=[("content-length", "5")]), MALFORMED),
    Case("8.1.1", "a length below the body's", post(b"test", more=[("content-length", "1")]), MALFORMED),
    Case("8.1.1", "a length below several pieces'", post(b"test", b"test", more=[("content-length", "5")]), MALFORMED),
    Case("8.1.1", "a length and no body", get(("content-length", "5")), MALFORMED),
    Case("8.1.1", "a length that is no number", post(b"test", more=[("content-length", "+4")]), MALFORMED),
    Case("8.1.1", "two lengths that differ",
         post(b"test", more=[("content-length", "4"), ("content-length", "5")]), MALFORMED),
    Case("8.2", "an upper-case name", get(("X-Test", "ok")), MALFORMED),
    Case("8.2.1", "an empty name", get(("", "ok")), MALFORMED),
    Case("8.2.1", "a space in a name", get(("x test", "ok")), MALFORMED),
    Case("8.2.1", "a colon inside a name", get(("x:test", "ok")), MALFORMED),
    Case("8.2.1", "a line end in a name", get(("x\r\ny", "ok")), MALFORMED),
    Case("8.2.1", "a zero byte in a name", get(("x\0y", "ok")), MALFORMED),
    Case("8.2.1", "a byte above 127 in a name", get(("x\xff", "ok")), MALFORMED),
    Case("8.2.1", "a line feed in a value", get(("x-test", "a\nb: c")), MALFORMED),
    Case("8.2.1", "a carriage return in a value", get(("x-test", "a\rb")), MALFORMED),
    Case("8.2.1", "a line end in a value", get(("x-test", "a\r\nsmuggled: yes")), MALFORMED),
    Case("8.2.1", "a zero byte in a value", get(("x-test", "a\0b")), MALFORMED),
    Case("8.2.1", "a value that begins with a space", get(("x-test", " a")), MALFORMED),
    Case("8.2.1", "a value that ends with a tab", get(("x-test", "a\t")), MALFORMED),
    Case("8.2.1", "a line end in a trailer's value", post(b"a", trailers=[("x-sum", "1\r\nx: y")]), MALFORMED),
    Case("8.2.2", "Connection", get(("connection", "keep-alive")), MALFORMED),
    Case("8.2.2", "Connection: close", get(("connection", "close")), MALFORMED),
    Case("8.2.2", "Keep-Alive", get(("keep-alive", "timeout=5")), MALFORMED),
    Case("8.2.2", "Proxy-Connection", get(("proxy-connection", "keep-alive")), MALFORMED),
    Case("8.2.2", "Transfer-Encoding", post(b"0\r\n\r\n", more=[("transfer-encoding", "chunked")]), MALFORMED),
    Case("8.2.2", "Upgrade", get(("upgrade", "websocket")), MALFORMED),
    Case("8.2.2", "TE that is not `trailers`", get(("te", "trailers, deflate")), MALFORMED),
    Case("8.2.2", "TE: trailers", get(("te", "trailers")), Answer()),
    Case("8.2.3", "a cookie in pieces", get(("cookie", "a=1"), ("cookie", "b=2")), Answer()),
    Case("8.3", "a pseudo-header that nobody knows", get((":test", "ok")), MALFORMED),
    Case("8.3", "a response's pseudo-header", head((":status", "200"), *fields()), MALFORMED),
    Case("8.3", "a pseudo-header in trailers", post(b"a", trailers=[(":method", "GET")]), MALFORMED),
    Case("8.3", "a pseudo-header after the others",
         head(*fields()[:3], ("x-test", "ok"), fields()[3]), MALFORMED),
    Case("8.3.1", "an empty path", valued(":path", ""), MALFORMED),
    *[Case("8.3.1", f"no {name}", without(name), MALFORMED) for name in (":method", ":scheme", ":path")],
    *[Case("8.3.1", f"{name} twice", doubled(name), MALFORMED)
      for name in (":method", ":scheme", ":path", ":authority")],
    Case("8.3.1", "no authority and no host", without(":authority"), MALFORMED),
    Case("8.3.1", "a host instead of the authority", head(*[field for field in fields() if field[0] != ":authority"],
                                                          ("host", "localhost")), Answer()),
    Case("8.3.1", "authority and host agree", get(("host", "localhost")), Answer()),
    Case("8.3.1", "authority and host differ", get(("host", "elsewhere")), MALFORMED),
    Case("8.3.1", "two hosts", get(("host", "localhost"), ("host", "elsewhere")), MALFORMED),
    Case("8.3.1", "a user in the authority", valued(":authority", "user@localhost"), MALFORMED),
    Case("8.3.1", "a path in the authority", valued(":authority", "localhost/elsewhere"), MALFORMED),
    Case("8.3.1", "a line end in the authority", valued(":authority", "a\r\nx: y"), MALFORMED),
    Case("8.3.1", "a path without a slash", valued(":path", "elsewhere"), MALFORMED),
    Case("8.3.1", "an address as a path", valued(":path", "http://elsewhere/"), MALFORMED),
    Case("8.3.1", "a line end in the path", valued(":path", "/ HTTP/1.1\r\nHost: x\r\n\r\nGET /two"), MALFORMED),
    Case("8.3.1", "a space in the path", valued(":path", "/a b"), MALFORMED),
    Case("8.3.1", "a zero byte in the path", valued(":path", "/a\0b"), MALFORMED),
    Case("8.3.1", "a space in the method", valued(":method", "GET / HTTP/1.1"), MALFORMED),
    Case("8.3.1", "a line end in the method", valued(":method", "GET /x HTTP/1.1\r\nA: b"), MALFORMED),
    Case("8.3.1", "an empty method", valued(":method", ""), MALFORMED),
    Case("8.3.1", "a line end in the scheme", valued(":scheme", "http\r\nx: y"), MALFORMED),
    Case("8.3.1", "an asterisk for another method than OPTIONS", valued(":path", "*"), MALFORMED),
    Case("8.5", "CONNECT", head((":method", "CONNECT"), (":authority", "localhost:443")), Stream((PROTOCOL_ERROR, 7))),
    Case("8.5", "CONNECT with a path", request(1, method="CONNECT"), MALFORMED),
    Case("8.6", "PRI is no method of this connection", request(1, method="PRI", path="*"), MALFORMED),
    *[Case("9110 6.5.1", f"a trailer named {name}", post(b"a", trailers=[(name, value)]), Stream((PROTOCOL_ERROR,)))
      for name, value in (("content-length", "7"), ("transfer-encoding", "chunked"), ("host", "elsewhere"),
                          ("connection", "close"))],
    Case("10.5", "a list of headers beyond what is allowed",
         frame(HEADERS, END_STREAM, 1, block(*fields()))
         + b"".join(frame(9, 0, 1, block((f"x-{number}", "a" * 16000))) for number in range(3))
         + frame(9, END_HEADERS, 1), Stream((PROTOCOL_ERROR, 7, 8, 11))),
]
