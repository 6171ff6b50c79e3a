"""Reads the request cases of gunicorn's source package: `NAME.http` beside `NAME.py`, which says what they mean."""
import re
import sys
import types
import urllib.parse

from http1.case import Case, Wanted


def cases(folder):
    """All cases below `tests/requests`, in order of their names."""
    found = []
    for kind in ("valid", "invalid"):
        for file in sorted((folder / "tests" / "requests" / kind).glob("*.http")):
            found.append(read(file, kind))
    if len(found) < 100:
        raise ValueError(f"only {len(found)} cases in {folder}")
    return found


def read(file, kind):
    request, options = meaning(file.with_suffix(".py"))
    wanted, error = [], None
    for one in request if isinstance(request, list) else [request]:
        if isinstance(one, dict):
            wanted.append(told(one))
        else:
            error = str(one)
    if kind == "invalid" and error is None:
        raise ValueError(f"{file} is invalid and names no error")
    return Case("gunicorn", f"{kind}/{file.stem}", unescaped(file.read_bytes()), wanted, error,
                is_announced=options.get("proxy_protocol") not in (None, False, "off"))


def unescaped(raw):
    raw = raw.replace(b"\n", b"").replace(b"\\r\\n", b"\r\n").replace(b"\\0", b"\0")
    raw = raw.replace(b"\\n", b"\n").replace(b"\\t", b"\t").replace(b"\\r", b"\r")
    return re.sub(rb"\\x([0-9a-fA-F]{2})", lambda found: bytes([int(found[1], 16)]), raw)


def told(one):
    body = one["body"]
    return Wanted(one["method"], one["uri"]["raw"], [(name.lower(), value) for name, value in one["headers"]],
                  body.encode("latin-1") if isinstance(body, str) else body)


class Config:
    def __init__(self):
        self.options = {}

    def set(self, name, value):
        self.options[name] = value


class Errors(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return name


def meaning(file):
    """What the case's own program says; it sees stand-ins of the few things it imports."""
    stand_ins = {"gunicorn": types.ModuleType("gunicorn"), "gunicorn.config": types.ModuleType("gunicorn.config"),
                 "gunicorn.http": types.ModuleType("gunicorn.http"), "gunicorn.http.errors": Errors("errors")}
    stand_ins["gunicorn.config"].Config = Config
    before = {name: sys.modules.get(name) for name in stand_ins}
    sys.modules.update(stand_ins)
    try:
        scope = {"cfg": Config(), "uri": uri}
        exec(compile(file.read_text(), str(file), "exec"), scope)
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    return scope["request"], scope["cfg"].options


def uri(raw):
    return {"raw": raw, **urllib.parse.urlsplit(raw)._asdict()}
