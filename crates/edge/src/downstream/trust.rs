//! Whom trusted proxies speak for.
//!
//! A claim is believed only as far as everybody who handed it on is trusted: the walk goes from the nearest proxy
//! towards the client and ends at the first address that is not trusted, because everything further left may have
//! been written by that one.
//!
//! A proxy mostly keeps one kind of header and hands the other on as a stranger wrote it.
//! Where `Forwarded` and `X-Forwarded-*` tell two stories, one of them is forged, and nothing says which.

use std::net::IpAddr;

use http::header::{FORWARDED, HOST};
use http::{HeaderMap, HeaderValue};

use super::arrival::Arrival;
use super::client::Client;
use super::forwarded::{Hop, Malformed, address, hops, is_secure};
use crate::networks::Networks;
use crate::proxy::whom::is_host;

/// Why a trusted proxy's claims are not taken; always 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubt {
    Malformed,
    Disagree,
}

impl Doubt {
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Doubt::Malformed => "the request's forwarding headers cannot be read",
            Doubt::Disagree => "the request's Forwarded and X-Forwarded headers name different clients",
        }
    }
}

impl From<Malformed> for Doubt {
    fn from(_: Malformed) -> Doubt {
        Doubt::Malformed
    }
}

/// What one kind of header says of the client.
#[derive(Debug, Default, PartialEq, Eq)]
struct Claim {
    ip: Option<IpAddr>,
    is_secure: Option<bool>,
    host: Option<String>,
}

/// The client that a trusted proxy speaks for; `None` when it speaks for itself, or is not trusted.
pub(crate) fn introduced(
    trusted: &Networks,
    arrival: &Arrival,
    headers: &HeaderMap,
) -> Result<Option<Box<Client>>, Doubt> {
    let peer = arrival.peer.ip();
    if !trusted.contains(peer) {
        return Ok(None);
    }
    let (standard, usual) = (standard(trusted, peer, headers)?, usual(trusted, peer, headers)?);
    let ip = agreed(standard.ip, usual.ip)?;
    let is_secure = agreed(standard.is_secure, usual.is_secure)?;
    let host = agreed(standard.host, usual.host)?;
    if ip.is_none() && is_secure.is_none() && host.is_none() {
        return Ok(None);
    }
    let is_secure = is_secure.unwrap_or(arrival.is_secure);
    let port = port(headers, host.as_deref(), is_secure);
    let own = headers.get(HOST).map(HeaderValue::as_bytes);
    let host = host.filter(|host| own != Some(host.as_bytes())).and_then(|host| HeaderValue::try_from(host).ok());
    Ok(Some(Box::new(Client::new(ip.unwrap_or(peer), is_secure, port, host))))
}

fn agreed<T: PartialEq>(one: Option<T>, other: Option<T>) -> Result<Option<T>, Doubt> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => Err(Doubt::Disagree),
        (one, other) => Ok(one.or(other)),
    }
}

/// Where the walk ends: the client, and its place in the chain.
fn walk(trusted: &Networks, peer: IpAddr, chain: &[Option<IpAddr>]) -> (IpAddr, Option<usize>) {
    let (mut client, mut place) = (peer, None);
    for (index, node) in chain.iter().enumerate().rev() {
        place = Some(index);
        // A hidden client: the proxy that hides it stands for it.
        let Some(address) = node else { break };
        client = *address;
        if !trusted.contains(client) {
            break;
        }
    }
    (client, place)
}

/// `Forwarded`.
fn standard(trusted: &Networks, peer: IpAddr, headers: &HeaderMap) -> Result<Claim, Doubt> {
    let mut chain: Vec<Hop> = Vec::new();
    for line in headers.get_all(FORWARDED) {
        chain.extend(hops(line.to_str().map_err(|_| Malformed)?)?);
    }
    let nodes: Vec<_> = chain.iter().map(|hop| hop.node).collect();
    let (client, place) = walk(trusted, peer, &nodes);
    let Some(place) = place else { return Ok(Claim::default()) };
    let hop = chain.swap_remove(place);
    Ok(Claim { ip: Some(client), is_secure: hop.is_secure, host: hop.host.map(checked).transpose()? })
}

/// `X-Forwarded-For`, `-Proto` and `-Host`.
fn usual(trusted: &Networks, peer: IpAddr, headers: &HeaderMap) -> Result<Claim, Doubt> {
    let chain: Vec<_> = list(headers, "x-forwarded-for")?.into_iter().map(address).collect();
    let (client, place) = walk(trusted, peer, &chain);
    let of = |name| Ok::<_, Malformed>(at(&list(headers, name)?, place, chain.len()));
    let host = of("x-forwarded-host")?.map(|host| checked(host.to_owned())).transpose()?;
    Ok(Claim { ip: place.map(|_| client), is_secure: of("x-forwarded-proto")?.and_then(is_secure), host })
}

fn list<'a>(headers: &'a HeaderMap, name: &str) -> Result<Vec<&'a str>, Malformed> {
    let mut values = Vec::new();
    for line in headers.get_all(name) {
        let line = line.to_str().map_err(|_| Malformed)?;
        values.extend(line.split(',').map(str::trim).filter(|value| !value.is_empty()));
    }
    Ok(values)
}

/// The value beside the client where every hop added one; else the nearest proxy's, whose word is certain.
fn at<'a>(values: &[&'a str], place: Option<usize>, chain: usize) -> Option<&'a str> {
    let place = place.filter(|_| values.len() == chain);
    place.and_then(|place| values.get(place)).or(values.last()).copied()
}

fn checked(host: String) -> Result<String, Malformed> {
    if is_host(host.as_bytes()) { Ok(host) } else { Err(Malformed) }
}

/// What the proxy says, what the host says, or what the scheme means.
fn port(headers: &HeaderMap, host: Option<&str>, is_secure: bool) -> u16 {
    let said = headers.get("x-forwarded-port").and_then(|port| port.to_str().ok()?.parse().ok());
    let named = || {
        let host = host.or_else(|| headers.get(HOST)?.to_str().ok())?;
        host.rsplit_once(':')?.1.parse().ok()
    };
    said.or_else(named).unwrap_or(if is_secure { 443 } else { 80 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    fn from(peer: &str, pairs: &[(&'static str, &'static str)]) -> Result<Option<Box<Client>>, Doubt> {
        let trusted = Networks::compile(&["10.0.0.0/8".to_owned(), "fd00::/8".to_owned()], "", &mut vec![]);
        let (peer, local) = (std::net::SocketAddr::new(peer.parse().unwrap(), 1), ([127, 0, 0, 1], 8080).into());
        let arrival = Arrival { peer, local, is_named: false, is_secure: false, has_client_certificate: false };
        introduced(&trusted, &arrival, &headers(pairs))
    }

    fn ip(pairs: &[(&'static str, &'static str)]) -> String {
        from("10.0.0.1", pairs).unwrap().unwrap().ip.to_string()
    }

    #[test]
    fn the_walk_ends_at_the_first_stranger_from_the_right() {
        assert_eq!(ip(&[("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.0.0.2")]), "1.2.3.4");
        assert_eq!(ip(&[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.2.3.4:55")]), "1.2.3.4");
        assert_eq!(ip(&[("forwarded", "for=6.6.6.6, for=\"[2001:db8::1]:5\", for=\"[fd00::2]\"")]), "2001:db8::1");
        assert_eq!(ip(&[("x-forwarded-for", "10.0.0.3, 10.0.0.2")]), "10.0.0.3", "all trusted: the outermost");
        assert_eq!(ip(&[("x-forwarded-for", "6.6.6.6, garbage, 10.0.0.2")]), "10.0.0.2");
        assert_eq!(ip(&[("forwarded", "for=6.6.6.6, for=_hidden;proto=https")]), "10.0.0.1");
    }

    #[test]
    fn strangers_and_silent_proxies_introduce_nobody() {
        assert!(from("11.0.0.1", &[("x-forwarded-for", "1.2.3.4")]).unwrap().is_none());
        assert!(from("10.0.0.1", &[]).unwrap().is_none());
    }

    #[test]
    fn scheme_and_host_are_those_of_the_clients_own_hop() {
        let client = from(
            "10.0.0.1",
            &[
                ("host", "inner"),
                ("x-forwarded-for", "1.2.3.4, 10.0.0.2"),
                ("x-forwarded-proto", "https, http"),
                ("x-forwarded-host", "outer.example"),
            ],
        );
        let client = client.unwrap().unwrap();
        assert!(client.is_secure);
        assert_eq!(client.forwarded, "for=1.2.3.4;host=\"outer.example\";proto=https");
        assert_eq!(client.port, "443");
        let client = from("10.0.0.1", &[("host", "a:81"), ("forwarded", "for=1.2.3.4;host=\"a:81\";proto=http")]);
        let client = client.unwrap().unwrap();
        assert_eq!((client.host, client.is_secure), (None, false));
        assert_eq!(client.port, "81");
        let client = from("10.0.0.1", &[("x-forwarded-proto", "http, https"), ("x-forwarded-port", "444")]);
        let client = client.unwrap().unwrap();
        assert!(client.is_secure);
        assert_eq!(client.port, "444");
    }

    #[test]
    fn two_stories_and_unreadable_ones_are_doubted() {
        let doubt = |pairs| from("10.0.0.1", pairs).err();
        assert_eq!(doubt(&[("x-forwarded-for", "1.2.3.4"), ("forwarded", "for=6.6.6.6")]), Some(Doubt::Disagree));
        let same =
            [("x-forwarded-for", "1.2.3.4"), ("forwarded", "for=1.2.3.4;proto=https"), ("x-forwarded-proto", "http")];
        assert_eq!(doubt(&same), Some(Doubt::Disagree));
        assert_eq!(doubt(&[("forwarded", "for=\"1.2.3.4")]), Some(Doubt::Malformed));
        assert_eq!(doubt(&[("x-forwarded-host", "a b")]), Some(Doubt::Malformed));
        assert_eq!(doubt(&[("x-forwarded-for", "1.2.3.4"), ("forwarded", "for=1.2.3.4")]), None);
    }
}
