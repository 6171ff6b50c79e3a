"""Ways to make two readers disagree about where a request ends, as they are known from public research.

The body of each holds a second request; a reader that is led astray takes it for one of its own.
"""
from http1.case import Case, Wanted

INNER = b"GET /smuggled HTTP/1.1\r\nHost: smuggled.example\r\n\r\n"
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(INNER), INNER)
LENGTH = b"Content-Length: %d" % len(INNER)
CODING = b"Transfer-Encoding: chunked"

# Codings that some readers see and others do not.
CODINGS = [
    b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked", b" Transfer-Encoding: chunked",
    b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding:\x0cchunked", b"Transfer-Encoding: chunked\x0b",
    b"Transfer-Encoding: \x00chunked", b"Transfer-Encoding: chunked\x00", b"Transfer-Encoding: \xa0chunked",
    b"Transfer-Encoding: \x85chunked", b"Transfer-Encoding: \"chunked\"", b"Transfer-Encoding: 'chunked'",
    b"Transfer-Encoding: xchunked", b"Transfer-Encoding: chunkedx", b"Transfer-Encoding: chunk",
    b"Transfer-Encoding: chunked;", b"Transfer-Encoding: chunked; q=1", b"Transfer-Encoding: ,chunked",
    b"Transfer-Encoding: chunked,", b"Transfer-Encoding: identity", b"Transfer-Encoding: identity, chunked",
    b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding:",
    b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding: \r\n\tchunked", b"X: y\r\n Transfer-Encoding: chunked",
    b"X: y\nTransfer-Encoding: chunked", b"X: y\rTransfer-Encoding: chunked", b"X: y\r\r\nTransfer-Encoding: chunked",
    b"Transfer\x00-Encoding: chunked", b"Transfer-Encoding\x00: chunked", b"Transfer-\xffEncoding: chunked",
    b"\x00Transfer-Encoding: chunked", b"Transfer-Encoding\r\n: chunked", b": chunked\r\nTransfer-Encoding: chunked\x01",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
]

LENGTHS = [
    b"Content-Length: %d\r\nContent-Length: 0", b"Content-Length: 0\r\nContent-Length: %d", b"Content-Length: %d, 0",
    b"Content-Length: %d, %d", b"Content-Length: +%d", b"Content-Length: -%d", b"Content-Length: 0x%x",
    b"Content-Length: %d.0", b"Content-Length: %de0", b"Content-Length: %d 0", b"Content-Length: 0 %d",
    b"Content-Length : %d", b"Content-Length\t: %d", b" Content-Length: %d", b"Content-Length: \x00%d",
    b"Content-Length: %d\x00", b"Content-Length: \x0b%d", b"Content-Length: '%d'", b"Content-Length: \"%d\"",
    b"Content-Length: %d_0", b"Content-Length: 1_%d", b"Content-Length: \xa0%d", b"Content-Length:\r\n %d",
    b"Content-Length: 18446744073709551%d", b"Content-Length: 184467440737095516%d", b"Content-Length:",
    b"Content\x00-Length: %d", b"Content-Length\x00: %d", b"X: y\nContent-Length: %d", b"X: y\rContent-Length: %d",
]

CHUNKS = [
    b"+%x\r\n%s\r\n0\r\n\r\n", b"-%x\r\n%s\r\n0\r\n\r\n", b"0x%x\r\n%s\r\n0\r\n\r\n", b"%x\n%s\r\n0\r\n\r\n",
    b"%x\r%s\r\n0\r\n\r\n", b"%x\r\n%s0\r\n\r\n", b"%x\r\n%s\n0\r\n\r\n", b"%x\r\n%sXX0\r\n\r\n",
    b"1000000000000000%x\r\n%s\r\n0\r\n\r\n", b"%x_0\r\n%s\r\n0\r\n\r\n", b" %x\r\n%s\r\n0\r\n\r\n",
    b"%x\x00\r\n%s\r\n0\r\n\r\n", b"%x;a\nb\r\n%s\r\n0\r\n\r\n", b"%x;a\rb\r\n%s\r\n0\r\n\r\n", b"\r\n%x\r\n%s\r\n0\r\n\r\n",
    b";%x\r\n%s\r\n0\r\n\r\n", b"%x.\r\n%s\r\n0\r\n\r\n", b"%xg\r\n%s\r\n0\r\n\r\n",
]

LINES = [
    b"POST  /a HTTP/1.1", b"POST\t/a\tHTTP/1.1", b"POST /a  HTTP/1.1", b"POST /a HTTP/1.1 ", b" POST /a HTTP/1.1",
    b"POST /a HTTP/1.1\x00", b"POST /a HTTP/01.1", b"POST /a HTTP/1.10", b"POST /a HTTP/1.2", b"POST /a HTTP/2.0",
    b"POST /a HTTP/0.9", b"POST /a http/1.1", b"POST /a", b"POST /a b HTTP/1.1", b"POST /a\x00 HTTP/1.1",
    b"POST /a\x0b HTTP/1.1", b"POST /a\xa0HTTP/1.1", b"PO\x00ST /a HTTP/1.1", b"POST\x0b/a HTTP/1.1",
    b"POST //other.example/a:b@c HTTP/1.1 HTTP/1.1", b"POST http:/a HTTP/1.1", b"POST ?a HTTP/1.1",
]


def cases(_folder):
    head = b"POST /a HTTP/1.1\r\nHost: a.example\r\n"
    for text in CODINGS:
        yield refused(f"coding and length: {shown(text)}", head + LENGTH + b"\r\n" + text + b"\r\n\r\n" + CHUNKED)
        yield refused(f"coding alone: {shown(text)}", head + text + b"\r\n\r\n" + CHUNKED)
    for text in LENGTHS:
        filled = text.replace(b"%x", b"%x" % len(INNER)).replace(b"%d", b"%d" % len(INNER))
        yield refused(f"length: {shown(text)}", head + filled + b"\r\n\r\n" + INNER)
        yield refused(f"length and coding: {shown(text)}", head + filled + b"\r\n" + CODING + b"\r\n\r\n" + CHUNKED)
    for text in CHUNKS:
        yield refused(f"chunk: {shown(text)}", head + CODING + b"\r\n\r\n" + text % (len(INNER), INNER) + INNER)
    for text in LINES:
        yield refused(f"first line: {shown(text)}", text + b"\r\nHost: a.example\r\n" + LENGTH + b"\r\n\r\n" + INNER)
    yield from plain(head)


def refused(name, data):
    return Case("smuggling", name, data, [], "two readers could disagree")


def plain(head):
    """What is fine must go on being so: a wall would pass everything above."""
    for name, fields, body in (("a length", LENGTH, INNER), ("chunks", CODING, CHUNKED),
                               ("a coding in capitals", b"TRANSFER-ENCODING:CHUNKED", CHUNKED),
                               ("a tab before the coding", b"Transfer-Encoding:\tchunked\t", CHUNKED),
                               ("a length with zeros", b"Content-Length: 00%d" % len(INNER), INNER),
                               ("one length twice", LENGTH + b"\r\n" + LENGTH, INNER)):
        wanted = Wanted("POST", "/a", [("host", "a.example")], INNER)
        yield Case("smuggling", f"plain: {name}", head + fields + b"\r\n\r\n" + body, [wanted])


def shown(text):
    return repr(text)[2:-1]
