//! `downstream/trust.rs` and `downstream/forwarded.rs`.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderValue};

use super::bytes::Bytes;
use crate::downstream::arrival::Arrival;
use crate::downstream::forwarded::{address, hops};
use crate::downstream::trust::introduced;
use crate::networks::Networks;

const NAMES: [&str; 6] =
    ["x-forwarded-for", "forwarded", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "host"];

/// Strangers speak for nobody; of a trusted proxy's words the nearest stranger is the client, and the edge says of it
/// what it believes.
pub fn forwarded(data: &[u8]) {
    let mut bytes = Bytes(data);
    let peer: IpAddr = if bytes.bit() { [203, 0, 113, 1].into() } else { [10, 0, 0, 1].into() };
    let is_secure = bytes.bit();
    let mut headers = HeaderMap::new();
    while !bytes.is_empty() && headers.len() < 16 {
        let name = bytes.pick(&NAMES);
        if let Ok(value) = HeaderValue::from_str(bytes.text()) {
            headers.append(name, value);
        }
    }
    let trusted = Networks::compile(&["10.0.0.0/8".to_owned(), "fd00::/8".to_owned()], "", &mut vec![]);
    let local = SocketAddr::from(([127, 0, 0, 1], 8080));
    let (peer_at, is_named) = (SocketAddr::new(peer, 1), false);
    let arrival = Arrival { peer: peer_at, local, is_named, is_secure, has_client_certificate: false };
    let Ok(found) = introduced(&trusted, &arrival, &headers) else {
        return assert!(trusted.contains(peer), "a stranger's words were looked at");
    };
    let Some(client) = found else { return };
    assert!(trusted.contains(peer), "a stranger spoke for another");
    if let Some(wanted) = nearest(&headers, peer, &trusted) {
        assert_eq!(client.ip, wanted, "who X-Forwarded-For names");
    }
    let written = client.forwarded.to_str().unwrap_or_default();
    let read = hops(written);
    let Ok([hop]) = read.as_deref() else { return assert_eq!(written, "one hop") };
    assert_eq!((hop.node, hop.is_secure), (Some(client.ip), Some(client.is_secure)), "{written}");
    let host = client.host.as_ref().map(HeaderValue::as_bytes);
    assert_eq!(hop.host.as_deref().map(str::as_bytes), host, "{written}");
    assert_eq!(client.address, client.ip.to_string());
}

/// The client by `X-Forwarded-For` alone, found from the right; `None` when there is none.
fn nearest(headers: &HeaderMap, peer: IpAddr, trusted: &Networks) -> Option<IpAddr> {
    let lines: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok()).collect();
    let all = lines.join(",");
    let mut names = all.split(',').map(str::trim).filter(|name| !name.is_empty()).rev().peekable();
    names.peek()?;
    let mut nearest = peer;
    for name in names {
        let Some(named) = address(name) else { break };
        nearest = named;
        if !trusted.contains(named) {
            break;
        }
    }
    Some(nearest)
}
