#!/usr/bin/env python3
"""Public conformance cases of HTTP/1.1, HTTP/2 and WebSocket, against the real `mainstay edge`.

Called by `./x conformance`, which fetches the suites; every deviation has a reason in `known.py`, or the run fails.
"""
import argparse
import importlib
import json
import pathlib
import sys
import tempfile

import known
import lab
import page
from verdict import counts, explain

GROUPS = {"http1": "HTTP/1.1", "http2": "HTTP/2", "websocket": "WebSocket"}


def main():
    options = read_options()
    results = []
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        edge = lab.Edge(folder, options.mainstay, options.apply)
        try:
            for group in options.only or GROUPS:
                suite = importlib.import_module(f"{group}.suite")
                found = list(suite.results(edge, pathlib.Path(options.suites)))
                say(GROUPS[group], found)
                results += found
        finally:
            edge.stop()
    unused = explain(results, known.ROWS)
    return tell(options, results, unused)


def read_options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mainstay", required=True, help="the program")
    parser.add_argument("--apply", required=True, help="the example `edge-apply`")
    parser.add_argument("--suites", required=True, help="where the suites were unpacked")
    parser.add_argument("--only", action="append", choices=list(GROUPS))
    parser.add_argument("--json", metavar="FILE", help="keep every case's verdict")
    parser.add_argument("--write", metavar="FILE", help="write the page")
    return parser.parse_args()


def say(title, results):
    print(f"{title}: {len(results)} cases were run", flush=True)


def tell(options, results, unused):
    for result in results:
        if not result.is_fine:
            print(f"FAILED {result.suite}: {result.name}\n  {result.verdict}: {result.seen}")
    for row in unused:
        print(f"FAILED the table of deviations: nothing is `{row.names}` of {row.suite} any more, take the row out")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps([vars(result) for result in results], indent=1) + "\n")
    if options.write and not options.only:
        pathlib.Path(options.write).write_text(page.render(results))
    for suite in dict.fromkeys(result.suite for result in results):
        passed, known_ones, failed = counts([result for result in results if result.suite == suite])
        print(f"  {suite}: {passed} passed, {known_ones} known deviations, {failed} failed")
    passed, known_ones, failed = counts(results)
    failed += len(unused)
    print(f"  all: {known_ones} known deviations, each with its reason in bench/conformance/known.py")
    print(f"conformance: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except lab.Broken as why:
        sys.exit(f"conformance: {why}")
