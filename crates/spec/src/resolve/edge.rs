//! What the edge does for one environment.

use super::plan::{AccessLog, CertificateFiles, EdgePlan, ServicePlan, Shedding, TcpPort};
use super::published;
use super::routes::Origin;
use super::scene::{Scene, written_problem};
use crate::platform::{AccessLogWritten, Bind, EdgeSettings, Strategy, TcpSettings};
use crate::problem::{Problem, Problems, nearest};

/// Fills in what is not written, and checks what depends on the services.
pub(super) fn resolve(
    scene: &Scene<'_>,
    services: &mut [ServicePlan],
    http: &[Bind],
    origin: Origin,
    problems: &mut Problems,
) -> EdgePlan {
    let written = scene.environment.edge.clone().unwrap_or_default();
    let tcp = written.tcp.iter().enumerate();
    let mut tcp: Vec<TcpPort> =
        tcp.flat_map(|(index, port)| tcp_ports(scene, services, index, port, problems)).collect();
    let taken = published::binds(&written, http);
    let ports = published::carry(scene, services, origin, &taken, &mut tcp);
    published::warn_of_taken(scene, &taken, services);
    if written.client_ca.is_none() {
        warn_of_closed_routes(services);
    }
    EdgePlan {
        certificates: certificates(&written),
        local_ca: written.local_ca.unwrap_or(false),
        client_ca: written.client_ca.clone(),
        only_13: written.tls.as_ref().and_then(|tls| tls.only_13).unwrap_or(false),
        trusted_proxies: written.trusted_proxies.clone(),
        proxy_protocol: written.proxy_protocol.unwrap_or(false),
        access_log: access_log(&written),
        shedding: written.shedding.as_ref().map(|s| Shedding { in_flight: s.in_flight, target: s.target }),
        tcp,
        ports,
    }
}

/// A client that names no known host gets the certificate that says so, else the first.
fn certificates(written: &EdgeSettings) -> Vec<CertificateFiles> {
    let chosen = written.certificates.iter().position(|certificate| certificate.default == Some(true)).unwrap_or(0);
    let files = written.certificates.iter().enumerate().map(|(index, certificate)| CertificateFiles {
        chain: certificate.chain.clone(),
        key: certificate.key.clone(),
        names: certificate.names.clone(),
        default: index == chosen,
    });
    files.collect()
}

fn access_log(written: &EdgeSettings) -> Option<AccessLog> {
    let plain = AccessLog::default();
    match &written.access_log {
        Some(AccessLogWritten::Switch(false)) => None,
        None | Some(AccessLogWritten::Switch(true)) => Some(plain),
        Some(AccessLogWritten::Settings(settings)) => Some(AccessLog {
            file: settings.file.clone(),
            sample: settings.sample.unwrap_or(plain.sample),
            slow: settings.slow.unwrap_or(plain.slow),
            mask: settings.mask.clone(),
            mask_client: settings.mask_client.unwrap_or(false),
            rotate: settings.rotate.unwrap_or(plain.rotate),
        }),
    }
}

/// A service outside the environment's profiles has no port here; that is no mistake.
fn tcp_ports(
    scene: &Scene<'_>,
    services: &[ServicePlan],
    index: usize,
    written: &TcpSettings,
    problems: &mut Problems,
) -> Vec<TcpPort> {
    let port = tcp_port(scene, services, index, written, problems);
    let each = port
        .into_iter()
        .flat_map(|port| written.listen.each().map(move |bind| TcpPort { listen: bind.to_string(), ..port.clone() }));
    each.collect()
}

fn tcp_port(
    scene: &Scene<'_>,
    services: &[ServicePlan],
    index: usize,
    written: &TcpSettings,
    problems: &mut Problems,
) -> Option<TcpPort> {
    let path = |key: &str| {
        let item = format!("environments.{}.edge.tcp[{index}].{key}", scene.name);
        let alone = format!("environments.{}.edge.tcp.{key}", scene.name);
        if scene.file.source.wrote(&alone) { alone } else { item }
    };
    let mut refuse = |key: &str, found: String, allowed: String, nearest: Option<String>, message: &str| {
        problems.0.push(Problem { found, allowed, nearest, ..written_problem(scene.file, &path(key), message) });
    };
    let Some(plan) = services.iter().find(|plan| plan.name == written.service) else {
        if !scene.project.services.contains_key(&written.service) {
            let known: Vec<&str> = scene.project.services.keys().map(AsRef::as_ref).collect();
            let meant = nearest(written.service.as_str(), known.iter().copied());
            let message = "the compose project has no service of this name";
            refuse("service", written.service.to_string(), known.join(", "), meant, message);
        }
        return None;
    };
    if plan.strategy == Strategy::Job {
        let allowed = "a service that keeps running".to_owned();
        refuse("service", "strategy job".to_owned(), allowed, None, "a job cannot be connected to, it ends");
        return None;
    }
    let Some(port) = written.port.or(plan.port).or_else(|| only_port(scene, plan)) else {
        let message = "a TCP port needs a port to lead to";
        refuse("port", "no port".to_owned(), "`port` inside the container, such as 5432".to_owned(), None, message);
        return None;
    };
    Some(TcpPort {
        listen: written.listen.to_string(),
        service: written.service.clone(),
        port,
        idle: written.idle,
        send_proxy: written.send_proxy.unwrap_or(false),
    })
}

/// The one TCP port that the compose file tells of, which a database's plan does not use.
fn only_port(scene: &Scene<'_>, plan: &ServicePlan) -> Option<u16> {
    let service = scene.active.get(&plan.name)?;
    let published = service.ports.iter().filter(|port| port.protocol == "tcp").map(|port| port.target);
    let mut ports: Vec<u16> = published.chain(service.expose.iter().copied()).collect();
    ports.sort_unstable();
    ports.dedup();
    <[u16; 1]>::try_from(ports).ok().map(|[port]| port)
}

/// Closed is the safe side, and another environment may have the authorities: no problem, but worth saying.
fn warn_of_closed_routes(services: &mut [ServicePlan]) {
    for plan in services {
        if let Some(route) = plan.routes.iter().find(|route| route.client_certificate) {
            let said = format!(
                "route {route} wants a client certificate, and this environment has no `client_ca`: nobody gets in"
            );
            plan.warnings.push(said);
        }
    }
}
