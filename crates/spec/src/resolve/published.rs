//! Ports that the compose file publishes: where the edge stands before a service, they are the edge's.
//!
//! Each stays where the file put it. Only an environment that says where its edge listens moves the port of a service
//! that speaks HTTP to its routes; the plan tells it.

use super::plan::{HttpPort, ServicePlan, TcpPort};
use super::scene::Scene;
use crate::compose::Port;
use crate::platform::{Bind, EdgeSettings, Strategy};

/// Where the edge listens anyway.
pub(super) fn binds(written: &EdgeSettings, http: &[Bind]) -> Vec<Bind> {
    let tcp = written.tcp.iter().map(|tcp| tcp.listen);
    http.iter().copied().chain(written.https.iter().flatten().copied()).chain(tcp).collect()
}

/// The ports of their own that services with HTTP get; those whose bytes are carried are added to `tcp`.
pub(super) fn carry(
    scene: &Scene<'_>,
    services: &mut [ServicePlan],
    taken: &[Bind],
    tcp: &mut Vec<TcpPort>,
) -> Vec<HttpPort> {
    let mut own = Vec::new();
    for plan in services.iter_mut().filter(|plan| is_behind(plan)) {
        let Some(service) = scene.active.get(&plan.name) else { continue };
        for port in service.ports.iter().filter(|port| port.protocol == "tcp") {
            let is_main = Some(port.target) == plan.port;
            let is_http = is_main && !plan.carries_bytes();
            let Some(listen) = listen(port) else {
                plan.warnings.extend(without_a_number(plan, port, is_http));
                continue;
            };
            let is_written = !is_main
                && tcp.iter().any(|tcp| tcp.service == plan.name && tcp.port == port.target && is_of(taken, tcp));
            if is_written || taken.iter().any(|bind| bind.meets(&listen)) {
                continue;
            }
            match is_http {
                true if scene.environment.edge.is_none() => {
                    own.push(HttpPort { listen: listen.to_string(), service: plan.name.clone() });
                }
                true => plan.warnings.push(moved(&listen, port)),
                false => {
                    if !is_main {
                        plan.warnings.push(also(&listen, port));
                    }
                    tcp.push(TcpPort {
                        listen: listen.to_string(),
                        service: plan.name.clone(),
                        port: port.target,
                        idle: None,
                        send_proxy: false,
                    });
                }
            }
        }
    }
    own
}

/// Jobs and what is kept as it is have their ports from Docker.
fn is_behind(plan: &ServicePlan) -> bool {
    plan.port.is_some() && !matches!(plan.strategy, Strategy::Keep | Strategy::Job)
}

fn is_of(taken: &[Bind], tcp: &TcpPort) -> bool {
    Bind::parse(&tcp.listen).is_ok_and(|listen| taken.contains(&listen))
}

fn listen(port: &Port) -> Option<Bind> {
    let on_host = port.published?;
    let address = match port.host_ip.as_deref() {
        None => "0.0.0.0".to_owned(),
        Some(ip) if ip.contains(':') => format!("[{ip}]"),
        Some(ip) => ip.to_owned(),
    };
    Bind::parse(&format!("{address}:{on_host}")).ok()
}

fn also(listen: &Bind, port: &Port) -> String {
    format!("port {} of the host leads to its port {} through the edge, as bytes", listen.0.port(), port.target)
}

fn moved(listen: &Bind, port: &Port) -> String {
    format!(
        "port {0} of the host is not opened: its port {1} is reached by its routes where `edge` says; `edge.tcp: {{listen: {listen}, service: …, port: {1}}}` opens it all the same",
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
        let published = service.ports.iter().filter(|port| port.protocol == "tcp").filter_map(|port| port.published);
        for port in published.filter(|port| taken.iter().any(|bind| bind.0.port() == *port)) {
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
