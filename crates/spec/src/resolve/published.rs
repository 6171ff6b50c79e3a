//! Ports that the compose file publishes: where the edge stands before a service, they are the edge's.
//!
//! Each stays where the file put it, on the address that the file names, and leads to its service whatever host is asked
//! for. Only an environment that says where its edge listens moves a port that is published on every address, of a
//! service that speaks HTTP, to its routes; the plan tells it.

use super::known;
use super::plan::{Check, Detect, HttpPort, ServicePlan, TcpPort};
use super::port;
use super::routes::Origin;
use super::scene::{Scene, compose_problem};
use crate::compose::Port;
use crate::ids::ServiceName;
use crate::platform::{Bind, EdgeSettings, Strategy};
use crate::problem::{Problem, Problems};

/// Where the edge listens anyway.
pub(super) fn binds(written: &EdgeSettings, http: &[Bind]) -> Vec<Bind> {
    let tcp = written.tcp.iter().map(|tcp| tcp.listen);
    let more = written.https.iter().flatten().copied().chain(tcp);
    http.iter().copied().chain(more.flat_map(|bind| bind.each())).collect()
}

/// A port of the host is one service's: plain Compose would start the first and fail at the second.
pub(super) fn check(scene: &Scene<'_>, problems: &mut Problems) {
    let mut taken: Vec<(Bind, &Port, &ServiceName)> = Vec::new();
    let active = scene.active.iter().filter(|(_, service)| service.replicas > 0);
    for (name, port) in active.flat_map(|(name, service)| service.ports.iter().map(move |port| (*name, port))) {
        let meets = |(bind, other, of): &&(Bind, &Port, &ServiceName)| {
            let is_same = *of == name && other.target == port.target;
            !is_same && other.protocol == port.protocol && port.binds().iter().any(|mine| mine.meets(bind))
        };
        if let Some((bind, other, first)) = taken.iter().find(meets) {
            let path = format!("services.{name}.ports");
            let message =
                format!("port {} of the host already leads to port {} of `{first}`", bind.0.port(), other.target);
            let found = format!("{}:{} of `{name}`", port.binds().first().unwrap_or(bind), port.target);
            let allowed = "another port of the host for one of the two, or another address".to_owned();
            problems.0.push(Problem { allowed, ..compose_problem(&path, &found, &message) });
        }
        taken.extend(port.binds().into_iter().map(|bind| (bind, port, name)));
    }
}

/// The ports of their own that services get; those whose bytes are carried are added to `tcp`.
pub(super) fn carry(
    scene: &Scene<'_>,
    services: &mut [ServicePlan],
    origin: Origin,
    taken: &[Bind],
    tcp: &mut Vec<TcpPort>,
) -> Vec<HttpPort> {
    let mut own = Vec::new();
    for plan in services.iter_mut().filter(|plan| is_behind(plan)) {
        let Some(service) = scene.active.get(&plan.name) else { continue };
        let detect = detect(scene, plan, origin);
        for port in service.ports.iter().filter(|port| port.protocol == "tcp") {
            let is_main = Some(port.target) == plan.port;
            let is_http = is_main && !plan.carries_bytes();
            if port.published.is_none() {
                plan.warnings.extend(without_a_number(plan, port, is_http));
                continue;
            }
            let is_written = !is_main
                && tcp.iter().any(|tcp| tcp.service == plan.name && tcp.port == port.target && is_of(taken, tcp));
            let free: Vec<Bind> = port.binds().into_iter().filter(|bind| !taken.contains(bind)).collect();
            let Some(first) = free.first().filter(|_| !is_written) else { continue };
            if is_http && is_moved(scene, plan, port, detect) {
                plan.warnings.push(moved(first, port));
                continue;
            }
            if !is_http && !is_main {
                plan.warnings.push(also(first, port));
            }
            for listen in free.iter().map(Bind::to_string) {
                let service = plan.name.clone();
                match is_http {
                    true => own.push(HttpPort { listen, service, detect }),
                    false => tcp.push(TcpPort { listen, service, port: port.target, idle: None, send_proxy: false }),
                }
            }
        }
    }
    own
}

/// How connections to its main port are told apart: not at all where something proves that HTTP is spoken.
fn detect(scene: &Scene<'_>, plan: &ServicePlan, origin: Origin) -> Option<Detect> {
    let number = plan.port?;
    let says_protocol = scene.written(&plan.name).get(|settings| settings.protocol).is_some();
    let has_route = origin == Origin::Written && !plan.routes.is_empty();
    let found = scene.active.get(&plan.name).and_then(|service| port::derive(service));
    let is_proven = found.is_some_and(|found| found.proven && found.port == number);
    if says_protocol || has_route || is_proven || asks_over_http(plan) {
        return None;
    }
    Some(if known::is_web(number) { Detect::Likely } else { Detect::Unknown })
}

fn asks_over_http(plan: &ServicePlan) -> bool {
    matches!(&plan.health.check, Check::Http { port, .. } if Some(*port) == plan.port)
}

/// Whether its routes take the place of this port. One that is for an address of the host is for nobody else, and one
/// of which nobody knows what is spoken there may be for others than browsers.
fn is_moved(scene: &Scene<'_>, plan: &ServicePlan, port: &Port, detect: Option<Detect>) -> bool {
    let is_reached = !plan.routes.is_empty() && port.is_everywhere();
    scene.says_where_to_listen() && is_reached && detect != Some(Detect::Unknown)
}

/// Jobs and what is kept as it is have their ports from Docker.
fn is_behind(plan: &ServicePlan) -> bool {
    plan.port.is_some() && !matches!(plan.strategy, Strategy::Keep | Strategy::Job)
}

fn is_of(taken: &[Bind], tcp: &TcpPort) -> bool {
    Bind::parse(&tcp.listen).is_ok_and(|listen| taken.contains(&listen))
}

fn also(listen: &Bind, port: &Port) -> String {
    format!("port {} of the host leads to its port {} through the edge, as bytes", listen.0.port(), port.target)
}

fn moved(listen: &Bind, port: &Port) -> String {
    format!(
        "port {0} of the host is not opened: its port {1} is reached by its routes where `edge` says; `edge.tcp: {{listen: {0}, service: …, port: {1}}}` opens it all the same",
        listen.0.port(),
        port.target
    )
}

/// Docker would pick one, another for each container.
fn without_a_number(plan: &ServicePlan, port: &Port, is_http: bool) -> Option<String> {
    let is_reached = is_http && !plan.routes.is_empty();
    (!is_reached).then(|| {
        format!(
            "its port {0} is published on a port that Docker would pick, which the edge does not: write `HOST:{0}`",
            port.target
        )
    })
}

/// A service that publishes a port of the edge takes it away from the edge, or fails to start; where the edge stands
/// before the service, its ports are not published.
pub(super) fn warn_of_taken(scene: &Scene<'_>, taken: &[Bind], services: &mut [ServicePlan]) {
    if scene.environment.edge.is_none() {
        return;
    }
    for plan in services {
        let Some(service) = scene.active.get(&plan.name) else { continue };
        let published = service.ports.iter().filter(|port| port.protocol == "tcp");
        let is_behind = is_behind(plan);
        let meets = |port: &&Port| {
            let is_taken = |bind: &Bind| taken.contains(bind) || (!is_behind && taken.iter().any(|t| t.meets(bind)));
            port.binds().iter().any(is_taken)
        };
        for port in published.filter(meets).filter_map(|port| port.published) {
            let ends = match plan.port.is_some() && plan.strategy != Strategy::Keep {
                true => "the edge takes it over",
                false => {
                    "only one of the two can have it: write another port, or leave `ports` out of the compose file"
                }
            };
            plan.warnings.push(format!("it publishes port {port}, on which the edge listens; {ends}"));
        }
    }
}
