//! One service, from its compose entry and what is written about it.

use super::plan::{Hold, Limits, ServicePlan};
use super::port::{self, Found};
use super::scene::{Scene, Written, written_problem};
use super::{foreign, health, known, order, pool, replace, strategy, trust};
use crate::compose::{MountKind, Service};
use crate::defaults;
use crate::ids::ServiceName;
use crate::platform::{ServiceSettings, Strategy};
use crate::problem::{Problem, Problems};

/// The plan of one active service, without its routes and before limits are scaled.
pub(super) fn plan(scene: &Scene<'_>, name: &ServiceName, problems: &mut Problems) -> Option<ServicePlan> {
    let service = *scene.active.get(name)?;
    let written = scene.written(name);
    let found = port(&written, service);
    let (strategy, reason) = match written.get(|settings| settings.strategy) {
        Some(written) => written,
        None => strategy::derive(scene, name, service, found.as_ref()),
    };
    let mut plan = ServicePlan::new(name.clone(), strategy);
    plan.reason = reason;
    plan.port = found.as_ref().map(|found| found.port);
    if let Some(found) = &found {
        plan.reasons.insert("port".to_owned(), found.reason.clone());
    }
    let proof = health::resolve(scene, &written, service, found.as_ref(), strategy, problems);
    plan.health = proof.health;
    plan.reasons.insert("health".to_owned(), proof.reason);
    plan.warnings.extend(proof.warning);
    replace::fill(scene, &written, service, &mut plan, problems);
    plan.depends_on = order::needs(scene, name).into_iter().cloned().collect();
    plan.restart_with =
        plan.depends_on.iter().filter(|needed| service.restart_with.contains(*needed)).cloned().collect();
    plan.restart = service.restart;
    fill_times(&mut plan, &written, service);
    fill_hold(&mut plan, &written);
    trust::fill(&written, &mut plan);
    pool::fill(scene, &written, found.as_ref(), &mut plan, problems);
    plan.limits = limits(&mut plan, &written, service);
    check_strategy(scene, &written, service, &plan, problems);
    foreign::check(scene, name, plan.strategy, problems);
    plan.warnings.extend(warnings(scene, service, &plan));
    Some(plan)
}

fn port(written: &Written<'_>, service: &Service) -> Option<Found> {
    match written.get(|settings| settings.port) {
        Some((port, reason)) => Some(Found { port, reason, http: true }),
        None => port::derive(service),
    }
}

fn fill_times(plan: &mut ServicePlan, written: &Written<'_>, service: &Service) {
    let mut set =
        |key: &str, pick: fn(&ServiceSettings) -> Option<std::time::Duration>, value: &mut std::time::Duration| {
            if let Some((chosen, reason)) = written.get(pick) {
                *value = chosen;
                plan.reasons.insert(key.to_owned(), reason);
            }
        };
    set("drain", |s| s.drain, &mut plan.drain);
    set("drain_websocket", |s| s.drain_websocket, &mut plan.drain_websocket);
    set("warm", |s| s.warm, &mut plan.warm);
    if let Some(grace) = service.stop_grace_period {
        plan.stop_grace = grace;
        plan.reasons.insert("stop_grace".to_owned(), "`stop_grace_period` of the compose file".to_owned());
    }
    if let Some((grace, reason)) = written.get(|settings| settings.stop_grace) {
        plan.stop_grace = grace;
        plan.reasons.insert("stop_grace".to_owned(), reason);
    }
}

fn fill_hold(plan: &mut ServicePlan, written: &Written<'_>) {
    if let Some((hold, reason)) = written.get(|settings| settings.hold.as_ref()) {
        plan.hold = Hold {
            time: hold.time.unwrap_or(defaults::HOLD_TIME),
            requests: hold.requests.unwrap_or(defaults::HOLD_REQUESTS),
            bytes: hold.bytes.unwrap_or(defaults::HOLD_BYTES),
        };
        plan.reasons.insert("hold".to_owned(), reason);
    }
}

fn limits(plan: &mut ServicePlan, written: &Written<'_>, service: &Service) -> Limits {
    let cpus = written.get(|settings| settings.limits.and_then(|limits| limits.cpus));
    let memory = written.get(|settings| settings.limits.and_then(|limits| limits.memory));
    if let Some((_, reason)) = cpus.as_ref().map(|(_, r)| ((), r)).or(memory.as_ref().map(|(_, r)| ((), r))) {
        plan.reasons.insert("limits".to_owned(), reason.clone());
    }
    Limits {
        cpus: cpus.map(|(cpus, _)| cpus).or(service.cpus),
        memory: memory.map(|(memory, _)| memory).or(service.memory),
    }
}

/// Two database servers on one data folder destroy it, so this is a problem and not a warning.
fn check_strategy(
    scene: &Scene<'_>,
    written: &Written<'_>,
    service: &Service,
    plan: &ServicePlan,
    problems: &mut Problems,
) {
    if plan.strategy != Strategy::Job && scene.awaited().contains(&plan.name) {
        problems.0.push(Problem {
            found: plan.strategy.to_string(),
            allowed: Strategy::Job.to_string(),
            ..written_problem(
                scene.file,
                &written.path("strategy", scene.file),
                "another service waits until this one has ended well, and only a job ends",
            )
        });
    }
    if !plan.strategy.runs_two() {
        return;
    }
    if let Some(why) = strategy::never_twice(service) {
        let message = format!("{} runs two containers during a deploy, and this service {why}", plan.strategy);
        problems.0.push(Problem {
            found: plan.strategy.to_string(),
            allowed: "exclusive".to_owned(),
            ..written_problem(scene.file, &written.path("strategy", scene.file), &message)
        });
    }
    let volume = service.volumes.iter().find_map(|mount| mount.written_volume());
    let (Some(volume), Some(why)) = (volume, known::database(plan.name.as_str(), service)) else { return };
    let message = format!("two containers would write to volume `{volume}` of a database at the same time");
    problems.0.push(Problem {
        found: format!("{} ({why})", plan.strategy),
        allowed: "keep, exclusive".to_owned(),
        ..written_problem(scene.file, &written.path("strategy", scene.file), &message)
    });
}

/// What `pull_policy` means here, where that is not what happens anyway.
fn pull_policy(policy: &str) -> Option<String> {
    match policy {
        "always" => Some("`pull_policy: always`: `up` asks the registry first and may find another image".to_owned()),
        "build" => Some("`pull_policy: build`: `up` builds it first, which may make another image".to_owned()),
        "never" | "missing" | "if_not_present" => None,
        other => Some(format!(
            "`pull_policy: {other}` is taken as `missing`: nothing is pulled again by the clock; `always` asks each time"
        )),
    }
}

fn warnings(scene: &Scene<'_>, service: &Service, plan: &ServicePlan) -> Vec<String> {
    let mut warnings = Vec::new();
    let strategy = plan.strategy;
    if let Some(name) = &service.container_name {
        warnings.push(format!(
            "`container_name: {name}` is a name by which others find it; its containers are named after their releases"
        ));
    }
    for mount in service.volumes.iter().filter(|mount| mount.kind == MountKind::Volume && mount.source.is_none()) {
        warnings.push(format!(
            "`{}` is a volume without a name, so each release begins with an empty one; name it under `volumes` to keep what is in it",
            mount.target
        ));
    }
    if let Some(policy) = service.pull_policy.as_deref() {
        warnings.extend(pull_policy(policy));
    }
    if service.gpus && strategy.runs_two() {
        warnings.push("two releases share the graphics card during a deploy".to_owned());
    }
    if plan.port.is_none() && matches!(strategy, Strategy::BlueGreen | Strategy::Rolling) {
        warnings.push(format!("it has no port, so {strategy} switches no traffic"));
    }
    let volume = service.volumes.iter().find_map(|mount| mount.written_volume()).filter(|_| strategy.runs_two());
    if let Some(volume) = volume {
        let others = scene.users_of(volume).saturating_sub(1);
        warnings.push(match others {
            0 => format!("two releases write to volume `{volume}` during a deploy"),
            _ => format!(
                "volume `{volume}` is shared with {others} more, so two releases may write to it at the same time"
            ),
        });
    }
    if strategy == Strategy::Rolling && plan.replicas < 2 {
        warnings.push("rolling with one copy is the same as blue-green".to_owned());
    }
    warnings
}
