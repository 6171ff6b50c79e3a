"""The page that `--write` keeps: counts, every deviation with its reason, and how many cases each section has."""
from verdict import PASSED, counts

TITLES = {
    "gunicorn": ("HTTP/1.1", "the request cases of gunicorn 27.0.1 (MIT), from its source package"),
    "llhttp": ("HTTP/1.1", "the strict request cases of llhttp (MIT), from aiohttp 3.14.5's source package"),
    "smuggling": ("HTTP/1.1", "our own list of ways to make two readers disagree, each with a second request inside"),
    "h2c": ("HTTP/2", "our own raw frames for RFC 9113 and RFC 7541, over cleartext by prior knowledge"),
    "h2": ("HTTP/2", "the same, over TLS"),
    "ws": ("WebSocket", "client and server of `websockets` 17.4, and raw bytes, over cleartext"),
    "wss": ("WebSocket", "the same, over TLS"),
}

HEAD = """# Conformance

Written by `./x conformance --write`; the suites are in `bench/conformance`, and how they judge is told in
[its decision page](decisions/conformance.md).
Everything runs against the real `mainstay edge`, with a target behind it that reads what arrives as strictly as the
protocol can be read.

"""


def render(results):
    return HEAD + totals(results) + deviations(results) + sections(results)


def table(heads, rows):
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    return "\n".join([*lines, *(f"| {' | '.join(str(cell).replace('|', '&#124;') for cell in row)} |" for row in rows)]) + "\n\n"


def suites(results):
    return list(dict.fromkeys(result.suite for result in results))


def totals(results):
    def row(name):
        protocol, what = TITLES[name]
        return [name, protocol, what, *counts([result for result in results if result.suite == name])]
    rows = [*map(row, suites(results)), ["all", "", "", *counts(results)]]
    return table(["suite", "protocol", "what", "passed", "known deviations", "failed"], rows)


def deviations(results):
    text = ("## Known deviations\n\n"
            "Stricter: refused although the suite takes it. Laxer: taken although the suite refuses it. "
            "Otherwise: another answer of the same weight.\n\n")
    rows = {}
    for result in results:
        if result.verdict != PASSED:
            rows.setdefault((result.verdict, result.reason or "none: a failure"), []).append(result)
    def row(key):
        named = dict.fromkeys(f"{result.suite} `{result.name}`" for result in rows[key])
        both = {name.split(" ", 1)[1] for name in named if name.startswith("h2c ")}
        shown = [name.replace("h2c ", "h2c, h2 ", 1) for name in named
                 if not (name.startswith("h2 ") and name.split(" ", 1)[1] in both)]
        return [key[0], key[1], "<br>".join(shown)]
    return text + table(["kind", "why", "cases"], map(row, rows))


def sections(results):
    """Of the suites whose names begin with a section."""
    counted = {}
    for result in results:
        if result.suite in ("h2c", "ws"):
            words = result.name.split(" ")
            section = " ".join(words[:2]) if words[0].isdigit() and len(words[0]) == 4 else words[0]
            counted.setdefault((TITLES[result.suite][0], section), []).append(result)
    def row(key):
        section = key[1]
        rfc = "RFC 7541, " + section[1:] if section.startswith("H") else "RFC " + section.replace(" ", ", ") \
            if " " in section else "RFC 9113, " + section
        return [key[0], rfc, *counts(counted[key])]
    return "## Cases by section\n\n" + table(["protocol", "section", "passed", "known", "failed"], map(row, counted))
