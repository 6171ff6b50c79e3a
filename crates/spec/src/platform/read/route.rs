//! Reading a route and what it asks for.

use std::collections::BTreeMap;

use super::limits::limits;
use super::service::{host_or_wildcard, url_path};
use crate::platform::reader::{At, Fields, Reader, flag, list, text, texts, unit, whole, word};
use crate::platform::words::is_token;
use crate::platform::{
    ClientCertificate, HeaderChanges, HeaderSettings, HstsSettings, HstsWritten, RedirectSettings, RouteSettings,
    StickySettings, StickyWritten,
};
use crate::problem::nearest;
use crate::units::parse_duration;
use crate::yaml::Shape;

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const CERTIFICATES: [(&str, ClientCertificate); 2] =
    [("required", ClientCertificate::Required), ("optional", ClientCertificate::Optional)];
const STATUSES: [(&str, u16); 5] = [("301", 301), ("302", 302), ("303", 303), ("307", 307), ("308", 308)];
/// What a redirect's address may hold in braces.
const BLANKS: [&str; 5] = ["scheme", "host", "path", "rest", "query"];
/// What decides where a message ends, which connection it is on, or whom it is for; the edge refuses to touch these.
const FRAMING: [&str; 13] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn route(at: &At<'_>, r: &mut Reader) -> Option<RouteSettings> {
    if let Shape::Text { .. } = at.node.shape {
        return Some(RouteSettings { path: Some(url_path(at, r)?), ..RouteSettings::default() });
    }
    let mut f = Fields::open(at, "a route", r)?;
    let read = RouteSettings {
        host: f.get(r, "host", host_or_wildcard),
        path: f.get(r, "path", url_path),
        strip_prefix: f.get(r, "strip_prefix", |at, r| flag(at, r, "strip_prefix")),
        priority: f.get(r, "priority", priority),
        methods: f.get(r, "methods", |at, r| list(at, r, method)),
        redirect: f.get(r, "redirect", redirect),
        https_only: f.get(r, "https_only", |at, r| flag(at, r, "https_only")),
        hsts: f.get(r, "hsts", hsts),
        sticky: f.get(r, "sticky", sticky),
        headers: f.get(r, "headers", headers),
        client_certificate: f
            .get(r, "client_certificate", |at, r| word(at, r, "word about client certificates", &CERTIFICATES)),
        limits: f.get(r, "limits", limits),
    };
    f.close(r, &[]);
    if read.redirect.is_some() && (read.strip_prefix == Some(true) || read.sticky.is_some()) {
        r.refuse(at, "a redirect asks no service", "`redirect` without `strip_prefix` and `sticky`");
    }
    Some(read)
}

fn priority(at: &At<'_>, r: &mut Reader) -> Option<i32> {
    let number = text(at, r, "priority")?.parse::<i32>().ok().filter(|number| (-1000..=1000).contains(number));
    if number.is_none() {
        r.refuse(at, "priority is a whole number", "a number from -1000 to 1000");
    }
    number
}

/// Methods are told apart by case, and all that anybody uses are in capitals.
fn method(at: &At<'_>, r: &mut Reader) -> Option<String> {
    let written = text(at, r, "a method")?.to_ascii_uppercase();
    if written.bytes().all(|b| b.is_ascii_uppercase() || b == b'-') && !matches!(&*written, "CONNECT" | "TRACE") {
        return Some(written);
    }
    let meant = nearest(&written, METHODS).filter(|meant| *meant != written);
    r.refuse_meant(at, "this is not a method that is served", METHODS.join(", "), meant);
    None
}

fn redirect(at: &At<'_>, r: &mut Reader) -> Option<RedirectSettings> {
    if let Shape::Text { .. } = at.node.shape {
        return address(at, r).map(|to| RedirectSettings { to, status: None });
    }
    let mut f = Fields::open(at, "a redirect", r)?;
    let to = f.require(r, "to", "to: https://example.com{path}{query}", address);
    let status = f.get(r, "status", |at, r| word(at, r, "status of a redirect", &STATUSES));
    f.close(r, &[]);
    Some(RedirectSettings { to: to?, status })
}

/// An address with blanks. Its host is fixed or the request's own, so that no request can lead a client to a stranger.
fn address(at: &At<'_>, r: &mut Reader) -> Option<String> {
    const ALLOWED: &str = "an address such as `https://example.com{path}{query}`, or a path such as `/new{rest}`";
    let written = text(at, r, "an address")?;
    if let Err((blank, meant)) = blanks(written) {
        let message = format!("`{blank}` is not filled in here");
        r.refuse_meant(at, message, "{scheme}, {host}, {path}, {rest}, {query}", meant);
        return None;
    }
    let clean = written.chars().all(|c| c.is_ascii_graphic() && !"\\\"<>^`|".contains(c));
    let schemes = ["https://", "http://", "{scheme}://"];
    let after = schemes.iter().find_map(|scheme| written.strip_prefix(scheme));
    let good = match after {
        Some(after) => good_host(after),
        None => !written.starts_with("//") && ["/", "{path}", "{rest}"].iter().any(|from| written.starts_with(from)),
    };
    if clean && good {
        return Some(written.to_owned());
    }
    let meant = (clean && good_host(written) && !written.starts_with('/')).then(|| format!("https://{written}"));
    r.refuse_meant(at, "this is not an address to be sent to", ALLOWED, meant);
    None
}

/// The first thing in braces that is not known, with the nearest that is.
fn blanks(written: &str) -> Result<(), (String, Option<String>)> {
    let mut rest = written;
    while let Some(at) = rest.find(['{', '}']) {
        let blank = rest[at..].strip_prefix('{').and_then(|after| after.split_once('}'));
        let Some((name, after)) = blank else { return Err((rest[at..].to_owned(), None)) };
        if !BLANKS.contains(&name) {
            return Err((format!("{{{name}}}"), nearest(name, BLANKS).map(|name| format!("{{{name}}}"))));
        }
        rest = after;
    }
    Ok(())
}

fn good_host(after: &str) -> bool {
    let ends = ["/", "?", "#", "{path}", "{rest}", "{query}"].iter().filter_map(|end| after.find(end));
    let authority = &after[..ends.min().unwrap_or(after.len())];
    let authority = authority.replace("{host}", "h");
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority.as_str(), None),
    };
    let name = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(six) => six.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)),
    };
    name && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn hsts(at: &At<'_>, r: &mut Reader) -> Option<HstsWritten> {
    if let Shape::Text { .. } = at.node.shape {
        return flag(at, r, "hsts").map(HstsWritten::Switch);
    }
    let mut f = Fields::open(at, "hsts", r)?;
    let read = HstsSettings {
        max_age: f.get(r, "max_age", |at, r| unit(at, r, "max_age", parse_duration)),
        subdomains: f.get(r, "subdomains", |at, r| flag(at, r, "subdomains")),
        preload: f.get(r, "preload", |at, r| flag(at, r, "preload")),
    };
    f.close(r, &[]);
    let year = crate::defaults::HSTS_MAX_AGE;
    // What the list of the browsers asks for; with less the word would be sent and mean nothing.
    let listed = read.subdomains == Some(true) && read.max_age.is_none_or(|age| age >= year);
    if read.preload == Some(true) && !listed {
        r.refuse(at, "`preload` needs more", "preload: true, subdomains: true, max_age: 365d or more");
    }
    Some(HstsWritten::Settings(read))
}

fn sticky(at: &At<'_>, r: &mut Reader) -> Option<StickyWritten> {
    if let Shape::Text { .. } = at.node.shape {
        return flag(at, r, "sticky").map(StickyWritten::Switch);
    }
    let mut f = Fields::open(at, "sticky", r)?;
    let read = StickySettings {
        cookie: f.get(r, "cookie", |at, r| token(at, r, "a cookie's name")),
        max_age: f.get(r, "max_age", |at, r| unit(at, r, "max_age", parse_duration)),
    };
    f.close(r, &[]);
    Some(StickyWritten::Settings(read))
}

fn token(at: &At<'_>, r: &mut Reader, what: &str) -> Option<String> {
    let written = text(at, r, what)?;
    if written.bytes().all(is_token) {
        return Some(written.to_owned());
    }
    r.refuse(at, format!("this cannot be {what}"), "letters, digits and `-`, without spaces");
    None
}

fn headers(at: &At<'_>, r: &mut Reader) -> Option<HeaderSettings> {
    let mut f = Fields::open(at, "the changes to headers", r)?;
    let read = HeaderSettings {
        request: f.get(r, "request", changes).unwrap_or_default(),
        response: f.get(r, "response", changes).unwrap_or_default(),
    };
    f.close(r, &[]);
    Some(read)
}

fn changes(at: &At<'_>, r: &mut Reader) -> Option<HeaderChanges> {
    let mut f = Fields::open(at, "changes to headers", r)?;
    let read = HeaderChanges {
        set: f.get(r, "set", values).unwrap_or_default(),
        add: f.get(r, "add", values).unwrap_or_default(),
        remove: f.get(r, "remove", |at, r| list(at, r, header)).unwrap_or_default(),
    };
    f.close(r, &[]);
    Some(read)
}

/// Headers with their values. An empty value is legal.
fn values(at: &At<'_>, r: &mut Reader) -> Option<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for (name, value) in texts(at, r, "headers with values")? {
        let name_at = At { node: value.node, path: value.path.clone() };
        let Some(name) = checked_header(&name_at, r, name) else { continue };
        let Shape::Text { text, .. } = &value.node.shape else {
            r.refuse(&value, "the value of a header is a single value", "a text");
            continue;
        };
        if text.chars().any(char::is_control) {
            r.refuse(&value, "the value of a header has no line breaks", "a text of one line");
            continue;
        }
        all.insert(name, text.clone());
    }
    Some(all)
}

fn header(at: &At<'_>, r: &mut Reader) -> Option<String> {
    let written = text(at, r, "a header")?;
    checked_header(at, r, written)
}

fn checked_header(at: &At<'_>, r: &mut Reader, written: &str) -> Option<String> {
    let name = written.trim().to_ascii_lowercase();
    if name.is_empty() || !name.bytes().all(is_token) {
        r.refuse(at, format!("`{written}` is not the name of a header"), "a name such as `X-Frame-Options`");
        return None;
    }
    if FRAMING.contains(&name.as_str()) {
        let message = format!("the header `{name}` belongs to the connection and stays as it is");
        r.refuse(at, message, "any other header");
        return None;
    }
    Some(name)
}

/// A number that is at least one.
pub(super) fn count(at: &At<'_>, r: &mut Reader, what: &str) -> Option<u32> {
    whole(at, r, what, 1, 10_000_000)
}
