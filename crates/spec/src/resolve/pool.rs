//! How the edge treats the copies of one service.

use super::plan::{Check, EdgeHealth, Outlier, ServicePlan};
use super::port::Found;
use super::probe;
use super::scene::{Scene, Written, written_problem};
use crate::defaults;
use crate::platform::{EdgeHealthSettings, EdgeHealthWritten, ServiceProtocol};
use crate::problem::{Problem, Problems};

/// What gRPC servers listen on when nobody says otherwise.
const GRPC_PORT: u16 = 50051;

/// Fills in the protocol, the edge's health checks and the times.
pub(super) fn fill(
    scene: &Scene<'_>,
    written: &Written<'_>,
    found: Option<&Found>,
    plan: &mut ServicePlan,
    problems: &mut Problems,
) {
    protocol(written, found, plan);
    if let Some((outlier, reason)) = written.get(|settings| settings.outlier.as_ref()) {
        plan.outlier = Some(Outlier {
            failures: outlier.failures.unwrap_or(defaults::OUTLIER_FAILURES),
            eject: outlier.eject.unwrap_or(defaults::OUTLIER_EJECT),
        });
        plan.reasons.insert("outlier".to_owned(), reason);
    }
    for (key, chosen, value) in [
        ("slow_start", written.get(|settings| settings.slow_start), &mut plan.slow_start),
        ("connect_timeout", written.get(|settings| settings.connect_timeout), &mut plan.connect_timeout),
        ("response_timeout", written.get(|settings| settings.response_timeout), &mut plan.response_timeout),
    ] {
        if let Some((chosen, reason)) = chosen {
            *value = chosen;
            plan.reasons.insert(key.to_owned(), reason);
        }
    }
    health(scene, written, plan, problems);
}

/// gRPC is never derived: HTTP/1.1 servers on a port that is called gRPC exist (gateways, web consoles), and a server that is
/// spoken to in the wrong one of the two answers nothing at all.
fn protocol(written: &Written<'_>, found: Option<&Found>, plan: &mut ServicePlan) {
    if let Some((protocol, reason)) = written.get(|settings| settings.protocol) {
        plan.protocol = protocol;
        plan.reasons.insert("protocol".to_owned(), reason);
    } else if let Some(found) = found.filter(|found| !found.http) {
        plan.protocol = ServiceProtocol::Tcp;
        plan.reasons.insert("protocol".to_owned(), format!("port {} is not known for HTTP", found.port));
    } else if plan.port == Some(GRPC_PORT) {
        plan.warnings.push(format!("port {GRPC_PORT} is mostly gRPC, which needs `protocol: grpc`"));
    }
    // Another port may well be for people and their probes.
    let asks_it = matches!(&plan.health.check, Check::Http { port, .. } if Some(*port) == plan.port);
    if plan.protocol == ServiceProtocol::Grpc && asks_it {
        plan.warnings.push("its health check speaks HTTP/1.1, which few gRPC servers answer".to_owned());
    }
}

fn health(scene: &Scene<'_>, written: &Written<'_>, plan: &mut ServicePlan, problems: &mut Problems) {
    let (settings, reason) = match written.get(|settings| settings.edge_health.as_ref()) {
        Some((EdgeHealthWritten::Switch(false), reason)) => {
            plan.reasons.insert("edge_health".to_owned(), reason);
            return;
        }
        Some((EdgeHealthWritten::Switch(true), reason)) => (Some(EdgeHealthSettings::default()), reason),
        Some((EdgeHealthWritten::Settings(settings), reason)) => (Some(settings.clone()), reason),
        None => (None, "the health check, for as long as there are several copies".to_owned()),
    };
    let is_written = settings.is_some();
    let settings = settings.unwrap_or_default();
    match question(scene, &settings, plan) {
        Ok((path, grpc)) => {
            let interval = settings.interval.unwrap_or(defaults::EDGE_HEALTH_INTERVAL);
            plan.edge_health = Some(EdgeHealth {
                path,
                grpc,
                host: None,
                https: false,
                interval,
                timeout: settings.timeout.unwrap_or_else(|| plan.health.timeout.min(interval)),
                fall: settings.fall.unwrap_or(defaults::EDGE_HEALTH_FALL),
                rise: settings.rise.unwrap_or(defaults::EDGE_HEALTH_RISE),
                even_alone: is_written,
            });
            plan.reasons.insert("edge_health".to_owned(), reason);
        }
        Err((found, message)) if is_written => problems.0.push(Problem {
            found,
            allowed: "`path` here, or an HTTP or gRPC health check that the edge can ask".to_owned(),
            ..written_problem(scene.file, &written.path("edge_health", scene.file), message)
        }),
        Err(_) => {}
    }
}

/// A path, or the gRPC service that is asked for by gRPC's own protocol.
type Question = (String, Option<String>);

/// The edge asks the port that serves, in what the service speaks, and takes 2xx, 3xx and SERVING for well.
fn question(
    scene: &Scene<'_>,
    settings: &EdgeHealthSettings,
    plan: &ServicePlan,
) -> Result<Question, (String, &'static str)> {
    if plan.port.is_none() {
        return Err(("no port".to_owned(), "the edge has nothing to ask"));
    }
    if let Some(path) = &settings.path {
        return Ok((path.clone(), None));
    }
    if plan.protocol == ServiceProtocol::Tcp {
        return Err(("tcp".to_owned(), "the edge asks over HTTP, which this service does not speak"));
    }
    match &plan.health.check {
        Check::Http { port, .. } | Check::Grpc { port, .. } if Some(*port) != plan.port => {
            Err((format!("port {port}"), "the health check asks another port than the one that serves"))
        }
        Check::Grpc { .. } if plan.protocol != ServiceProtocol::Grpc => {
            Err((plan.health.check.to_string(), "the edge asks in what the service speaks, and that is not `grpc`"))
        }
        Check::Grpc { service, .. } => Ok((String::new(), Some(service.clone()))),
        check @ Check::Http { .. } if plan.protocol == ServiceProtocol::Grpc => {
            Err((check.to_string(), "the health check speaks HTTP/1.1, and the edge asks in HTTP/2"))
        }
        Check::Http { status, .. } if status.from < 200 || status.to > 399 => {
            Err((String::from(*status), "the edge takes 200 to 399 for well, and the health check does not"))
        }
        Check::Http { path, .. } => Ok((path.clone(), None)),
        other @ Check::Docker => match declared(scene, plan) {
            Some(path) => Ok((path, None)),
            None => Err((other.to_string(), "the health check is none that the edge can ask")),
        },
        other => Err((other.to_string(), "the health check is none that the edge can ask")),
    }
}

/// The path of a declared check that is nothing but a question to the port that serves. The edge only leaves copies
/// out by it, and none where all of them fail.
fn declared(scene: &Scene<'_>, plan: &ServicePlan) -> Option<String> {
    let url = probe::plain(scene.active.get(&plan.name)?)?;
    (Some(url.port) == plan.port && plan.protocol == ServiceProtocol::Http).then_some(url.path)
}

/// Health checks ask as the service's requests do: for the host of its first route, and over what they come.
pub(super) fn name_hosts(services: &mut [ServicePlan], domain: Option<&str>, https: bool) {
    for plan in services {
        let leads = plan.routes.iter().find(|route| route.redirect.is_none());
        let routed = leads.and_then(|route| host(route.host.as_deref().or(domain)?));
        // Behind TLS many an application sends whoever comes without it away.
        let is_secure = https && leads.is_some();
        let mut chosen = routed;
        if let Check::Http { host, https, .. } = &mut plan.health.check {
            chosen = host.clone().or(chosen);
            host.clone_from(&chosen);
            *https = is_secure;
        }
        if let Some(edge) = plan.edge_health.as_mut().filter(|edge| edge.grpc.is_none()) {
            edge.host = chosen;
            edge.https = is_secure;
        }
    }
}

/// A host that a request can name: one of those that a pattern stands for.
fn host(pattern: &str) -> Option<String> {
    Some(pattern.strip_prefix("*.").unwrap_or(pattern)).filter(|host| !host.contains(['*', '{'])).map(str::to_owned)
}
