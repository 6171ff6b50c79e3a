//! A redirect's target with blanks, checked once so that no request can make it lead to a stranger.
//!
//! What a request brings fills only places where it cannot change the address's host: the host part of a template is
//! literal text and `{host}`, and a template without a host always gives exactly one slash at its beginning, since a
//! browser reads `//name` and `/\name` as another host.

use std::fmt::Write;

use http::{HeaderValue, Uri};

/// See the module's text.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    pieces: Box<[Piece]>,
    /// Begins with a path, not with a scheme and a host.
    is_local: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Scheme,
    Host,
    Path,
    Rest,
    /// At least a slash.
    RootedRest,
    Query,
}

/// What a request fills in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blanks<'a> {
    pub(crate) is_secure: bool,
    /// As the client wrote it, with or without a port.
    pub(crate) host: &'a str,
    pub(crate) uri: &'a Uri,
    /// How long the route's prefix is.
    pub(crate) prefix: usize,
}

impl<'a> Blanks<'a> {
    /// What follows the prefix; routes match on segment boundaries, so that it is empty or begins with a slash.
    fn rest(&self) -> &'a str {
        self.uri.path().get(self.prefix..).filter(|rest| rest.starts_with('/')).unwrap_or("")
    }
}

/// Why a template cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadTemplate {
    #[error("has a `{{` without its `}}`, or the other way round")]
    Braces,
    #[error("knows no blank `{{{0}}}`; there are scheme, host, path, rest and query")]
    Unknown(String),
    #[error("has a character that cannot stand in an address: {0:?}")]
    Character(char),
    #[error("must begin with `https://`, `http://`, `{{scheme}}://` or a path")]
    Beginning,
    #[error("has a host that is neither fixed nor `{{host}}`")]
    Host,
}

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Template, BadTemplate> {
        if let Some(bad) = text.chars().find(|c| !c.is_ascii_graphic() || "\\\"<>^`|".contains(*c)) {
            return Err(BadTemplate::Character(bad));
        }
        let mut pieces = pieces(text)?;
        let is_local = match pieces.first() {
            Some(Piece::Path | Piece::Rest) => true,
            Some(Piece::Text(text)) => text.starts_with('/'),
            _ => false,
        };
        if !is_local {
            let (head, rest) = split_host(text)?;
            close_host(&mut pieces, head, rest);
        } else if text.starts_with("//") {
            return Err(BadTemplate::Host);
        }
        Ok(Template { pieces: pieces.into(), is_local })
    }

    /// The address; `None` when the request has no host that could be filled in.
    pub(crate) fn render(&self, blanks: &Blanks<'_>) -> Option<HeaderValue> {
        let mut text = String::with_capacity(128);
        for piece in &self.pieces {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Scheme => text.push_str(if blanks.is_secure { "https" } else { "http" }),
                Piece::Host => text.push_str(bare_host(blanks.host)?),
                Piece::Path => push(&mut text, rooted(blanks.uri.path())),
                Piece::Rest => push(&mut text, blanks.rest()),
                Piece::RootedRest => push(&mut text, rooted(blanks.rest())),
                Piece::Query => {
                    if let Some(query) = blanks.uri.query() {
                        text.push('?');
                        push(&mut text, query);
                    }
                }
            }
        }
        if self.is_local {
            let path = text.trim_start_matches('/');
            text = format!("/{path}");
        }
        HeaderValue::from_str(&text).ok()
    }
}

fn pieces(text: &str) -> Result<Vec<Piece>, BadTemplate> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, blank) = rest.split_at(at);
        if !before.is_empty() {
            pieces.push(Piece::Text(before.into()));
        }
        let blank = blank.strip_prefix('{').ok_or(BadTemplate::Braces)?;
        let (name, after) = blank.split_once('}').ok_or(BadTemplate::Braces)?;
        pieces.push(match name {
            "scheme" => Piece::Scheme,
            "host" => Piece::Host,
            "path" => Piece::Path,
            "rest" => Piece::Rest,
            "query" => Piece::Query,
            other => return Err(BadTemplate::Unknown(other.to_owned())),
        });
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.into()));
    }
    Ok(pieces)
}

/// The template up to the end of its host, which is checked, and what follows.
fn split_host(text: &str) -> Result<(&str, &str), BadTemplate> {
    let schemes = ["https://", "http://", "{scheme}://"];
    let scheme = schemes.iter().find(|scheme| text.starts_with(**scheme)).ok_or(BadTemplate::Beginning)?;
    let after = &text[scheme.len()..];
    let blank = ["{path}", "{rest}", "{query}"].iter().filter_map(|blank| after.find(blank)).min();
    let end = after.find(['/', '?', '#']).into_iter().chain(blank).min().unwrap_or(after.len());
    check_host(&after[..end])?;
    Ok(text.split_at(scheme.len() + end))
}

/// A blank that may be empty right after the host gets its slash, so that what follows it never lengthens the host.
fn close_host(pieces: &mut Vec<Piece>, head: &str, rest: &str) {
    let before = self::pieces(head).map_or(0, |before| before.len());
    if rest.starts_with("{query}") {
        pieces.insert(before, Piece::Text("/".into()));
    } else if let Some(piece @ Piece::Rest) = pieces.get_mut(before) {
        *piece = Piece::RootedRest;
    }
}

fn check_host(authority: &str) -> Result<(), BadTemplate> {
    let filled = authority.replace("{host}", "h");
    match bare_host(&filled) {
        Some(_) => Ok(()),
        None => Err(BadTemplate::Host),
    }
}

/// A host without its port; `None` for what is no host.
pub(crate) fn bare_host(host: &str) -> Option<&str> {
    let (name, port) = match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => (&host[..colon], &host[colon + 1..]),
        _ => (host, ""),
    };
    let is_name = match name.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').is_some_and(|six| six.parse::<std::net::Ipv6Addr>().is_ok()),
        None => !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)),
    };
    (is_name && port.bytes().all(|b| b.is_ascii_digit())).then_some(name)
}

/// The path of `OPTIONS *` is no path.
fn rooted(path: &str) -> &str {
    if path.starts_with('/') { path } else { "/" }
}

/// Adds what a request brought, with everything encoded that a browser could read as something else.
fn push(to: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'\\' {
            to.push(char::from(byte));
        } else {
            let _ = write!(to, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn render(template: &str, host: &str, uri: &str, prefix: usize) -> Option<String> {
        let uri: Uri = uri.parse().unwrap();
        let blanks = Blanks { is_secure: false, host, uri: &uri, prefix };
        Some(Template::parse(template).unwrap().render(&blanks)?.to_str().unwrap().to_owned())
    }

    /// Where a browser would go, read as browsers read: backslashes are slashes, and so is any number of them.
    fn destination(location: &str) -> Option<String> {
        let text = location.replace('\\', "/");
        let after = match text.split_once(':') {
            Some((scheme, after)) if ["http", "https"].contains(&scheme) => after.trim_start_matches('/'),
            _ => text.strip_prefix("//")?.trim_start_matches('/'),
        };
        let host = after.split(['/', '?', '#']).next()?;
        Some(host.rsplit('@').next()?.to_owned())
    }

    #[test]
    fn blanks_are_filled() {
        let full = |template| render(template, "a.example:8080", "/api/x/y?q=1", 4).unwrap();
        assert_eq!(full("https://{host}{path}{query}"), "https://a.example/api/x/y?q=1");
        assert_eq!(full("https://new.example{rest}{query}"), "https://new.example/x/y?q=1");
        assert_eq!(full("{scheme}://{host}:81/v2{rest}"), "http://a.example:81/v2/x/y");
        assert_eq!(full("/v2{rest}"), "/v2/x/y");
        assert_eq!(render("https://a{rest}.b", "x", "/api", 4).unwrap(), "https://a/.b");
        assert_eq!(render("https://a{query}", "x", "/api?b", 4).unwrap(), "https://a/?b");
        assert_eq!(full("{path}"), "/api/x/y");
        assert_eq!(render("https://{host}/", "[::1]:80", "/", 0).unwrap(), "https://[::1]/");
    }

    #[test]
    fn a_path_that_looks_like_a_host_stays_a_path() {
        assert_eq!(render("{path}", "x", "//evil.example/a", 0).unwrap(), "/evil.example/a");
        assert_eq!(render("{rest}{query}", "x", "/api//evil.example", 4).unwrap(), "/evil.example");
        assert_eq!(render("/{rest}", "x", "/api/\\evil.example", 4).unwrap(), "/%5Cevil.example");
        assert_eq!(render("{rest}", "x", "/api", 4).unwrap(), "/");
    }

    #[test]
    fn what_could_lead_astray_is_no_template() {
        for (text, why) in [
            ("", BadTemplate::Beginning),
            ("javascript:alert(1)", BadTemplate::Beginning),
            ("{query}", BadTemplate::Beginning),
            ("//elsewhere", BadTemplate::Host),
            ("https://", BadTemplate::Host),
            ("https://{path}", BadTemplate::Host),
            ("https://a{scheme}/", BadTemplate::Host),
            ("https://a{rest", BadTemplate::Braces),
            ("https://a}", BadTemplate::Braces),
            ("https://user@a/", BadTemplate::Host),
            ("https://a/{user}", BadTemplate::Unknown("user".into())),
            ("https://a/\r\nSet-Cookie:x", BadTemplate::Character('\r')),
            ("https://a/ä", BadTemplate::Character('ä')),
        ] {
            assert_eq!(Template::parse(text).unwrap_err(), why, "{text}");
        }
    }

    #[test]
    fn a_request_without_a_usable_host_gets_no_address() {
        for host in ["", ":80", "a@b", "a:b", "a/b", "[::1", "%2f"] {
            assert_eq!(render("https://{host}/", host, "/", 0), None, "{host}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in ".{0,60}") {
            let _ = Template::parse(&text);
        }

        #[test]
        fn no_request_leads_to_a_stranger(
            template in r"(https://fixed\.example)?(\{path\}|\{rest\}|\{query\}|/)(\{path\}|\{rest\}|\{query\}|/|[a-z?#]){0,6}",
            path in r"[/\\a-z.@:?#%\[\]]{0,30}",
            prefix in 0usize..8,
        ) {
            let Ok(parsed) = Template::parse(&template) else { return Ok(()) };
            let Ok(uri) = format!("/{path}").parse::<Uri>() else { return Ok(()) };
            let blanks = Blanks { is_secure: true, host: "evil.example", uri: &uri, prefix: prefix.min(uri.path().len()) };
            if let Some(location) = parsed.render(&blanks) {
                let location = location.to_str().unwrap().to_owned();
                prop_assert!(location.bytes().all(|b| b.is_ascii_graphic()));
                let expected = template.starts_with("https").then(|| "fixed.example".to_owned());
                prop_assert_eq!(destination(&location), expected, "{}", location);
            }
        }

        #[test]
        fn a_plain_address_comes_back_as_it_was(host in "[a-z]{1,8}\\.example", path in "(/[a-z0-9]{1,5}){1,4}", query in "(\\?[a-z=]{1,9})?") {
            let address = format!("https://{host}{path}{query}");
            let uri: Uri = format!("{path}{query}").parse().unwrap();
            let blanks = Blanks { is_secure: false, host: &host, uri: &uri, prefix: 0 };
            let rendered = Template::parse("https://{host}{path}{query}").unwrap().render(&blanks).unwrap();
            prop_assert_eq!(rendered.to_str().unwrap(), address);
        }
    }
}
