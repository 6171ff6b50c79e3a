//! Whom a request is for: its host and its path, with everything ambiguous refused.

use http::header::HOST;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Method, Request, Uri, Version};

/// Why a request's target is refused; always 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vague {
    NoHost,
    TwoHosts,
    BadHost,
    HostsDisagree,
    BadTarget,
}

impl Vague {
    /// The word for programs.
    pub(crate) fn code(self) -> &'static str {
        if self == Vague::BadTarget { "target" } else { "host" }
    }

    pub(crate) fn reason(self) -> &'static str {
        match self {
            Vague::NoHost => "the request names no host",
            Vague::TwoHosts => "the request names its host twice",
            Vague::BadHost => "the request's host is not a host name",
            Vague::HostsDisagree => "the request's address and its Host differ",
            Vague::BadTarget => "the request's target is neither a path nor an address in plain characters",
        }
    }
}

/// Settles the host: the `Host` header is it from now on, and the URI is in origin form.
///
/// An HTTP/1.0 request may name none. An absolute URI would go before the header (RFC 9112, 3.2.2), but an honest client
/// says the same in both, so one that does not is refused instead of understood.
pub(crate) fn settle<B>(request: &mut Request<B>) -> Result<(), Vague> {
    if !is_plain_target(request.method(), request.uri()) {
        return Err(Vague::BadTarget);
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let header = hosts.next();
    if hosts.next().is_some() {
        return Err(Vague::TwoHosts);
    }
    if let Some(authority) = request.uri().authority() {
        let host = host_of(authority)?;
        if header.is_some_and(|h| !h.as_bytes().eq_ignore_ascii_case(host.as_bytes())) {
            return Err(Vague::HostsDisagree);
        }
        request.headers_mut().insert(HOST, host);
        make_origin_form(request.uri_mut());
        return Ok(());
    }
    match header {
        Some(host) if is_host(host.as_bytes()) => Ok(()),
        Some(_) => Err(Vague::BadHost),
        None if request.version() == Version::HTTP_10 => Ok(()),
        None => Err(Vague::NoHost),
    }
}

/// A path, an address, or the asterisk of OPTIONS; a host alone is for CONNECT.
///
/// Bytes above ASCII are read as Latin-1 by some services and as UTF-8 by others, so that they stand for two paths.
fn is_plain_target(method: &Method, uri: &Uri) -> bool {
    let is_authority = uri.scheme().is_none() && uri.authority().is_some();
    let is_asterisk = uri.path() == "*" && *method != Method::OPTIONS;
    let text = uri.path_and_query().map_or("", PathAndQuery::as_str);
    !is_authority && !is_asterisk && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The path without the first `strip` bytes, query kept.
pub(crate) fn stripped(uri: &Uri, strip: usize) -> Option<Uri> {
    let whole = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let rest = whole.get(strip..)?;
    let text = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
    text.parse().ok()
}

fn host_of(authority: &Authority) -> Result<HeaderValue, Vague> {
    if authority.as_str().contains('@') {
        return Err(Vague::BadHost);
    }
    HeaderValue::from_str(authority.as_str()).map_err(|_| Vague::BadHost)
}

fn make_origin_form(uri: &mut Uri) {
    let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = Some(path);
    // A path alone is always a valid URI.
    *uri = Uri::from_parts(parts).unwrap_or_default();
}

/// Letters, digits and what host names, addresses and ports are written with.
pub(crate) fn is_host(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-._~:[]%".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, version: Version, hosts: &[&str]) -> Request<()> {
        let mut builder = Request::builder().uri(uri).version(version);
        for host in hosts {
            builder = builder.header(HOST, *host);
        }
        builder.body(()).unwrap()
    }

    #[test]
    fn an_absolute_uri_must_agree_with_the_host_header() {
        let mut r = request("http://a.example/x?y", Version::HTTP_11, &["b.example"]);
        assert_eq!(settle(&mut r), Err(Vague::HostsDisagree));
        let mut r = request("http://a.example/x?y", Version::HTTP_11, &["A.example"]);
        settle(&mut r).unwrap();
        assert_eq!(r.headers()[HOST], "a.example");
        assert_eq!(r.uri(), "/x?y");
    }

    #[test]
    fn a_target_is_a_path_or_an_address_in_plain_characters() {
        let vague = |method: &str, uri: &'static [u8]| {
            let uri = Uri::from_maybe_shared(uri).unwrap();
            let mut request = Request::builder().method(method).uri(uri).header(HOST, "a").body(()).unwrap();
            settle(&mut request).err()
        };
        assert_eq!(vague("OPTIONS", b"*"), None);
        assert_eq!(vague("GET", b"*"), Some(Vague::BadTarget));
        assert_eq!(vague("GET", b"a:443"), Some(Vague::BadTarget));
        assert_eq!(vague("GET", "/\u{e0}".as_bytes()), Some(Vague::BadTarget));
        assert_eq!(vague("GET", "/?\u{e0}".as_bytes()), Some(Vague::BadTarget));
        assert_eq!(vague("GET", b"/%C3%A0?a=%00"), None);
    }

    #[test]
    fn http_2_names_must_agree() {
        let mut r = request("http://a.example/", Version::HTTP_2, &["b.example"]);
        assert_eq!(settle(&mut r), Err(Vague::HostsDisagree));
        let mut r = request("http://a.example/", Version::HTTP_2, &["A.example"]);
        assert_eq!(settle(&mut r), Ok(()));
    }

    #[test]
    fn no_host_two_hosts_and_bad_hosts_are_refused() {
        assert_eq!(settle(&mut request("/", Version::HTTP_11, &[])), Err(Vague::NoHost));
        assert_eq!(settle(&mut request("/", Version::HTTP_10, &[])), Ok(()));
        assert_eq!(settle(&mut request("/", Version::HTTP_11, &["a", "b"])), Err(Vague::TwoHosts));
        assert_eq!(settle(&mut request("/", Version::HTTP_11, &["a/b"])), Err(Vague::BadHost));
        assert_eq!(settle(&mut request("http://u@a/", Version::HTTP_11, &[])), Err(Vague::BadHost));
    }

    #[test]
    fn a_stripped_path_keeps_its_query_and_its_slash() {
        let strip = |uri: &str, n| stripped(&uri.parse().unwrap(), n).unwrap().to_string();
        assert_eq!(strip("/api/users?a=1", 4), "/users?a=1");
        assert_eq!(strip("/api?a=1", 4), "/?a=1");
        assert_eq!(strip("/api", 4), "/");
        assert_eq!(strip("/x", 0), "/x");
    }
}
