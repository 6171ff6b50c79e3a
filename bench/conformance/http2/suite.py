"""HTTP/2: cases of RFC 9113 and RFC 7541, over cleartext with prior knowledge and over TLS."""
import lab
from http2 import connection_cases, frame_cases, hpack_cases, message_cases
from http2.case import run
from lanes import Lanes

CASES = [*connection_cases.CASES, *frame_cases.CASES, *message_cases.CASES, *hpack_cases.CASES]


def results(edge, _suites):
    lanes = Lanes()
    chain, key = lab.certificate(edge.folder)
    certificates = [{"chain": str(chain), "key": str(key), "is_default": True}]
    try:
        for suite, listener, is_secure in (("h2c", {}, False), ("h2", {"tls": {}}, True)):
            edge.apply(lanes.snapshot(listener, certificates=certificates))
            yield from lanes.each(CASES, lambda case, port, recorder: run(case, suite, port, is_secure, recorder))
    finally:
        lanes.close()
