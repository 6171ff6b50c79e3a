//! Which headers go on, which end here, and which the edge adds.

use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use hyper::body::Body;

use super::underscores;
use crate::downstream::client::Client;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
pub(crate) const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What says who the client is, where a body ends, or what it is; set by the edge or passed on, but never under a
/// second name.
pub(crate) const DECIDING: [&str; 12] = [
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-server",
    "x-real-ip",
    "x-request-id",
    "content-length",
    "content-type",
    "transfer-encoding",
    "proxy-authorization",
];

/// Which headers of interest a message carries: one look at each name instead of one look-up for each interest.
#[derive(Default)]
struct Seen {
    connection: bool,
    te: bool,
    expect: bool,
    upgrade: bool,
    transfer_encoding: bool,
    content_lengths: usize,
    cookies: usize,
    request_id: bool,
    /// `Keep-Alive`, `Proxy-Connection` and their like.
    hop_names: bool,
    /// Names by which a stranger could pose as a proxy, beyond those that are always set anew.
    claims: bool,
    /// Names with an underscore.
    underscores: bool,
    bytes: usize,
}

fn look(headers: &HeaderMap) -> Seen {
    let mut seen = Seen::default();
    for (name, value) in headers {
        seen.bytes += name.as_str().len() + value.len() + 4;
        match name.as_str() {
            "connection" => seen.connection = true,
            "te" => seen.te = true,
            "expect" => seen.expect = true,
            "upgrade" => seen.upgrade = true,
            "transfer-encoding" => seen.transfer_encoding = true,
            "content-length" => seen.content_lengths += 1,
            "cookie" => seen.cookies += 1,
            "x-request-id" => seen.request_id = true,
            "keep-alive" | "proxy-connection" | "proxy-authenticate" | "proxy-authorization" => seen.hop_names = true,
            // `Proxy` is no header, but programs behind CGI take it for the proxy that they should use themselves.
            "x-forwarded-server" | "x-forwarded-prefix" | "proxy" => seen.claims = true,
            name => seen.underscores |= name.contains('_'),
        }
    }
    seen
}

/// What becomes of the words of the one before about the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claims {
    /// They are replaced: a stranger may have written them, and what a trusted proxy said is in the client already.
    Replaced,
    /// They go on, and the caller's address is added where each hop has its own.
    Kept,
}

/// Makes a client's headers a target's headers; returns the protocol the client wants to change to.
pub(crate) fn towards_target(headers: &mut HeaderMap, client: &Client, claims: Claims) -> Option<HeaderValue> {
    let seen = look(headers);
    let upgrade = if seen.upgrade && seen.connection { wanted_upgrade(headers) } else { None };
    let trailers = seen.te && wants_trailers(headers);
    strip_hop_by_hop(headers, &seen);
    if seen.expect {
        // The edge itself says "100 Continue" when the target starts to take the body.
        headers.remove(EXPECT);
    }
    if seen.claims && claims == Claims::Kept {
        headers.remove("proxy");
    } else if seen.claims {
        headers.remove("proxy");
        headers.remove("x-forwarded-server");
        headers.remove(FORWARDED_PREFIX);
    }
    if seen.underscores {
        underscores::strip(headers, &DECIDING);
    }
    if seen.cookies > 1 {
        join_cookies(headers);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    if let Some(protocol) = &upgrade {
        headers.insert(UPGRADE, protocol.clone());
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
    headers.reserve(7);
    match claims {
        Claims::Replaced => introduce(headers, client),
        Claims::Kept => introduce_caller(headers, client),
    }
    crate::seen::trace::carry(headers);
    settle_id(headers, seen.request_id);
    upgrade
}

/// Says that a body follows where hyper would take the request for one that has none, and drop it.
pub(crate) fn announce_body<B: Body>(request: &mut Request<B>) {
    let body = request.body();
    let is_unknown = !body.is_end_stream() && body.size_hint().exact().is_none();
    if is_unknown && matches!(*request.method(), Method::GET | Method::HEAD) {
        request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// Whether a value begins or ends with a blank.
pub(crate) fn is_padded(value: &HeaderValue) -> bool {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    is_blank(value.as_bytes().first()) || is_blank(value.as_bytes().last())
}

/// HTTP/2 clients send a cookie header in pieces, which HTTP/1.1 does not know (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let pieces: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    // Pieces of valid values with a valid text between them are valid.
    if let Ok(joined) = HeaderValue::from_bytes(&pieces.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

/// One value each, all of the same client: a service that reads the first, the last or the only one is told the same.
fn introduce(headers: &mut HeaderMap, client: &Client) {
    headers.insert(FORWARDED_FOR, client.address.clone());
    headers.insert(REAL_IP, client.address.clone());
    headers.insert(FORWARDED, client.forwarded.clone());
    headers.insert(FORWARDED_PORT, client.port.clone());
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(if client.is_secure { "https" } else { "http" }));
    match client.host.clone().or_else(|| headers.get(HOST).cloned()) {
        Some(host) => headers.insert(FORWARDED_HOST, host),
        None => headers.remove(FORWARDED_HOST),
    };
}

/// What a calling service says of its visitor stays, and the caller is added to both chains as the nearest hop.
///
/// The chains are not compared: a proxy in between mostly changes the one and passes the other on as it came.
fn introduce_caller(headers: &mut HeaderMap, client: &Client) {
    add_hop(headers, FORWARDED_FOR, &client.address);
    add_hop(headers, FORWARDED, &client.forwarded);
    let scheme = HeaderValue::from_static(if client.is_secure { "https" } else { "http" });
    // Where the caller names the scheme and no port, the port of this hop would contradict it.
    if !headers.contains_key(FORWARDED_PROTO) {
        headers.entry(FORWARDED_PORT).or_insert_with(|| client.port.clone());
    }
    headers.entry(FORWARDED_PROTO).or_insert(scheme);
    headers.entry(REAL_IP).or_insert_with(|| client.address.clone());
    if let Some(host) = headers.get(HOST).cloned() {
        headers.entry(FORWARDED_HOST).or_insert(host);
    }
}

/// Adds a hop to a list that may be on several lines.
fn add_hop(headers: &mut HeaderMap, name: HeaderName, hop: &HeaderValue) {
    let mut chain: Vec<&[u8]> = headers.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
    chain.retain(|line| !line.trim_ascii().is_empty());
    if chain.is_empty() {
        headers.insert(name, hop.clone());
        return;
    }
    chain.push(hop.as_bytes());
    // Valid values with a valid text between them are valid.
    if let Ok(value) = HeaderValue::from_bytes(&chain.join(&b", "[..])) {
        headers.insert(name, value);
    }
}

/// The id of a request that the edge answers itself before its headers are a target's: the client's own, or a new one.
pub(crate) fn own_id(headers: &mut HeaderMap) -> Option<HeaderValue> {
    let has_id = headers.contains_key(REQUEST_ID);
    settle_id(headers, has_id);
    headers.get(REQUEST_ID).cloned()
}

fn settle_id(headers: &mut HeaderMap, has_id: bool) {
    // Of two nobody knows which one is meant, and `insert` takes the place of both.
    let mut sent = headers.get_all(REQUEST_ID).iter();
    let is_one = has_id && sent.next().is_some_and(is_request_id) && sent.next().is_none();
    if !is_one {
        headers.insert(REQUEST_ID, super::answer::request_id());
    }
}

/// A stranger's id is kept when it can do no harm where it is shown: in logs, in pages, in other programs.
fn is_request_id(id: &HeaderValue) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@~".contains(byte);
    (1..=128).contains(&id.len()) && id.as_bytes().iter().all(is_plain)
}

/// Makes a target's headers a client's headers.
pub(crate) fn towards_client(headers: &mut HeaderMap, status: StatusCode) {
    let seen = look(headers);
    if seen.content_lengths > 0 {
        settle_length(headers, &seen, status);
    }
    strip_hop_by_hop(headers, &seen);
}

/// A length is a part of the target's framing: clients of HTTP/2 take one that does not fit for a broken answer.
fn settle_length(headers: &mut HeaderMap, seen: &Seen, status: StatusCode) {
    // The chunks say how long it is (RFC 9112, 6.3), and these two have no body (RFC 9110, 8.6).
    if seen.transfer_encoding || status.is_informational() || status == StatusCode::NO_CONTENT {
        headers.remove(CONTENT_LENGTH);
    } else if seen.content_lengths > 1
        && let Some(length) = headers.get(CONTENT_LENGTH).cloned()
    {
        // hyper has refused lengths that differ.
        headers.insert(CONTENT_LENGTH, length);
    }
}

/// Headers by number; browsers send each cookie apart over HTTP/2, and together over HTTP/1.
pub(crate) fn count(headers: &HeaderMap) -> usize {
    headers.len() - headers.get_all(COOKIE).iter().count().saturating_sub(1)
}

/// Bytes of a header block as HTTP/1 would write it.
pub(crate) fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

fn strip_hop_by_hop(headers: &mut HeaderMap, seen: &Seen) {
    if seen.connection {
        strip_named(headers);
    }
    if seen.te {
        headers.remove(TE);
    }
    if seen.upgrade {
        headers.remove(UPGRADE);
    }
    if seen.transfer_encoding {
        // The framing of the next hop is decided by the body and by hyper.
        headers.remove(TRANSFER_ENCODING);
    }
    if seen.hop_names {
        for name in ["keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization"] {
            headers.remove(name);
        }
    }
}

/// Removes `Connection` and what it names, except what the next hop cannot do without.
fn strip_named(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        // The two usual words name no header; asking for them would only cost a look-up.
        .filter(|token| !token.eq_ignore_ascii_case("keep-alive") && !token.eq_ignore_ascii_case("close"))
        .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
        .filter(|name| !matches!(name.as_str(), "host" | "content-length" | "content-type"))
        .collect();
    headers.remove(CONNECTION);
    for name in named {
        headers.remove(name);
    }
}

fn wanted_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let is_asked = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
    let protocol = headers.get(UPGRADE)?;
    // HTTP/2 by upgrade is obsolete, and its request would bypass everything here.
    let is_http = protocol.as_bytes().len() >= 2 && protocol.as_bytes()[..2].eq_ignore_ascii_case(b"h2");
    (is_asked && !is_http).then(|| protocol.clone())
}

fn wants_trailers(headers: &HeaderMap) -> bool {
    let values = headers.get_all(TE).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case("trailers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    fn towards(pairs: &[(&'static str, &'static str)]) -> (HeaderMap, Option<HeaderValue>) {
        let mut headers = map(pairs);
        let client = Client::new([10, 0, 0, 9].into(), false, 8080, None);
        let upgrade = towards_target(&mut headers, &client, Claims::Replaced);
        (headers, upgrade)
    }

    #[test]
    fn what_connection_names_ends_here_and_the_host_does_not() {
        let (headers, _) = towards(&[
            ("host", "x"),
            ("connection", "keep-alive, X-Secret, host, x-forwarded-for"),
            ("x-secret", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
        ]);
        assert!(!headers.contains_key("x-secret"));
        assert!(!headers.contains_key("connection"));
        assert!(!headers.contains_key("keep-alive"));
        assert!(!headers.contains_key("proxy-connection"));
        assert_eq!(headers["host"], "x");
        assert_eq!(headers["x-forwarded-for"], "10.0.0.9");
    }

    #[test]
    fn a_strangers_claims_are_replaced() {
        let (headers, _) = towards(&[
            ("host", "x"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-for", "5.6.7.8"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil"),
            ("forwarded", "for=1.2.3.4"),
            ("x-real-ip", "1.2.3.4"),
            ("x-forwarded-port", "1"),
            ("x-forwarded-server", "evil"),
            ("x-forwarded-prefix", "/evil"),
        ]);
        assert_eq!(headers.get_all("x-forwarded-for").iter().count(), 1);
        assert_eq!(headers["x-forwarded-for"], "10.0.0.9");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-host"], "x");
        assert_eq!(headers["forwarded"], "for=10.0.0.9;proto=http");
        assert_eq!(headers["x-real-ip"], "10.0.0.9");
        assert_eq!(headers["x-forwarded-port"], "8080");
        assert!(!headers.contains_key("x-forwarded-server"));
        assert!(!headers.contains_key("x-forwarded-prefix"));
    }

    fn inside(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = map(pairs);
        let client = Client::new([172, 23, 0, 3].into(), false, 8000, None);
        towards_target(&mut headers, &client, Claims::Kept);
        headers
    }

    #[test]
    fn what_a_calling_service_says_of_its_visitor_goes_on_and_the_caller_is_added() {
        let headers = inside(&[
            ("host", "api:8000"),
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "shop.example.com"),
            ("x-forwarded-prefix", "/shop"),
            ("x-real-ip", "203.0.113.9"),
            ("forwarded", "for=198.51.100.1;proto=https"),
            ("proxy", "http://evil"),
        ]);
        let one = |name: &str| {
            let all: Vec<_> = headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
            all.join("|")
        };
        assert_eq!(one("x-forwarded-for"), "203.0.113.9, 10.0.0.1, 172.23.0.3");
        assert_eq!(one("x-forwarded-proto"), "https");
        assert_eq!(one("x-forwarded-host"), "shop.example.com");
        assert_eq!(one("x-forwarded-prefix"), "/shop");
        assert_eq!(one("x-real-ip"), "203.0.113.9");
        assert_eq!(one("x-forwarded-port"), "", "8000 over https would be neither's");
        assert_eq!(one("forwarded"), "for=198.51.100.1;proto=https, for=172.23.0.3;proto=http");
        assert_eq!(one("proxy"), "");
    }

    #[test]
    fn a_calling_service_that_says_nothing_is_introduced_itself() {
        let headers = inside(&[("host", "api:8000"), ("forwarded", " ")]);
        for (name, value) in [
            ("x-forwarded-for", "172.23.0.3"),
            ("x-real-ip", "172.23.0.3"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "api:8000"),
            ("x-forwarded-port", "8000"),
            ("forwarded", "for=172.23.0.3;proto=http"),
        ] {
            assert_eq!(headers[name], value, "{name}");
        }
    }

    #[test]
    fn nobody_poses_as_a_proxy_under_a_name_with_underscores() {
        let (headers, _) = towards(&[
            ("host", "x"),
            ("x_forwarded_for", "1.2.3.4"),
            ("x-forwarded_proto", "https"),
            ("content_length", "5"),
            ("proxy", "http://evil"),
            ("api_key", "kept"),
        ]);
        for name in ["x_forwarded_for", "x-forwarded_proto", "content_length", "proxy"] {
            assert!(!headers.contains_key(name), "{name}");
        }
        assert_eq!(headers["api_key"], "kept");
    }

    #[test]
    fn a_request_id_is_made_when_missing_and_kept_when_given() {
        let (headers, _) = towards(&[("host", "x")]);
        assert_eq!(headers["x-request-id"].len(), 32);
        let (headers, _) = towards(&[("x-request-id", "abc")]);
        assert_eq!(headers["x-request-id"], "abc");
        let (headers, _) = towards(&[("x-request-id", "abc"), ("x-request-id", "def")]);
        let sent: Vec<_> = headers.get_all("x-request-id").iter().collect();
        assert!(matches!(sent[..], [one] if one.len() == 32), "{sent:?}");
    }

    #[test]
    fn an_upgrade_goes_on_only_when_connection_asks_for_it() {
        let (headers, upgrade) = towards(&[("connection", "Upgrade"), ("upgrade", "websocket")]);
        assert_eq!(upgrade.unwrap(), "websocket");
        assert_eq!(headers["connection"], "upgrade");
        let (headers, upgrade) = towards(&[("upgrade", "websocket")]);
        assert!(upgrade.is_none() && !headers.contains_key("upgrade"));
        let (_, upgrade) = towards(&[("connection", "upgrade, http2-settings"), ("upgrade", "h2c")]);
        assert!(upgrade.is_none());
    }

    #[test]
    fn a_cookie_header_in_pieces_is_put_together() {
        let (headers, _) = towards(&[("cookie", "a=1"), ("host", "x"), ("cookie", "b=2"), ("cookie", "c=3")]);
        assert_eq!(headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2; c=3"]);
    }

    #[test]
    fn the_wish_for_trailers_goes_on() {
        let (headers, _) = towards(&[("te", "gzip, trailers")]);
        assert_eq!(headers["te"], "trailers");
        assert_eq!(headers["connection"], "te");
    }
}
