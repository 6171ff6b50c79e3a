"""The load tools: how each is called, and what its output says. All load goes to 127.0.0.1 and ends by itself."""
import dataclasses
import re
import subprocess
import time

from lab import Broken

CONNECTIONS = 64
# Clients that open a new TLS connection for each request.
SHAKERS = 8


@dataclasses.dataclass
class Load:
    """What came of one load; times in ms, None where the tool does not say."""

    requests: int
    failed: int
    seconds: float
    p50: float | None = None
    p99: float | None = None
    # Requests a second that were really sent, where the rate is fixed.
    rate: float | None = None


class Unread(Broken):
    """A tool's output is not what is known of it."""

    def __init__(self, tool, text):
        super().__init__(f"{tool} said something unknown: {text.strip()[-400:] or 'nothing'}")


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]


def parse_wrk(text):
    done = re.search(r"(\d+) requests in ([\d.]+(?:us|ms|s|m))", text)
    if not done:
        raise Unread("wrk", text)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    failed = sum(map(int, errors.groups())) if errors else 0
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    failed += int(refused[1]) if refused else 0

    # At the start of a line: a share in the statistics above may end in the same digits.
    def share(percent):
        found = re.search(rf"^\s+{percent}%\s+(\S+)$", text, re.M)
        return milliseconds(found[1]) if found else None

    return Load(int(done[1]), failed, milliseconds(done[2]) / 1000, share(50), share(99))


def parse_h2load(text):
    ended = re.search(r"finished in ([\d.]+(?:us|ms|s|m)),", text)
    done = re.search(r"requests: \d+ total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed, (\d+) errored, "
                     r"(\d+) timeout", text)
    codes = re.search(r"status codes: (\d+) 2xx", text)
    if not (ended and done and codes):
        raise Unread("h2load", text)
    # What was still under way at the end is no failure; an answer other than 2xx is one.
    succeeded, failed, errored, _ = map(int, done.groups())
    wrong = max(0, succeeded - int(codes[1]))
    return Load(succeeded - wrong, failed + errored + wrong, milliseconds(ended[1]) / 1000)


def parse_log(text, skip):
    """h2load's log of requests (start in us, status, us): those that began after the first `skip` seconds."""
    rows = [tuple(map(int, line.split("\t")[:3])) for line in text.splitlines()]
    if not rows:
        raise Unread("h2load's log", text)
    first = min(row[0] for row in rows)
    kept = [row for row in rows if row[0] >= first + skip * 1e6]
    good = sorted(took for _, status, took in kept if status == 200)
    if not good:
        raise Broken("not one request at the fixed rate was answered with 200")
    seconds = (max(row[0] for row in kept) - min(row[0] for row in kept)) / 1e6
    at = lambda share: good[min(len(good) - 1, int(len(good) * share))] / 1000
    return Load(len(good), len(kept) - len(good), seconds, at(0.5), at(0.99), len(kept) / seconds)


def parse_s_time(text):
    """Connections of `openssl s_time -new`; it prints `r` for each that resumed a session, which none may."""
    done = re.search(r"^(\d+) connections in \d+ real seconds", text, re.M)
    if not done:
        raise Unread("openssl s_time", text)
    marks = "".join(re.findall(r"^[rt3*]+$", text, re.M))
    size = re.search(r"(\d+) bytes read per connection", text)
    if len(marks) != int(done[1]) or not size:
        raise Unread("openssl s_time", text)
    if "r" in marks:
        raise Broken(f"{marks.count('r')} of {done[1]} TLS connections resumed a session: these are no full handshakes")
    if int(size[1]) < 1024:
        raise Broken(f"a full handshake brought {size[1]} bytes, less than the file has")
    return int(done[1])


def run(lab, words):
    done = subprocess.run(words, capture_output=True, text=True, env=lab.client_environment)
    if done.returncode != 0:
        raise Broken(f"{words[0]} failed: {(done.stderr or done.stdout).strip()[-400:]}")
    return done.stdout


def wrk(lab, url, seconds, script=None, connections=CONNECTIONS):
    words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    words += ["-s", str(script)] if script else []
    return parse_wrk(run(lab, [*words, url]))


def h2load(lab, url, seconds):
    """HTTP/2 by prior knowledge: 16 connections with 4 streams each."""
    return parse_h2load(run(lab, ["h2load", "-t1", "-c16", "-m4", "-D", str(seconds), url]))


def fixed_rate(lab, url, seconds, rate=2000, warm=1):
    """So many requests a second over 40 keep-alive connections, whose clocks start a millisecond apart.

    Without that h2load's clients all send at the same moment, and the figure is the queue they make.
    """
    log = lab.dir / "h2load.log"
    log.unlink(missing_ok=True)
    clients = 40
    words = ["h2load", "--h1", "-t1", f"-c{clients}", f"-n{rate * (seconds + warm)}", "-r1", "--rate-period=1ms",
             f"--rps={rate // clients}", f"--log-file={log}", url]
    whole = parse_h2load(run(lab, words))
    load = parse_log(log.read_text(), warm)
    # CPU is counted over the whole load, so the requests must be too; the shares of time are those after the warm-up.
    return Load(whole.requests, whole.failed, whole.seconds, load.p50, load.p99, load.rate)


def handshakes(lab, port, path, seconds):
    """A new TLS connection with a full handshake for each request, from several clients at once."""
    # s_time puts ` HTTP/1.0` after the page; with a header of its own before that, the request names a host.
    page = f"{path} HTTP/1.0\r\nHost: bench.test\r\nX-Client:"
    words = ["openssl", "s_time", "-new", "-connect", f"127.0.0.1:{port}", "-www", page, "-time", str(seconds)]
    began = time.monotonic()
    clients = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=lab.client_environment) for _ in range(SHAKERS)]
    said = [client.communicate() for client in clients]
    elapsed = time.monotonic() - began
    for client, (_, error) in zip(clients, said):
        if client.returncode != 0:
            raise Broken(f"openssl s_time failed: {error.strip()[-300:]}")
    return Load(sum(parse_s_time(out) for out, _ in said), 0, elapsed)
