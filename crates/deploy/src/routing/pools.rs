//! A release's targets as the edge must know them.

use std::net::SocketAddr;

use edge::Pool;
use edge::snapshot::{Guests, Health, Hold, Outlier, Protocol};
use spec::platform::ServiceProtocol;

use super::millis;
use crate::release::Release;

/// The pool that a service's routes lead to.
/// While the release is stopped for the next one it has no target, and its requests wait.
pub fn pool(release: &Release) -> Pool {
    let plan = &release.plan;
    let targets = if release.is_held() { Vec::new() } else { release.all_targets() };
    Pool {
        drain_ms: millis(plan.drain),
        drain_websocket_ms: millis(plan.drain_websocket),
        connect_timeout_ms: millis(plan.connect_timeout),
        response_timeout_ms: millis(plan.response_timeout),
        protocol: match plan.protocol {
            ServiceProtocol::Http | ServiceProtocol::Tcp => Protocol::Http1,
            ServiceProtocol::Grpc => Protocol::H2c,
        },
        health: health(release, targets.len()),
        outlier: plan
            .outlier
            .as_ref()
            .map(|outlier| Outlier { consecutive: outlier.failures, eject_ms: millis(outlier.eject) }),
        slow_start_ms: millis(plan.slow_start),
        hold: hold(release),
        guests: release.guests.as_ref().map(|guests| Guests {
            release: guests.release.to_string(),
            targets: release.targets_at(&guests.addresses),
        }),
        ..Pool::new(release.pool(), release.id.to_string(), targets)
    }
}

/// A single target is not asked unless that is written: to leave out the only one turns a slow answer into an outage.
fn health(release: &Release, targets: usize) -> Option<Health> {
    let health = release.plan.edge_health.as_ref().filter(|health| targets > 1 || health.even_alone)?;
    Some(Health {
        path: health.path.clone(),
        grpc: health.grpc.clone(),
        host: health.host.clone(),
        https: health.https,
        interval_ms: millis(health.interval),
        timeout_ms: millis(health.timeout),
        fall: health.fall,
        rise: health.rise,
    })
}

/// A release that is replaced side by side leaves no gap in which anything could wait.
fn hold(release: &Release) -> Option<Hold> {
    let hold = &release.plan.hold;
    let is_wanted = hold.requests > 0 && !hold.time.is_zero();
    // One that was deployed side by side makes way all the same once its successor is not.
    (is_wanted && (!release.side_by_side() || release.is_held())).then(|| Hold {
        now: release.is_held(),
        max_requests: hold.requests,
        max_bytes: hold.bytes.0,
        // What is under way when requests begin to wait gets its drain before anything is stopped.
        max_ms: millis(if release.is_held() { hold.time + release.plan.drain } else { hold.time }),
    })
}

/// The pool of another port than the main one, on which requests of other containers arrive.
pub fn at(release: &Release, port: u16) -> Pool {
    let bytes = tcp(release, port);
    Pool { name: bytes.name, targets: bytes.targets, health: None, guests: None, ..pool(release) }
}

/// The pool of a TCP port, which has its own name: its port is seldom the one that serves HTTP.
/// While the release is stopped for the next one, new connections wait as requests do.
pub fn tcp(release: &Release, port: u16) -> Pool {
    let mut addresses = release.addresses.clone();
    if addresses.is_empty() {
        // Records from before kept no address beside the targets.
        addresses.extend(release.targets.iter().map(SocketAddr::ip));
    }
    addresses.extend(release.guests.iter().flat_map(|guests| &guests.addresses));
    let targets = match release.is_held() {
        true => Vec::new(),
        false => addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect(),
    };
    Pool {
        drain_ms: millis(release.plan.drain),
        // A connection that carries bytes ends by nobody's request, as a WebSocket does.
        drain_websocket_ms: millis(release.plan.drain_websocket),
        connect_timeout_ms: millis(release.plan.connect_timeout),
        hold: hold(release),
        ..Pool::new(tcp_name(release, port), release.id.to_string(), targets)
    }
}

/// The name of a TCP port's pool.
pub fn tcp_name(release: &Release, port: u16) -> String {
    format!("{}:{port}", release.pool())
}
