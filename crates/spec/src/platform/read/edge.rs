//! Reading what the edge does for one environment.

use super::limits::longer_than_nothing;
use super::route::count;
use super::service::{host_or_wildcard, port};
use crate::platform::reader::{At, Fields, Reader, flag, id, list, text, unit, whole};
use crate::platform::{
    AccessLogSettings, AccessLogWritten, Bind, CertificateSettings, EdgeSettings, Network, SheddingSettings,
    TcpSettings, TlsSettings,
};
use crate::units::{Bytes, parse_duration};
use crate::yaml::Shape;

pub(super) fn edge(at: &At<'_>, r: &mut Reader) -> Option<EdgeSettings> {
    let mut f = Fields::open(at, "the edge", r)?;
    let read = EdgeSettings {
        http: f.get(r, "http", |at, r| list(at, r, bind)),
        https: f.get(r, "https", |at, r| list(at, r, bind)),
        certificates: f.get(r, "certificates", |at, r| list(at, r, certificate)).unwrap_or_default(),
        local_ca: f.get(r, "local_ca", |at, r| flag(at, r, "local_ca")),
        client_ca: f.get(r, "client_ca", file),
        tls: f.get(r, "tls", tls),
        trusted_proxies: f.get(r, "trusted_proxies", |at, r| list(at, r, network)).unwrap_or_default(),
        proxy_protocol: f.get(r, "proxy_protocol", |at, r| flag(at, r, "proxy_protocol")),
        access_log: f.get(r, "access_log", access_log),
        shedding: f.get(r, "shedding", shedding),
        tcp: f.get(r, "tcp", |at, r| list(at, r, tcp)).unwrap_or_default(),
    };
    let written = |key| f.has(key);
    let (has_https, has_certificates) = (written("https"), written("certificates"));
    f.close(r, &[]);
    check(&read, has_https, has_certificates, at, r);
    Some(read)
}

fn check(read: &EdgeSettings, has_https: bool, has_certificates: bool, at: &At<'_>, r: &mut Reader) {
    let mut note = |key: &str, message: &str, allowed: &str| r.refuse_at(at, key, message, allowed);
    let makes = read.local_ca == Some(true);
    if has_https && !has_certificates && !makes {
        note("https", "HTTPS needs a certificate", "`certificates` with chain and key, or `local_ca: true`");
    }
    for (key, written) in [
        ("certificates", has_certificates),
        ("local_ca", makes),
        ("client_ca", read.client_ca.is_some()),
        ("tls", read.tls.is_some()),
    ] {
        if written && !has_https {
            note(key, &format!("`{key}` does nothing without HTTPS"), "`https` with a port, such as `https: 443`");
        }
    }
    if read.proxy_protocol == Some(true) && read.trusted_proxies.is_empty() {
        let message = "nobody may speak the PROXY protocol, so nobody could connect";
        note("proxy_protocol", message, "`trusted_proxies` with the proxy's network");
    }
    if read.certificates.iter().filter(|certificate| certificate.default == Some(true)).count() > 1 {
        note("certificates", "several certificates are the default", "`default: true` once");
    }
    if let Some(bind) = taken_twice(read) {
        let message = format!("{bind} is written twice");
        note("", &message, "each address once among `http`, `https` and `tcp`");
    }
}

/// The first address that two listeners would want.
fn taken_twice(read: &EdgeSettings) -> Option<Bind> {
    let web = [&read.http, &read.https].into_iter().flatten().flatten();
    let all: Vec<Bind> = web.copied().chain(read.tcp.iter().map(|tcp| tcp.listen)).collect();
    let again = all.iter().enumerate().find(|(index, bind)| all[..*index].iter().any(|first| first.meets(bind)));
    again.map(|(_, bind)| *bind)
}

fn bind(at: &At<'_>, r: &mut Reader) -> Option<Bind> {
    unit(at, r, "an address to listen on", Bind::parse)
}

fn network(at: &At<'_>, r: &mut Reader) -> Option<Network> {
    let network = unit(at, r, "a network", Network::parse)?;
    if network.is_everything() {
        r.refuse(at, "everybody would be believed about who he is", "the network of the proxy, such as `10.0.0.0/8`");
    }
    Some(network)
}

fn file(at: &At<'_>, r: &mut Reader) -> Option<String> {
    text(at, r, "a file").map(str::to_owned)
}

fn certificate(at: &At<'_>, r: &mut Reader) -> Option<CertificateSettings> {
    let mut f = Fields::open(at, "a certificate", r)?;
    let chain = f.require(r, "chain", "chain: certificates/fullchain.pem", file);
    let key = f.require(r, "key", "key: certificates/privkey.pem", file);
    let names = f.get(r, "names", |at, r| list(at, r, name)).unwrap_or_default();
    let default = f.get(r, "default", |at, r| flag(at, r, "default"));
    f.close(r, &[]);
    Some(CertificateSettings { chain: chain?, key: key?, names, default })
}

/// A host name, or `*.` and a host name.
fn name(at: &At<'_>, r: &mut Reader) -> Option<String> {
    let name = host_or_wildcard(at, r)?;
    if name.strip_prefix("*.").is_some_and(|rest| !rest.contains('.')) {
        r.refuse(at, "this is not a host name", "`*.` and a domain, such as `*.example.com`");
        return None;
    }
    Some(name)
}

fn tls(at: &At<'_>, r: &mut Reader) -> Option<TlsSettings> {
    let mut f = Fields::open(at, "tls", r)?;
    let read = TlsSettings { only_13: f.get(r, "only_13", |at, r| flag(at, r, "only_13")) };
    f.close(r, &[]);
    Some(read)
}

fn access_log(at: &At<'_>, r: &mut Reader) -> Option<AccessLogWritten> {
    if let Shape::Text { .. } = at.node.shape {
        return flag(at, r, "access_log").map(AccessLogWritten::Switch);
    }
    let mut f = Fields::open(at, "the access log", r)?;
    let read = AccessLogSettings {
        file: f.get(r, "file", file),
        sample: f.get(r, "sample", |at, r| whole(at, r, "sample", 1, 1_000_000)),
        slow: f.get(r, "slow", |at, r| unit(at, r, "slow", parse_duration)),
        mask: f.get(r, "mask", |at, r| list(at, r, parameter)).unwrap_or_default(),
        mask_client: f.get(r, "mask_client", |at, r| flag(at, r, "mask_client")),
        rotate: f.get(r, "rotate", rotate),
    };
    f.close(r, &[]);
    Some(AccessLogWritten::Settings(read))
}

fn parameter(at: &At<'_>, r: &mut Reader) -> Option<String> {
    text(at, r, "the name of a query parameter").map(str::to_owned)
}

/// With less the file would begin anew under every gust of requests.
fn rotate(at: &At<'_>, r: &mut Reader) -> Option<Bytes> {
    let size = unit(at, r, "rotate", Bytes::parse)?;
    if size < Bytes::mib(1) {
        r.refuse(at, "the access log would begin anew all the time", "1m or more");
    }
    Some(size)
}

fn shedding(at: &At<'_>, r: &mut Reader) -> Option<SheddingSettings> {
    let mut f = Fields::open(at, "shedding", r)?;
    let in_flight = f.require(r, "in_flight", "in_flight: 2000", |at, r| count(at, r, "in_flight"));
    let target = f.get(r, "target", |at, r| {
        unit(at, r, "target", parse_duration).filter(|time| longer_than_nothing(at, r, *time))
    });
    f.close(r, &[]);
    Some(SheddingSettings { in_flight: in_flight?, target })
}

fn tcp(at: &At<'_>, r: &mut Reader) -> Option<TcpSettings> {
    let mut f = Fields::open(at, "a TCP port", r)?;
    let listen = f.require(r, "listen", "listen: 5433", bind);
    let service = f.require(r, "service", "service: postgres", |at, r| id(at, r, "the service of a TCP port"));
    let port = f.get(r, "port", port);
    let idle =
        f.get(r, "idle", |at, r| unit(at, r, "idle", parse_duration).filter(|time| longer_than_nothing(at, r, *time)));
    let send_proxy = f.get(r, "send_proxy", |at, r| flag(at, r, "send_proxy"));
    f.close(r, &[]);
    Some(TcpSettings { listen: listen?, service: service?, port, idle, send_proxy })
}
