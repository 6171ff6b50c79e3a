"""HTTP/1.1: the public suites."""
from http1 import gunicorn, llhttp, smuggling
from http1.judge import run
from lanes import Lanes


def results(edge, suites):
    cases = [*gunicorn.cases(suites / "gunicorn"), *llhttp.cases(suites / "aiohttp"),
             *smuggling.cases(suites)]
    lanes = Lanes()
    trusted = {"trusted_proxies": ["127.0.0.1"]}
    try:
        for listener, more, is_announced in (({}, {}, False), ({"proxy_protocol": True}, trusted, True)):
            edge.apply(lanes.snapshot(listener, **more))
            yield from lanes.each([case for case in cases if case.is_announced == is_announced], run)
    finally:
        lanes.close()
