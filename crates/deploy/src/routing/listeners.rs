//! Where the edge listens for a platform.

use std::net::SocketAddr;
use std::path::PathBuf;

use edge::snapshot::{Detect, Tls};
use edge::{Listener, Scope};
use spec::ServiceName;

use crate::store::{InternalRecord, Platform};

/// The public listeners that carry requests: plain ones and those with TLS.
pub fn public(platform: &Platform) -> Vec<Listener> {
    let plain = binds(&platform.http).map(|bind| listener(platform, format!("http {bind}"), bind));
    let secure = binds(&platform.https).map(|bind| Listener {
        tls: Some(Tls { client_ca: client_ca(platform), only_13: platform.edge.only_13 }),
        ..listener(platform, format!("https {bind}"), bind)
    });
    plain.chain(secure).collect()
}

/// The ports of its own that a service has, and how connections are told apart there.
pub fn own(platform: &Platform, service: &ServiceName) -> impl Iterator<Item = (Listener, Option<Detect>)> {
    let ports = platform.edge.ports.iter().filter(move |port| port.service == *service);
    let binds = ports.filter_map(|port| Some((port.listen.parse().ok()?, port.detect.map(detect))));
    binds.map(move |(bind, detect): (SocketAddr, _)| (listener(platform, format!("http {bind}"), bind), detect))
}

fn detect(detect: spec::Detect) -> Detect {
    match detect {
        spec::Detect::Likely => Detect::Likely,
        spec::Detect::Unknown => Detect::Unknown,
    }
}

/// A listener that carries bytes.
pub fn tcp(platform: &Platform, listen: &str) -> Option<Listener> {
    let bind = listen.parse().ok()?;
    Some(listener(platform, format!("tcp {bind}"), bind))
}

/// Where one service is reached by its name on one of its ports: at each of its seats.
pub fn held(platform: &Platform, internal: &InternalRecord) -> Vec<Listener> {
    let mut listeners = Vec::new();
    for holder in platform.holders.iter().filter(|holder| !holder.namespace.is_empty()) {
        let seats = holder.seats.iter().filter(|seat| internal.networks.contains(&seat.network));
        for seat in seats.filter(|seat| seat.has(&internal.service)) {
            for address in &seat.addresses {
                let bind = SocketAddr::new(*address, internal.port);
                listeners.push(Listener {
                    namespace: Some(holder.namespace.clone()),
                    ..Listener::new(format!("internal {} {bind}", seat.network), bind, Scope::Internal)
                });
            }
        }
    }
    listeners
}

/// Where one service is reached by a line in its callers' hosts files: on the gateway of each network.
pub fn gateway(platform: &Platform, internal: &InternalRecord) -> Vec<Listener> {
    let on = |network: &String| {
        let bind = SocketAddr::new(*platform.gateways.get(network)?, internal.port);
        Some(Listener::new(gateway_name(network, internal.port), bind, Scope::Internal))
    };
    internal.networks.iter().filter_map(on).collect()
}

pub fn gateway_name(network: &str, port: u16) -> String {
    format!("internal {network}:{port}")
}

/// Two platforms on one address share its listener; what either asks of it counts.
pub fn merge(first: &mut Listener, second: Listener) {
    first.proxy_protocol |= second.proxy_protocol;
    if let (Some(first), Some(second)) = (&mut first.tls, second.tls) {
        first.only_13 |= second.only_13;
        first.client_ca = first.client_ca.take().or(second.client_ca);
    }
}

fn listener(platform: &Platform, name: String, bind: SocketAddr) -> Listener {
    Listener { proxy_protocol: platform.edge.proxy_protocol, ..Listener::new(name, bind, Scope::Public) }
}

/// One that cannot be read affects nothing else.
fn binds(written: &[String]) -> impl Iterator<Item = SocketAddr> {
    written.iter().filter_map(|bind| bind.parse().ok())
}

fn client_ca(platform: &Platform) -> Option<PathBuf> {
    platform.edge.client_ca.as_ref().map(|file| platform.dir.join(file))
}
