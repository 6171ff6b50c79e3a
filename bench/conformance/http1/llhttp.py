"""Reads the request cases of llhttp (in aiohttp's source package): Markdown with a request and a parser's log."""
import json
import re

from http1.case import Case, Wanted

BLOCK = re.compile(r"<!-- meta=(\{[^}]*\}) -->\s*```http\n((?:(?!```).)*?)\n```(?:(?!```).)*```log\n(.*?)```", re.S)
EVENT = re.compile(r"off=(\d+) (?:len=(\d+) span\[(\w+)\]=|(message begin|message complete|chunk complete)"
                   r"|headers complete method|error code=(\d+) reason=\"(.*)\"|chunk header len)")

# The parser stops there by itself, since what follows is another protocol's.
UPGRADES = {"21", "22", "23"}


def cases(folder):
    found = []
    for file in sorted((folder / "vendor" / "llhttp" / "test" / "request").glob("*.md")):
        found += in_file(file)
    if len(found) < 80:
        raise ValueError(f"only {len(found)} cases in {folder}")
    return found


def in_file(file):
    text = file.read_text()
    for block in BLOCK.finditer(text):
        meta = json.loads(block[1])
        # Lenient kinds are settings of that parser; what it pauses for is its interface.
        if meta["type"] != "request" or "pause" in meta or meta.get("skipBody"):
            continue
        line = text[:block.start()].count("\n") + 1
        titles = re.findall(r"^#+ (.*)$", text[:block.start()], re.M)
        data = unescaped(block[2])
        wanted, error, is_upgrade = told(data, block[3])
        yield Case("llhttp", f"{file.stem}:{line} {titles[-1]}", data, wanted, error, is_upgrade=is_upgrade)


def unescaped(text):
    text = re.sub(r"\\\n", "", text).replace("\n", "\r\n")
    for escape, char in (("\\r", "\r"), ("\\n", "\n"), ("\\t", "\t"), ("\\f", "\f")):
        text = text.replace(escape, char)
    text = re.sub(r"\\x([0-9a-fA-F]+)", lambda found: chr(int(found[1], 16)), text)
    text = re.sub(r"\\([0-7]{1,3})", lambda found: chr(int(found[1], 8)), text)
    # One expression is used in these files: a text that is repeated.
    text = re.sub(r"\$\{'(.*?)'\.repeat\((\d+)\)\}", lambda found: found[1] * int(found[2]), text)
    return text.encode()


def told(data, log):
    """The requests that the log has to their ends, the error, and whether another protocol follows."""
    wanted, error, is_upgrade, now = [], None, False, None
    for line in log.splitlines():
        event = EVENT.match(line)
        if not event:
            continue
        off, length, span, word, code, reason = event.groups()
        if word == "message begin":
            now = Wanted("", "", [], b"")
            last = None
        elif word == "message complete":
            wanted.append(now)
        elif code in UPGRADES:
            is_upgrade = True
        elif code:
            error = reason
        elif span:
            last = took(now, span, data[int(off):int(off) + int(length)], last)
    return wanted, error, is_upgrade


def took(now, span, piece, last):
    text = piece.decode("latin-1")
    if span == "method":
        now.method += text
    elif span == "url":
        now.target += text
    elif span == "header_field":
        if last == "header_field":
            now.headers[-1] = (now.headers[-1][0] + text.lower(), "")
        else:
            now.headers.append((text.lower(), ""))
    elif span == "header_value":
        name, value = now.headers[-1]
        now.headers[-1] = (name, value + text)
    elif span == "body":
        now.body += piece
    return span
