"""Sends a case through the edge and compares what arrived with what the suite says."""
import re
import socket
import time

from verdict import FAILED, LAXER, OTHER, PASSED, STRICTER, Result

PATIENCE = 5.0
# Where nothing more is to come, so long nothing must come; a refusal gets longer, and is not needed for the verdict.
QUIET, REFUSAL = 0.3, 1.0

# Of one hop, or the edge's own; everything else must arrive as it was.
NOT_COMPARED = {"connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te",
                "upgrade", "transfer-encoding", "content-length", "expect", "trailer", "host", "cookie",
                "http2-settings"}
ADDED = {"x-forwarded-for", "x-real-ip", "forwarded", "x-forwarded-port", "x-forwarded-proto", "x-forwarded-host",
         "x-request-id", "traceparent", "x-forwarded-server", "x-forwarded-prefix", "tracestate"}
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) [^\r\n]*\r\n")


class Outcome:
    """What a client and the target saw of one case."""

    def __init__(self, statuses, is_closed, seen):
        self.statuses, self.is_closed = statuses, is_closed
        self.whole = [one for one in seen if one.is_whole]
        self.doubts = [doubt for one in seen for doubt in one.doubts]

    def __str__(self):
        end = "closed" if self.is_closed else "open"
        targets = ", ".join(f"{one.method} {one.target[:40]}" for one in self.whole) or "nothing"
        return f"answers {self.statuses or 'none'}, {end}; the target got {targets}"


def send(port, recorder, data, is_cut, answers, quiet):
    """Writes the bytes at once or line by line; reads until so many answers are there, or it is over or quiet."""
    recorder.take()
    link = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with link:
        try:
            for piece in data.splitlines(keepends=True) if is_cut else [data]:
                link.sendall(piece)
        except OSError:
            pass  # Refused before the last line; what it says is read all the same.
        got, is_closed = read(link, answers, quiet)
    statuses = [int(code) for code in STATUS.findall(got)]
    settle(recorder, sum(status == 200 for status in statuses))
    return Outcome(statuses, is_closed, recorder.take())


def read(link, answers, quiet):
    got, began = b"", time.monotonic()
    while time.monotonic() - began < PATIENCE:
        # An answer that is not wanted may still come, but nobody waits long for it.
        has_all = len(STATUS.findall(got)) >= answers
        link.settimeout(quiet if has_all else PATIENCE)
        try:
            piece = link.recv(65536)
        except TimeoutError:
            return got, False
        except OSError:
            return got, True
        if not piece:
            return got, True
        got += piece
    return got, False


def settle(recorder, whole):
    """The target's side is written down by other threads; what was answered with 200 must be there."""
    began = time.monotonic()
    while recorder.count() < whole and time.monotonic() - began < PATIENCE:
        time.sleep(0.002)


def judge(case, outcome):
    if outcome.doubts:
        return FAILED, f"what the target got can be read in two ways: {outcome.doubts[0]}"
    for wanted, got in zip(case.wanted, outcome.whole):
        difference = unlike(wanted, got)
        if difference:
            return OTHER, difference
    if len(outcome.whole) < len(case.wanted):
        is_refused = outcome.is_closed or any(400 <= status < 500 for status in outcome.statuses)
        return (STRICTER if is_refused else OTHER), str(outcome)
    if case.is_upgrade:
        return PASSED, ""
    if len(outcome.whole) > len(case.wanted):
        return LAXER, str(outcome)
    # What is refused says so, or the connection is over, or the rest of it is still waited for.
    if case.error and any(status >= 500 for status in outcome.statuses):
        return FAILED, str(outcome)
    return PASSED, ""


def unlike(wanted, got):
    """What differs in meaning; empty when nothing does."""
    if (wanted.method, plain(wanted.target)) != (got.method, got.target):
        return f"{wanted.method} {wanted.target} became {got.method} {got.target}"
    if wanted.body != got.body:
        return f"the body {wanted.body[:60]!r} became {got.body[:60]!r}"
    named = {name.strip().lower() for header, value in wanted.headers if header == "connection"
             for name in value.split(",")}
    def own(name):
        return name in NOT_COMPARED or name in ADDED or name in named
    before = sorted((name, value.strip(" \t")) for name, value in wanted.headers if not own(name))
    after = sorted((name, value) for name, value in got.headers if not own(name))
    if before != after:
        return f"the headers {before} became {after}"
    return ""


def plain(target):
    """As it goes on: without scheme, host and fragment."""
    bare = re.sub(r"^[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#]*", "", target.split("#")[0])
    return bare if bare.startswith(("/", "*")) else "/" + bare


def run(case, port, recorder):
    """Both ways of sending must come to the same."""
    data = case.hosted()
    quiet = REFUSAL if case.error else QUIET
    results = []
    for is_cut in (False, True):
        outcome = send(port, recorder, data, is_cut, len(case.wanted), quiet)
        results.append(judge(case, outcome))
    if results[0][0] != results[1][0]:
        return Result(case.suite, case.name, FAILED, f"at once: {results[0]}; line by line: {results[1]}")
    return Result(case.suite, case.name, *results[0])
