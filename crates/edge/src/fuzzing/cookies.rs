//! `table/cookie.rs` and `table/mark.rs`.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use super::bytes::Bytes;
use crate::table::cookie::Cookie;
use crate::table::mark::Marks;

/// A cookie says its mark and nothing more, and is found again among whatever else a client sends.
pub fn cookies(data: &[u8]) {
    let mut bytes = Bytes(data);
    let is_secure = bytes.bit();
    let (name, prefix, other) = (bytes.text(), bytes.text(), bytes.text());
    let mut problems = Vec::new();
    let Some(cookie) = Cookie::compile(name, prefix, Some(60), "route", &mut problems) else {
        return assert_eq!(problems.len(), 1, "what cannot be a cookie is named");
    };
    let mark = Marks::new([7; 32]).mark("target", other);
    assert!(mark.len() == 16 && mark.bytes().all(|byte| byte.is_ascii_hexdigit()), "{mark}");
    let Some(written) = cookie.with(&mark, is_secure) else { return assert_eq!(name, "a value") };
    let written = written.to_str().unwrap_or_default();
    let pieces: Vec<&str> = written.split("; ").collect();
    assert_eq!(pieces[0], format!("{name}={mark}"));
    let path = pieces[1].strip_prefix("Path=").unwrap_or_default();
    assert!(path == prefix || path == "/", "{written}");
    let rest = ["Max-Age=60", "HttpOnly", "SameSite=Lax", "Secure"];
    assert_eq!(pieces[2..], rest[..if is_secure { 4 } else { 3 }], "{written}");
    found(&cookie, name, &mark, other);
}

/// It is found behind and before another text, as a plain reader finds it.
fn found(cookie: &Cookie, name: &str, mark: &str, other: &str) {
    for line in [format!("{other}; {name}={mark}"), format!("{name}={mark}; {other}")] {
        let Ok(value) = HeaderValue::from_str(&line) else { continue };
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, value);
        let read: Vec<&str> = cookie.values(&headers).collect();
        let all = line.split(';').map(str::trim).filter_map(|pair| pair.split_once('='));
        let plainly: Vec<&str> = all.filter(|(key, _)| *key == name).map(|(_, value)| value).collect();
        if line.is_ascii() {
            assert_eq!(read, plainly, "{line}");
        }
        assert!(!line.is_ascii() || read.contains(&mark), "{line}");
    }
}
