//! Mounts, ports and restart policies, from the wire.

use bollard::models;

use crate::docker::{MountKind, MountPoint, PublishedPort};

pub(super) fn mounts(from: Option<Vec<models::MountPoint>>) -> Vec<MountPoint> {
    let mut mounts: Vec<MountPoint> = from.unwrap_or_default().into_iter().map(mount).collect();
    // The engine keeps them in a map and tells them in another order each time.
    mounts.sort_by(|one, other| one.target.cmp(&other.target));
    mounts
}

fn mount(from: models::MountPoint) -> MountPoint {
    let kind = match from.typ.as_deref() {
        Some("bind") => MountKind::Bind,
        Some("volume") => MountKind::Volume,
        Some("tmpfs") => MountKind::Tmpfs,
        _ => MountKind::Other,
    };
    MountPoint {
        kind,
        name: from.name.filter(|name| !name.is_empty() && kind == MountKind::Volume),
        source: from.source.unwrap_or_default(),
        target: from.destination.unwrap_or_default(),
        writable: from.rw.unwrap_or_default(),
        driver: from.driver.filter(|driver| !driver.is_empty()),
    }
}

/// What is answered on; where nothing is, as before a start, what is asked for.
pub(super) fn published(
    settings: Option<&models::NetworkSettings>,
    wanted: Option<models::PortMap>,
) -> Vec<PublishedPort> {
    let answered = settings.and_then(|settings| settings.ports.as_ref()).map(ports).unwrap_or_default();
    if answered.is_empty() { wanted.as_ref().map(ports).unwrap_or_default() } else { answered }
}

fn ports(map: &models::PortMap) -> Vec<PublishedPort> {
    let mut found = Vec::new();
    for (inside, bindings) in map {
        let (number, protocol) = inside.split_once('/').unwrap_or((inside, "tcp"));
        let Ok(container_port) = number.parse() else { continue };
        for binding in bindings.iter().flatten() {
            // Of a range (`8000-8010`) the engine takes one; asked for is the first.
            let host_port = binding.host_port.as_deref().and_then(|port| port.split('-').next()?.parse().ok());
            found.push(PublishedPort {
                host_ip: binding.host_ip.clone().unwrap_or_default(),
                host_port: host_port.unwrap_or_default(),
                container_port,
                protocol: protocol.to_owned(),
            });
        }
    }
    found.sort();
    found
}

/// A listing also shows the ports that are only exposed.
pub(super) fn published_listed(from: Option<Vec<models::PortSummary>>) -> Vec<PublishedPort> {
    let one = |port: models::PortSummary| {
        Some(PublishedPort {
            host_port: port.public_port?,
            host_ip: port.ip.unwrap_or_default(),
            container_port: port.private_port,
            protocol: port.typ.map(|protocol| protocol.to_string()).unwrap_or_default(),
        })
    };
    let mut found: Vec<PublishedPort> = from.unwrap_or_default().into_iter().filter_map(one).collect();
    found.sort();
    found
}
