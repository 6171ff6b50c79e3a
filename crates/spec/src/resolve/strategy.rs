//! How a new release of a service takes over, derived from what the compose file tells.

use super::plan::ServicePlan;
use super::port::{self, Found};
use super::scene::Scene;
use super::{known, readers};
use crate::compose::Service;
use crate::ids::ServiceName;
use crate::platform::Strategy;

/// The strategy and the reason for it. The first rule that fits decides.
pub(super) fn derive(
    scene: &Scene<'_>,
    name: &ServiceName,
    service: &Service,
    port: Option<&Found>,
    plan: &ServicePlan,
) -> (Strategy, String) {
    if scene.awaited().contains(name) {
        return (Strategy::Job, "another service waits until it has ended well".to_owned());
    }
    if let Some(reason) = plan.database.clone() {
        return (Strategy::Keep, reason);
    }
    if let Some(reason) = known::scheduler(name.as_ref(), service) {
        return (Strategy::Exclusive, format!("{reason}, and two would do everything twice"));
    }
    if let Some(reason) = known::worker(name.as_ref(), service) {
        return (Strategy::DrainFirst, reason);
    }
    if let Some(reason) = readers::one_release(scene, name, service).or_else(|| alone(service, plan)) {
        return (Strategy::Exclusive, reason);
    }
    if service.replicas > 1 {
        return (Strategy::Rolling, several(service, port, plan));
    }
    by_port(scene, name, port)
}

/// Whether an exclusive service has the copies that the compose file asks for: only two of its releases must not meet.
pub(super) fn has_copies(scene: &Scene<'_>, service: &Service, plan: &ServicePlan) -> bool {
    let name = &plan.name;
    let is_single = known::scheduler(name.as_ref(), service).is_some()
        || alone(service, plan).is_some()
        || readers::acts_twice(scene, name, service).is_some();
    !is_single && readers::one_release(scene, name, service).is_some()
}

/// Why two copies can never be there at the same time, whatever anybody writes.
pub(super) fn never_twice(service: &Service) -> Option<String> {
    if let Some(fixed) = &service.fixed_address {
        return Some(format!("has the fixed address `{fixed}`, which two containers cannot have"));
    }
    let port = service.ports.iter().find(|port| port.protocol != "tcp" && port.published.is_some())?;
    let (target, protocol) = (port.target, port.protocol.to_uppercase());
    Some(format!(
        "publishes {protocol} port {target}, which the edge does not carry and two containers cannot both have"
    ))
}

/// Why two copies cannot run beside each other.
fn alone(service: &Service, plan: &ServicePlan) -> Option<String> {
    if let Some(mode) = service.network_mode.as_deref().filter(|mode| *mode == "host" || mode.contains(':')) {
        return Some(format!("uses `network_mode: {mode}`, where two copies would want the same ports"));
    }
    if let Some(reason) = never_twice(service) {
        return Some(reason);
    }
    // Where the file itself runs several, they may write side by side, and never more of them than it asks for.
    if service.replicas > 1 {
        return None;
    }
    plan.guarded().first().map(|mount| format!("writes to {}, which two copies at once could damage", mount.what))
}

/// Another service with the same port: on the edge's internal address only one of the two could have it.
fn also_on<'a>(scene: &Scene<'a>, name: &ServiceName, port: u16) -> Option<&'a ServiceName> {
    let has = |service: &Service| port::derive(service).is_some_and(|found| found.port == port);
    scene.active.iter().find(|(other, service)| **other != name && has(service)).map(|(other, _)| *other)
}

fn several(service: &Service, port: Option<&Found>, plan: &ServicePlan) -> String {
    if let Some(mount) = plan.guarded().first() {
        return format!("runs {} copies that write to {}, and never more of them", service.replicas, mount.what);
    }
    match port.filter(|found| found.http) {
        Some(found) => format!("runs {} copies and offers port {}", service.replicas, found.port),
        None => format!("runs {} copies, which may run beside each other", service.replicas),
    }
}

fn by_port(scene: &Scene<'_>, name: &ServiceName, port: Option<&Found>) -> (Strategy, String) {
    match port {
        Some(found) if !found.http => match also_on(scene, name, found.port) {
            None => (Strategy::BlueGreen, format!("speaks TCP on port {} ({})", found.port, found.reason)),
            Some(other) => (
                Strategy::Exclusive,
                format!("`{other}` has port {} too, and connections without a host tell nobody apart", found.port),
            ),
        },
        Some(found) if found.proven || known::is_web(found.port) => {
            (Strategy::BlueGreen, format!("serves HTTP on port {} ({})", found.port, found.reason))
        }
        Some(found) => (Strategy::BlueGreen, format!("offers port {} ({})", found.port, found.reason)),
        None => (Strategy::Exclusive, "offers no port that traffic could be switched on".to_owned()),
    }
}
