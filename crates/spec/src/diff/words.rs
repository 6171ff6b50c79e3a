//! Changes of a service in words that an operator would use.

use crate::platform::{CanaryBy, ServiceProtocol, Strategy};
use crate::resolve::{Limits, Route, ServicePlan};
use crate::units::human_duration;

/// What changes for a service, one line each; empty when nothing does.
/// `None` stands for a service that is not there before or after.
pub fn service_changes(old: Option<&ServicePlan>, new: Option<&ServicePlan>) -> Vec<String> {
    match (old, new) {
        (None, None) => Vec::new(),
        (None, Some(new)) => vec![format!("new service, {} because {}", new.strategy, because(new))],
        (Some(old), None) => vec![format!("the service goes away; it was {}", old.strategy)],
        (Some(old), Some(new)) => changes(old, new),
    }
}

fn because(plan: &ServicePlan) -> String {
    if plan.reason.starts_with("written") { format!("it is {}", plan.reason) } else { format!("it {}", plan.reason) }
}

fn changes(old: &ServicePlan, new: &ServicePlan) -> Vec<String> {
    let mut lines = Vec::new();
    let mut note = |what: &str, before: String, after: String| {
        if before != after {
            lines.push(format!("{what}: {before} -> {after}"));
        }
    };
    note("strategy", old.strategy.to_string(), new.strategy.to_string());
    note("port", port(old), port(new));
    note("health check", old.health.check.to_string(), new.health.check.to_string());
    note("time to become healthy", human_duration(old.health.budget), human_duration(new.health.budget));
    note("routes", routes(old), routes(new));
    note("protocol", protocol(old).to_owned(), protocol(new).to_owned());
    note("health checks of the edge", edge_health(old), edge_health(new));
    note("rest of failing copies", outlier(old), outlier(new));
    note("slow start", human_duration(old.slow_start), human_duration(new.slow_start));
    note("time to connect", human_duration(old.connect_timeout), human_duration(new.connect_timeout));
    note("longest silence", human_duration(old.response_timeout), human_duration(new.response_timeout));
    note("hold", hold(old), hold(new));
    note("batches", rolling(old), rolling(new));
    note("finish", finish(old), finish(new));
    note("time of a job", human_duration(old.job_timeout), human_duration(new.job_timeout));
    note("drain", human_duration(old.drain), human_duration(new.drain));
    note("drain of WebSockets", human_duration(old.drain_websocket), human_duration(new.drain_websocket));
    note("warm", human_duration(old.warm), human_duration(new.warm));
    note("soak", soak(old), soak(new));
    note("canary", canary(old), canary(new));
    note("time to stop", human_duration(old.stop_grace), human_duration(new.stop_grace));
    note("migration", migration(old), migration(new));
    note("copies", old.replicas.to_string(), new.replicas.to_string());
    note("CPU limit", cpus(&old.limits), cpus(&new.limits));
    note("memory limit", memory(&old.limits), memory(&new.limits));
    note("waits for", names(old), names(new));
    lines
}

fn port(plan: &ServicePlan) -> String {
    plan.port.map_or_else(|| "none".to_owned(), |port| port.to_string())
}

fn routes(plan: &ServicePlan) -> String {
    let words = |route: &Route| match route.details() {
        details if details.is_empty() => route.to_string(),
        details => format!("{route} ({})", details.join(", ")),
    };
    list(&plan.routes.iter().map(words).collect::<Vec<_>>())
}

fn protocol(plan: &ServicePlan) -> &'static str {
    match plan.protocol {
        ServiceProtocol::Http => "HTTP",
        ServiceProtocol::Grpc => "gRPC",
        ServiceProtocol::Tcp => "TCP",
    }
}

fn edge_health(plan: &ServicePlan) -> String {
    plan.edge_health.as_ref().map_or_else(
        || "none".to_owned(),
        |health| {
            let (interval, timeout) = (human_duration(health.interval), human_duration(health.timeout));
            let alone = if health.even_alone { ", even of a single copy" } else { "" };
            let whom = match health.grpc.as_deref() {
                None => health.path.clone(),
                Some("") => "gRPC health".to_owned(),
                Some(service) => format!("gRPC health for {service}"),
            };
            format!("{whom} every {interval} within {timeout}, {} down, {} up{alone}", health.fall, health.rise)
        },
    )
}

fn outlier(plan: &ServicePlan) -> String {
    plan.outlier.as_ref().map_or_else(
        || "none".to_owned(),
        |outlier| format!("{} after {} failures", human_duration(outlier.eject), outlier.failures),
    )
}

fn hold(plan: &ServicePlan) -> String {
    format!("{} requests of {} for {}", plan.hold.requests, plan.hold.bytes, human_duration(plan.hold.time))
}

fn rolling(plan: &ServicePlan) -> String {
    if plan.strategy != Strategy::Rolling {
        return "none".to_owned();
    }
    format!("{} more, {} fewer", plan.rolling.surge, plan.rolling.unavailable)
}

fn finish(plan: &ServicePlan) -> String {
    let words = |words: &Option<Vec<String>>| words.as_ref().map_or_else(|| "none".to_owned(), |words| words.join(" "));
    plan.finish.as_ref().map_or_else(
        || "by the stop signal".to_owned(),
        |finish| {
            let within = human_duration(finish.within);
            let (idle, again) = (words(&finish.idle), words(&finish.take_again));
            format!("`{}` within {within}, idle `{idle}`, again `{again}`", finish.stop_taking.join(" "))
        },
    )
}

fn soak(plan: &ServicePlan) -> String {
    let limits = &plan.soak_limits;
    format!(
        "{} from {} requests, errors over {} and {} times, p95 over {} and {} times",
        human_duration(plan.soak),
        limits.requests,
        limits.errors,
        limits.errors_factor,
        human_duration(limits.p95_floor),
        limits.p95_factor
    )
}

fn canary(plan: &ServicePlan) -> String {
    let Some(canary) = &plan.canary else { return "none".to_owned() };
    let by = match canary.by {
        CanaryBy::Cookie => "client",
        CanaryBy::Weight => "request",
    };
    let steps: Vec<String> = canary.steps.iter().map(ToString::to_string).collect();
    format!("{} by {by}, {} each", list(&steps), canary.pause)
}

fn migration(plan: &ServicePlan) -> String {
    plan.migrate.as_ref().map_or_else(
        || "none".to_owned(),
        |migration| format!("`{}` ({})", migration.job.command.join(" "), migration.kind.as_str()),
    )
}

fn cpus(limits: &Limits) -> String {
    limits.cpus.map_or_else(|| "none".to_owned(), |cpus| cpus.to_string())
}

fn memory(limits: &Limits) -> String {
    limits.memory.map_or_else(|| "none".to_owned(), |memory| memory.to_string())
}

fn names(plan: &ServicePlan) -> String {
    list(&plan.depends_on.iter().map(ToString::to_string).collect::<Vec<_>>())
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}
