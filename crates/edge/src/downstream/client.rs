//! Whom a request comes from, as far as the edge believes it, and how targets are told.

use std::net::IpAddr;

use http::HeaderValue;

use super::arrival::Arrival;

/// Made once per connection; a trusted proxy's requests have one each.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// For limits, allow-lists and the access log.
    pub(crate) ip: IpAddr,
    /// Whether the client itself came over TLS.
    pub(crate) is_secure: bool,
    /// The host that the client asked the outermost trusted proxy for, where a proxy said so.
    pub(crate) host: Option<HeaderValue>,
    /// `X-Forwarded-For` and `X-Real-IP`.
    pub(crate) address: HeaderValue,
    /// `X-Forwarded-Port`.
    pub(crate) port: HeaderValue,
    /// `Forwarded`; it names the host only when that is not the request's own, so that one value serves a connection.
    pub(crate) forwarded: HeaderValue,
}

impl Client {
    pub(crate) fn new(ip: IpAddr, is_secure: bool, port: u16, host: Option<HeaderValue>) -> Client {
        let ip = ip.to_canonical();
        let address = text(ip.to_string());
        let forwarded = text(forwarded(ip, is_secure, host.as_ref()));
        Client { ip, is_secure, host, address, port: HeaderValue::from(port), forwarded }
    }

    /// The connection's own client, when nobody is believed to speak for another.
    pub(crate) fn direct(arrival: &Arrival) -> Client {
        Client::new(arrival.peer.ip(), arrival.is_secure, arrival.local.port(), None)
    }
}

fn forwarded(ip: IpAddr, is_secure: bool, host: Option<&HeaderValue>) -> String {
    let scheme = if is_secure { "https" } else { "http" };
    let node = match ip {
        IpAddr::V4(four) => four.to_string(),
        IpAddr::V6(six) => format!("\"[{six}]\""),
    };
    match host.and_then(|host| host.to_str().ok()) {
        // Quoted, since a port's colon may not stand in a bare word; a host has no quotes of its own.
        Some(host) => format!("for={node};host=\"{host}\";proto={scheme}"),
        None => format!("for={node};proto={scheme}"),
    }
}

fn text(text: String) -> HeaderValue {
    // Addresses and checked hosts are always fine in a header.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_names_the_same_client() {
        let client = Client::new("::ffff:192.0.2.7".parse().unwrap(), true, 443, None);
        assert_eq!(client.address, "192.0.2.7");
        assert_eq!(client.port, "443");
        assert_eq!(client.forwarded, "for=192.0.2.7;proto=https");
        let host = Some(HeaderValue::from_static("a.example:81"));
        let client = Client::new("2001:db8::1".parse().unwrap(), false, 80, host);
        assert_eq!(client.address, "2001:db8::1");
        assert_eq!(client.forwarded, "for=\"[2001:db8::1]\";host=\"a.example:81\";proto=http");
    }
}
