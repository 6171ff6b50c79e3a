//! Which port a service listens on, and how we know.

use super::{known, probe};
use crate::compose::{Port, Service};

/// A port with the reason for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) port: u16,
    pub(super) reason: String,
    /// Whether plain HTTP is spoken there, as far as one can tell.
    pub(super) http: bool,
    /// Whether the compose file says so: a health check that asks over HTTP, a label for a proxy.
    pub(super) proven: bool,
}

/// The port that the compose file tells of.
pub(super) fn derive(service: &Service) -> Option<Found> {
    let probed = probe::url(service).map(|url| (url.port, "its health check asks this port".to_owned()));
    // A label was written for a proxy, so it names the port that takes traffic even where others are open.
    let labelled = label(service).map(|(port, label)| (port, format!("label `{label}`")));
    if let Some((port, reason)) = labelled.or(probed) {
        return Some(Found { port, reason, http: true, proven: true });
    }
    let published = tcp(service).map(|port| (port, "published by the compose file".to_owned()));
    let exposed = service.expose.iter().map(|port| (*port, "exposed by the compose file".to_owned()));
    let open: Vec<(u16, String)> = published.chain(exposed).collect();
    let likely = open.iter().find(|(port, _)| known::is_http(*port)).or(open.first())?;
    let others = open.iter().filter(|(port, _)| *port != likely.0).count();
    let reason = match others {
        0 => likely.1.clone(),
        _ => format!("{}, the first of {} that may speak HTTP", likely.1, others + 1),
    };
    Some(Found { port: likely.0, reason, http: known::is_http(likely.0), proven: false })
}

/// Whether the service publishes a TCP port on the host, on whichever address.
pub(super) fn publishes(service: &Service) -> bool {
    tcp(service).next().is_some()
}

/// Whether this port of the service is published for everybody: on every address, not on the loopback or another one.
pub(super) fn is_for_everybody(service: &Service, port: u16) -> bool {
    let mut published = service.ports.iter().filter(|one| one.protocol == "tcp" && one.target == port);
    published.any(Port::is_everywhere)
}

fn tcp(service: &Service) -> impl Iterator<Item = u16> + '_ {
    service.ports.iter().filter(|port| port.protocol == "tcp").map(|port| port.target)
}

/// The port in labels such as `traefik.http.services.shop.loadbalancer.server.port`.
fn label(service: &Service) -> Option<(u16, &str)> {
    let says_port = |label: &str| {
        (label.starts_with("traefik.http.services.") && label.ends_with(".loadbalancer.server.port"))
            || label == "caddy.reverse_proxy.port"
    };
    service
        .labels
        .iter()
        .filter(|(label, _)| says_port(label))
        .find_map(|(label, port)| Some((port.parse().ok().filter(|port| *port > 0)?, label.as_str())))
}
