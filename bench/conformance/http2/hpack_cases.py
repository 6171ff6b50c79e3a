"""HPACK: RFC 7541."""
from http2.case import Answer, Case, Connection
from http2.wire import (COMPRESSION_ERROR, END_HEADERS, END_STREAM, HEADERS, block, fields, frame, integer,
                        literal, text)

BROKEN = Connection((COMPRESSION_ERROR,))
HEAD = block(*fields())
# Entries of the static table: `:method: GET`, `:scheme: http`, `:path: /`, and `:authority` without a value.
INDEXED = bytes([0x82, 0x86, 0x84]) + b"\x01" + text("localhost")


def head(payload, stream=1):
    return frame(HEADERS, END_STREAM | END_HEADERS, stream, payload)


def indexing(name, value):
    """A literal that goes into the dynamic table."""
    return b"\x40" + text(name) + text(value)


def updated(size):
    return integer(size, 5, 0x20)


def table_size(link):
    """An entry that was dropped by a smaller table must not be found."""
    link.send(head(HEAD + indexing("x-kept", "1")) + head(updated(0) + HEAD + b"\xbe", 3))


# `private`, as RFC 7541 has it in C.4.
HUFFMAN_OK = b"\x40" + text("x-h") + bytes([0x80 | 5, 0xae, 0xc3, 0x77, 0x1a, 0x4b])
# One byte whose five bits are a letter; the rest is not all ones.
HUFFMAN_ZEROS = b"\x40" + text("x-h") + bytes([0x80 | 1, 0b0001_1000])
# A letter, and then eleven bits of padding.
HUFFMAN_LONG = b"\x40" + text("x-h") + bytes([0x80 | 2, 0b0001_1111, 0xff])
HUFFMAN_END = b"\x40" + text("x-h") + bytes([0x80 | 4, 0xff, 0xff, 0xff, 0xff])

CASES = [
    Case("H2.3.2", "an entry of the dynamic table", head(HEAD + indexing("x-kept", "1")) + head(HEAD + b"\xbe", 3),
         Answer(stream=3)),
    Case("H2.3.3", "an index beyond both tables", head(HEAD + b"\xc6"), BROKEN),
    Case("H2.3.3", "a name's index beyond both tables", head(HEAD + b"\x7f\x07" + text("x")), BROKEN),
    Case("H4.2", "a table's new size behind a field", head(HEAD + updated(0)), BROKEN),
    Case("H4.2", "the entries that a smaller table drops are gone", table_size, BROKEN),
    Case("H4.2", "a smaller and then a larger table", head(updated(0) + updated(4096) + HEAD), Answer()),
    Case("H4.3", "an entry larger than the table empties it",
         head(updated(64) + HEAD + indexing("x-large", "a" * 100) + b"\xbe"), BROKEN),
    Case("H5.1", "an integer without an end", head(HEAD + b"\x7f" + b"\xff" * 12 + b"\x7f"), BROKEN),
    Case("H5.1", "an integer beyond 32 bits", head(HEAD + b"\x00" + integer(1 << 40, 7) + b"x"), BROKEN),
    Case("H5.2", "a string longer than its block", head(HEAD + b"\x00" + integer(100, 7) + b"x"), BROKEN),
    Case("H5.2", "Huffman code that is padded with ones", head(HEAD + HUFFMAN_OK), Answer()),
    Case("H5.2", "Huffman code with more than seven bits of padding", head(HEAD + HUFFMAN_LONG), BROKEN),
    Case("H5.2", "Huffman code that is padded with zeros", head(HEAD + HUFFMAN_ZEROS), BROKEN),
    Case("H5.2", "Huffman code with the end of the string in it", head(HEAD + HUFFMAN_END), BROKEN),
    Case("H6.1", "fields of the static table", head(INDEXED), Answer()),
    Case("H6.1", "index 0", head(HEAD + b"\x80"), BROKEN),
    Case("H6.2.1", "a literal that is indexed, with a new name", head(HEAD + indexing("x-new", "1")), Answer()),
    Case("H6.2.1", "a literal that is indexed, with a known name", head(HEAD + b"\x50" + text("gzip")), Answer()),
    Case("H6.2.2", "a literal that is not indexed, with a known name", head(HEAD + b"\x0f\x01" + text("gzip")),
         Answer()),
    Case("H6.2.2", "a literal that is not indexed, with a new name", head(HEAD + literal("x-new", "1")), Answer()),
    Case("H6.2.3", "a literal that is never indexed, with a known name", head(HEAD + b"\x1f\x01" + text("gzip")),
         Answer()),
    Case("H6.2.3", "a literal that is never indexed, with a new name",
         head(HEAD + b"\x10" + text("x-new") + text("1")), Answer()),
    Case("H6.3", "a table's new size", head(updated(128) + HEAD), Answer()),
    Case("H6.3", "a table larger than the edge's setting", head(updated(4097) + HEAD), BROKEN),
]
