//! How a new container proves that it is ready.

use super::plan::{Check, Health};
use super::port::Found;
use super::scene::{Scene, Written, written_problem};
use crate::compose::Service;
use crate::defaults;
use crate::platform::{CheckKind, HealthSettings, HealthWritten, ServiceProtocol, Strategy};
use crate::problem::{Problem, Problems};

/// A health check with its reason, and a warning when it proves little.
pub(super) struct Proof {
    pub(super) health: Health,
    pub(super) reason: String,
    pub(super) warning: Option<String>,
}

pub(super) fn resolve(
    scene: &Scene<'_>,
    written: &Written<'_>,
    service: &Service,
    port: Option<&Found>,
    strategy: Strategy,
    problems: &mut Problems,
) -> Proof {
    let is_grpc = written.get(|settings| settings.protocol).is_some_and(|(said, _)| said == ServiceProtocol::Grpc);
    let mut proof = derive(service, port, strategy, is_grpc);
    let Some((wanted, reason)) = written.get(|settings| settings.health.as_ref()) else { return proof };
    let settings = match wanted {
        HealthWritten::Path(path) => HealthSettings { path: Some(path.clone()), ..HealthSettings::default() },
        HealthWritten::Settings(settings) => settings.clone(),
    };
    let health = &mut proof.health;
    health.interval = settings.interval.unwrap_or(health.interval);
    health.max_interval = settings.max_interval.unwrap_or(health.max_interval).max(health.interval);
    health.timeout = settings.timeout.unwrap_or(health.timeout);
    health.budget = settings.budget.unwrap_or(health.budget);
    match check(&settings, port) {
        Asked::Nothing => {}
        Asked::This(check) => {
            health.successes = successes(&check);
            health.check = check;
            health.with_images_own = false;
            proof.reason = reason;
            proof.warning = None;
        }
        Asked::WithoutPort => problems.0.push(Problem {
            found: "no port".to_owned(),
            allowed: "`port` for the service or for its health check".to_owned(),
            ..written_problem(scene.file, &written.path("health", scene.file), "this health check needs a port")
        }),
    }
    proof.health.successes = settings.successes.unwrap_or(proof.health.successes);
    proof
}

/// Docker is content with one success of a declared check; a question from outside is put twice.
fn successes(check: &Check) -> u32 {
    if *check == Check::Docker { 1 } else { defaults::HEALTH_SUCCESSES }
}

enum Asked {
    Nothing,
    This(Check),
    WithoutPort,
}

fn check(settings: &HealthSettings, port: Option<&Found>) -> Asked {
    let port = settings.port.or(port.map(|found| found.port));
    let kind =
        settings.check.or(settings.path.as_ref().map(|_| CheckKind::Http)).or(settings.port.map(|_| CheckKind::Tcp));
    let status = settings.status.unwrap_or(defaults::HEALTH_STATUS);
    match (kind, port) {
        (None, _) => Asked::Nothing,
        (Some(CheckKind::Docker), _) => Asked::This(Check::Docker),
        (Some(CheckKind::Stable), _) => Asked::This(Check::Stable),
        (Some(CheckKind::Http | CheckKind::Grpc | CheckKind::Tcp), None) => Asked::WithoutPort,
        (Some(CheckKind::Grpc), Some(port)) => {
            let service = settings.service.clone().unwrap_or_default();
            Asked::This(Check::Grpc { port, service, must_answer: true })
        }
        (Some(CheckKind::Tcp), Some(port)) => Asked::This(Check::Tcp { port }),
        (Some(CheckKind::Http), Some(port)) => {
            let path = settings.path.clone().unwrap_or_else(|| "/".to_owned());
            Asked::This(Check::Http { path, port, status, host: settings.host.clone(), https: false })
        }
    }
}

/// What the compose file tells: a declared check is run as it is, never another in its place. The budget is never
/// shorter than Docker's own patience.
fn derive(service: &Service, port: Option<&Found>, strategy: Strategy, is_grpc: bool) -> Proof {
    let declared = service.healthcheck.as_ref().filter(|check| !check.disabled);
    let patience = declared.map(|check| check.patience().min(defaults::HEALTH_LONGEST_BUDGET)).unwrap_or_default();
    let with = |check| Health {
        successes: successes(&check),
        check,
        budget: defaults::HEALTH_BUDGET.max(patience),
        ..Health::default()
    };
    if declared.is_some() {
        let reason = "its health check in the compose file".to_owned();
        return Proof { health: with(Check::Docker), reason, warning: None };
    }
    let reason = "no health check is declared".to_owned();
    let unsaid = |check| Health { with_images_own: true, ..with(check) };
    match (port, strategy) {
        (_, Strategy::Job) => Proof {
            health: with(Check::Stable),
            reason: "a job proves itself by ending well".to_owned(),
            warning: None,
        },
        (Some(found), _) if is_grpc => {
            let check = Check::Grpc { port: found.port, service: String::new(), must_answer: false };
            Proof { health: with(check), reason: "what it speaks, gRPC".to_owned(), warning: None }
        }
        (Some(found), _) => {
            let taken = format!(
                "no health check is declared: a connection to port {} and 5 stable seconds count as healthy",
                found.port
            );
            Proof { health: unsaid(Check::Tcp { port: found.port }), reason, warning: Some(taken) }
        }
        (None, _) => {
            let taken = "no health check is declared: 5 stable seconds count as healthy".to_owned();
            Proof { health: unsaid(Check::Stable), reason, warning: Some(taken) }
        }
    }
}
