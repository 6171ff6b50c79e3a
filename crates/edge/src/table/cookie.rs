//! A cookie by which a client stays where it was.

use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Its name, and everything about it but its value.
#[derive(Debug)]
pub(crate) struct Cookie {
    name: Box<str>,
    attributes: Box<str>,
}

impl Cookie {
    /// `None`, and a problem, when no cookie can have the name.
    pub(crate) fn compile(
        name: &str,
        prefix: &str,
        max_age_s: Option<u64>,
        whose: &str,
        problems: &mut Vec<String>,
    ) -> Option<Cookie> {
        // Cookie names and header names are made of the same characters.
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            problems.push(format!("{whose}: `{name}` cannot be a cookie's name"));
            return None;
        }
        let is_plain = prefix.bytes().all(|b| b.is_ascii_graphic() && b != b';' && b != b',');
        let path = if is_plain && !prefix.is_empty() { prefix } else { "/" };
        let age = max_age_s.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
        let attributes = format!("; Path={path}{age}; HttpOnly; SameSite=Lax");
        Some(Cookie { name: name.into(), attributes: attributes.into() })
    }

    /// Every value that the client sends under the name; there may be several, for several paths.
    pub(crate) fn values<'a>(&'a self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
        let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.filter(|(name, _)| *name == &*self.name).map(|(_, value)| value)
    }

    /// The `Set-Cookie` value.
    pub(crate) fn with(&self, value: &str, is_secure: bool) -> Option<HeaderValue> {
        let secure = if is_secure { "; Secure" } else { "" };
        HeaderValue::try_from(format!("{}={value}{}{secure}", self.name, self.attributes)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others_and_written_for_its_path() {
        let cookie = Cookie::compile("stay", "/api", Some(60), "route", &mut vec![]).unwrap();
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; stay=one; xstay=2"));
        headers.append(COOKIE, HeaderValue::from_static("stay=two;b"));
        assert_eq!(cookie.values(&headers).collect::<Vec<_>>(), ["one", "two"]);
        let written = cookie.with("v", true).unwrap();
        assert_eq!(written, "stay=v; Path=/api; Max-Age=60; HttpOnly; SameSite=Lax; Secure");
        let mut problems = vec![];
        assert!(Cookie::compile("a b", "", None, "route", &mut problems).is_none());
        assert_eq!(problems.len(), 1);
    }
}
