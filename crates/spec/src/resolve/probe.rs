//! The URL inside a declared health check, such as `curl -f http://localhost:8000/health || exit 1`.

use crate::compose::Service;

/// A URL of the container itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) port: u16,
    pub(super) path: String,
}

/// The plain HTTP URL that the health check asks, if it asks one of its own container.
pub(super) fn url(service: &Service) -> Option<Url> {
    let check = service.healthcheck.as_ref().filter(|check| !check.disabled)?;
    check.test.iter().find_map(|word| find(word))
}

fn find(word: &str) -> Option<Url> {
    let (_, after) = word.split_once("http://")?;
    let end = after.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '|' | ';' | '&' | ')' | '`'));
    let address = &after[..end.unwrap_or(after.len())];
    let (authority, path) = address.split_once('/').unwrap_or((address, ""));
    let (host, port) = match authority.strip_prefix("[::1]") {
        Some(rest) => ("localhost", rest.strip_prefix(':')),
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    if !matches!(host, "localhost" | "127.0.0.1" | "0.0.0.0") {
        return None;
    }
    let port = match port {
        Some(digits) => digits.parse().ok().filter(|port| *port > 0)?,
        None => 80,
    };
    // A variable in the path is known inside the container only.
    (!path.contains('$')).then(|| Url { port, path: format!("/{path}") })
}
