//! `table/template.rs`.

use http::Uri;

use super::bytes::Bytes;
use crate::table::template::{Blanks, Template, bare_host};

/// A redirect leads to the host that its template says, read as browsers read addresses, whatever the request brings.
pub fn redirects(data: &[u8]) {
    let mut bytes = Bytes(data);
    let is_secure = bytes.bit();
    let prefix = usize::from(bytes.byte());
    let (template, host, target) = (bytes.text(), bytes.text(), bytes.text());
    let Ok(parsed) = Template::parse(template) else { return };
    let Ok(uri) = target.parse::<Uri>() else { return };
    let blanks = Blanks { is_secure, host, uri: &uri, prefix };
    let Some(location) = parsed.render(&blanks) else {
        return assert!(template.contains("{host}") && bare_host(host).is_none(), "no address, and a host is there");
    };
    let Ok(location) = location.to_str() else { return assert_eq!(template, "an address in ASCII") };
    assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{location:?}");
    assert_eq!(destination(location), wanted(template, host), "{template} became {location}");
}

/// The authority that the template's text has; `None` for a path.
fn wanted(template: &str, host: &str) -> Option<String> {
    if ["/", "{path}", "{rest}"].iter().any(|local| template.starts_with(local)) {
        return None;
    }
    let (_, after) = template.split_once("://")?;
    let ends = ["/", "?", "#", "{path}", "{rest}", "{query}"];
    let end = ends.iter().filter_map(|end| after.find(end)).min().unwrap_or(after.len());
    Some(after[..end].replace("{host}", bare_host(host).unwrap_or_default()))
}

fn destination(location: &str) -> Option<String> {
    let text = location.replace('\\', "/");
    let after = match text.split_once(':') {
        Some((scheme, after)) if ["http", "https"].contains(&scheme) => after.trim_start_matches('/'),
        _ => text.strip_prefix("//")?.trim_start_matches('/'),
    };
    let host = after.split(['/', '?', '#']).next()?;
    Some(host.rsplit('@').next()?.to_owned())
}
