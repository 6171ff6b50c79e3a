"""Deviations that have a reason; a row that nothing needs any more fails the run.

`stricter`: refused although the suite takes it. `laxer`: taken although the suite refuses it. `otherwise`: another
answer of the same weight, or another meaning that the suite has by a setting of its program.
"""
from verdict import LAXER, OTHER, STRICTER, Known

CODINGS = "a coding before `chunked` would be lost on the way, so `Transfer-Encoding` is `chunked` or refused"
FOLDED = "folded lines are read in two ways (RFC 9112, 5.2: a proxy must refuse or unfold them)"
TUNNELS = "CONNECT makes a tunnel through a proxy that the client chose; this one stands before services"
HOSTS = "a host is letters, digits, hyphens, dots and a port; what else the grammar allows is in no name"
METHODS = "any token is a method (RFC 9110, 9.1); which ones are served is the service's or the route's word"
LIMITS = "a limit of that server; the edge's own is higher, and over it the answer is 431 or 414"
CHUNKS = "the edge reads chunks and writes its own: blanks and extensions never go on"
TRAILERS = ("the trailer is left out and the request goes on; a proxy may drop any trailer (RFC 9110, 6.5.1), and only "
            "harmless ones that `Trailer` announces pass")
UNDERSCORES = "a name with underscores that could pass for a deciding one is taken out, and the request goes on"
SETTING = "a setting of that server"
GENERAL = "h2 says PROTOCOL_ERROR where the RFC has a special code; the connection ends all the same"

ROWS = [
    Known("gunicorn", "valid/00[23]", STRICTER, HOSTS),
    Known("gunicorn", "valid/014", STRICTER, FOLDED),
    Known("gunicorn", "valid/compat_obs_fold*", STRICTER, FOLDED),
    Known("gunicorn", "valid/02[589]*", STRICTER, CODINGS),
    Known("gunicorn", "valid/030", STRICTER, CODINGS),
    Known("gunicorn", "valid/rfc9112_smuggle_gzip_chunked_01", STRICTER, CODINGS),
    Known("gunicorn", "valid/rfc9112_smuggle_te_identity_chunked_01", STRICTER, CODINGS),
    Known("gunicorn", "valid/rfc9112_target_absolute_userinfo_01", STRICTER,
          "a user in an address misleads; RFC 9110, 4.2.4 deprecates it and asks to treat it as an error"),
    Known("gunicorn", "valid/rfc9112_target_authority_*", STRICTER, TUNNELS),
    Known("gunicorn", "valid/pp_03", STRICTER, "a listener that is told to expect the PROXY protocol demands it"),
    Known("gunicorn", "valid/031compat*", OTHER, f"{SETTING} makes methods upper-case; they are case-sensitive"),
    Known("gunicorn", "valid/040_compat", OTHER, UNDERSCORES),
    Known("gunicorn", "valid/099", OTHER, "half of the body is missing in the case; that parser only reads the head"),
    Known("gunicorn", "invalid/003c", LAXER, METHODS),
    Known("gunicorn", "invalid/00[678]", LAXER, LIMITS),
    Known("gunicorn", "invalid/01[07]", LAXER, LIMITS),
    Known("gunicorn", "invalid/limit_header_default_01", LAXER, LIMITS),
    Known("gunicorn", "invalid/019", LAXER, "what a stranger says of its scheme is replaced, whatever it says"),
    Known("gunicorn", "invalid/040", LAXER, UNDERSCORES),
    Known("gunicorn", "invalid/chunked_07", LAXER, UNDERSCORES),
    Known("gunicorn", "invalid/041", LAXER, "two types of one body are the service's business; both arrive"),
    Known("gunicorn", "invalid/chunked_09", LAXER, CHUNKS),
    Known("gunicorn", "invalid/rfc9110_trailer_forbidden_*", LAXER, TRAILERS),
    Known("gunicorn", "invalid/rfc9112_leading_crlf_02", LAXER,
          "empty lines before a request are passed over (RFC 9112, 2.2) and never go on"),
    Known("llhttp", "invalid:* HTTP protocol and ANNOUNCE method", LAXER, METHODS),
    Known("llhttp", "invalid:* Invalid method", LAXER, METHODS),
    Known("llhttp", "method:* CONNECT *", STRICTER, TUNNELS),
    Known("llhttp", "method:* M-SEARCH request", STRICTER, "the asterisk is for OPTIONS alone (RFC 9112, 3.2.4)"),
    Known("llhttp", "method:* with ICE", STRICTER, "ICE is another protocol"),
    Known("llhttp", "method:* with RTSP", STRICTER, "RTSP is another protocol"),
    Known("llhttp", "sample:* curl GET", STRICTER, HOSTS),
    Known("llhttp", "sample:* Firefox GET", STRICTER, HOSTS),
    Known("llhttp", "sample:* No HTTP version", STRICTER, "HTTP/0.9 has no headers, and so no host"),
    Known("llhttp", "transfer-encoding:* Trailing headers", OTHER, TRAILERS),
    Known("llhttp", "transfer-encoding:* No extension after semicolon", LAXER, CHUNKS),
    Known("llhttp", "transfer-encoding:* Space after chunk header", LAXER, CHUNKS),
    Known("llhttp", "transfer-encoding:* POST with `chunked` as last transfer-encoding*", STRICTER, CODINGS),
    Known("llhttp", "uri:* Quotes in URI", STRICTER, "backslashes and quotes have no place in an address (RFC 3986)"),
    Known("llhttp", "uri:* Underscore in hostname", STRICTER, TUNNELS),
    Known("llhttp", "uri:* `host:port` and basic auth", STRICTER, TUNNELS),
    *[row for suite in ("h2c", "h2") for row in (
        Known(suite, "3.4 the first frame is not SETTINGS", LAXER,
              "h2 takes other frames first; nothing is served before the settings are there"),
        Known(suite, "6.9.2 a setting that lifts a window above 2^31 - 1", LAXER,
              "h2 ends the stream whose window it is, with FLOW_CONTROL_ERROR, and not the connection"),
        Known(suite, "8.3 a pseudo-header in trailers", LAXER, TRAILERS),
        Known(suite, "9110 6.5.1 a trailer named *", LAXER, TRAILERS),
        *[Known(suite, f"{section} *", OTHER, GENERAL)
          for section in ("4.3", "5.1", "5.4.1", "6.3", "6.4", "6.5", "6.5.2", "6.7", "6.8", "6.9", "8.1", "H2.3.3",
                          "H4.2", "H4.3", "H5.1", "H5.2", "H6.1", "H6.3")],
    )],
]
