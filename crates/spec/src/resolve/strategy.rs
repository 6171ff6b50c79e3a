//! How a new release of a service takes over, derived from what the compose file tells.

use super::known;
use super::port::Found;
use super::scene::Scene;
use crate::compose::Service;
use crate::ids::ServiceName;
use crate::platform::Strategy;

/// The strategy and the reason for it. The first rule that fits decides.
pub(super) fn derive(
    scene: &Scene<'_>,
    name: &ServiceName,
    service: &Service,
    port: Option<&Found>,
) -> (Strategy, String) {
    if scene.awaited().contains(name) {
        return (Strategy::Job, "another service waits until it has ended well".to_owned());
    }
    if let Some(reason) = known::database(name.as_ref(), service) {
        return (Strategy::Keep, reason);
    }
    if let Some(reason) = known::scheduler(name.as_ref(), service) {
        return (Strategy::Exclusive, format!("{reason}, and two would do everything twice"));
    }
    if let Some(reason) = known::worker(name.as_ref(), service) {
        return (Strategy::DrainFirst, reason);
    }
    if ends_by_itself(service, port) {
        let reason = "says `restart: \"no\"` and offers no port, so it is expected to end";
        return (Strategy::Job, reason.to_owned());
    }
    if let Some(reason) = alone(scene, service) {
        return (Strategy::Exclusive, reason);
    }
    by_port(service, port)
}

fn ends_by_itself(service: &Service, port: Option<&Found>) -> bool {
    service.restart.as_deref() == Some("no") && port.is_none() && service.healthcheck.is_none()
}

/// Why two copies cannot run beside each other.
fn alone(scene: &Scene<'_>, service: &Service) -> Option<String> {
    if let Some(mode) = service.network_mode.as_deref().filter(|mode| *mode == "host" || mode.contains(':')) {
        return Some(format!("uses `network_mode: {mode}`, where two copies would want the same ports"));
    }
    let own =
        service.volumes.iter().filter_map(|mount| mount.written_volume()).find(|volume| scene.users_of(volume) < 2);
    own.map(|volume| format!("writes to volume `{volume}`, which two copies at once could damage"))
}

fn by_port(service: &Service, port: Option<&Found>) -> (Strategy, String) {
    match port {
        Some(found) if !found.http => (
            Strategy::Exclusive,
            format!("port {} does not speak plain HTTP, so the edge cannot switch it", found.port),
        ),
        Some(found) if service.replicas > 1 => {
            let reason = format!("runs {} copies and serves HTTP on port {}", service.replicas, found.port);
            (Strategy::Rolling, reason)
        }
        Some(found) => (Strategy::BlueGreen, format!("serves HTTP on port {} ({})", found.port, found.reason)),
        None => (Strategy::Exclusive, "offers no port that traffic could be switched on".to_owned()),
    }
}
