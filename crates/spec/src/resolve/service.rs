//! One service, from its compose entry and what is written about it.

use super::plan::{Hold, Limits, ServicePlan};
use super::port::{self, Found};
use super::scene::{Scene, Written, compose_problem, written_problem};
use super::{data, foreign, health, order, pool, readers, replace, strategy, trust};
use crate::compose::Service;
use crate::defaults;
use crate::ids::ServiceName;
use crate::platform::{ServiceSettings, SharedData, Strategy};
use crate::problem::{Problem, Problems};

/// The plan of one active service, without its routes and before limits are scaled.
pub(super) fn plan(scene: &Scene<'_>, name: &ServiceName, problems: &mut Problems) -> Option<ServicePlan> {
    let service = *scene.active.get(name)?;
    let written = scene.written(name);
    let found = port(&written, service);
    let mut plan = ServicePlan::new(name.clone(), Strategy::Exclusive);
    fill_data(scene, &written, service, &mut plan, problems);
    let (strategy, reason) = match written.get(|settings| settings.strategy) {
        Some(written) => written,
        None => strategy::derive(scene, name, service, found.as_ref(), &plan),
    };
    (plan.strategy, plan.reason) = (strategy, reason);
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
    foreign::check(scene, name, problems);
    plan.warnings.extend(warnings(scene, service, &plan));
    Some(plan)
}

/// What it writes, whether that is a database's, and whether several may write it at once.
fn fill_data(
    scene: &Scene<'_>,
    written: &Written<'_>,
    service: &Service,
    plan: &mut ServicePlan,
    problems: &mut Problems,
) {
    let data = data::of(scene, &plan.name, service);
    plan.database = scene.database(&plan.name, service, &data);
    plan.data = Some(data);
    let Some((SharedData::Safe, reason)) = written.get(|settings| settings.shared_data) else { return };
    if let Some(why) = &plan.database {
        problems.0.push(Problem {
            found: format!("safe ({why})"),
            allowed: "guarded".to_owned(),
            ..written_problem(
                scene.file,
                &written.path("shared_data", scene.file),
                "two servers on one data folder destroy it, so nobody can say that a database shares its data",
            )
        });
    }
    plan.shared_data = true;
    plan.reasons.insert("shared_data".to_owned(), reason);
}

/// Two database servers on the same data, whether two services or two copies of one: Compose would start them, and
/// whatever is in the folder would be lost.
pub(super) fn check_databases(services: &[ServicePlan], problems: &mut Problems) {
    let message = "two database servers would write to the same data, which destroys it";
    let databases: Vec<&ServicePlan> = services.iter().filter(|plan| plan.database.is_some()).collect();
    for (index, plan) in databases.iter().enumerate() {
        let shared = plan.data.iter().flatten().find(|mount| !mount.own && !mount.places.is_empty());
        if let Some(mount) = shared.filter(|_| plan.replicas > 1) {
            let path = format!("services.{}.deploy.replicas", plan.name);
            let problem = compose_problem(&path, &format!("{} copies on {}", plan.replicas, mount.what), message);
            problems.0.push(Problem { allowed: "one copy".to_owned(), ..problem });
        }
        for other in databases.iter().skip(index + 1) {
            let Some((mine, _)) = plan.shared_with(other) else { continue };
            let path = format!("services.{}.volumes", other.name);
            let problem = compose_problem(&path, &format!("{}, as of `{}`", mine.what, plan.name), message);
            let allowed = "data of its own for each database; a profile that is off for one of them".to_owned();
            problems.0.push(Problem { allowed, ..problem });
        }
    }
}

fn port(written: &Written<'_>, service: &Service) -> Option<Found> {
    match written.get(|settings| settings.port) {
        Some((port, reason)) => Some(Found { port, reason, http: true, proven: false }),
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
    if let Some(why) = readers::refuses_two(scene, &plan.name, service) {
        let message = format!("{} runs two releases during a deploy, and this service {why}", plan.strategy);
        problems.0.push(Problem {
            found: plan.strategy.to_string(),
            allowed: "exclusive".to_owned(),
            ..written_problem(scene.file, &written.path("strategy", scene.file), &message)
        });
    }
    // What was derived for several copies never runs more of them than the file asks for.
    let is_written = written.get(|settings| settings.strategy).is_some();
    let Some(mount) = plan.guarded().first().filter(|_| is_written) else { return };
    let what = &mount.what;
    let (found, allowed, message) = match &plan.database {
        Some(why) => (
            format!("{} ({why})", plan.strategy),
            "keep, exclusive",
            format!("two containers would write to {what} of a database at the same time"),
        ),
        None => (
            plan.strategy.to_string(),
            "exclusive; `:ro` behind the mount, where it only reads; `shared_data: safe`, where two releases may write at once",
            format!("{} runs two releases at once, and this service writes to {what}", plan.strategy),
        ),
    };
    let path = written.path("strategy", scene.file);
    problems.0.push(Problem { found, allowed: allowed.to_owned(), ..written_problem(scene.file, &path, &message) });
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
    if let Some(policy) = service.pull_policy.as_deref() {
        warnings.extend(pull_policy(policy));
    }
    if strategy == Strategy::Exclusive {
        warnings.extend(readers::cost(scene, &plan.name, service, plan.port.is_some(), plan.hold.time));
    }
    if service.gpus && strategy.runs_two() {
        warnings.push("two releases share the graphics card during a deploy".to_owned());
    }
    if plan.port.is_none() && matches!(strategy, Strategy::BlueGreen | Strategy::Rolling) {
        warnings.push(format!("it has no port, so {strategy} switches no traffic"));
    }
    if let Some(mount) = plan.data.iter().flatten().next().filter(|_| plan.shared_data && strategy.runs_two()) {
        warnings.push(format!("two releases write to {} during a deploy (`shared_data: safe`)", mount.what));
    }
    if strategy == Strategy::Rolling && plan.replicas < 2 {
        warnings.push("rolling with one copy is the same as blue-green".to_owned());
    }
    warnings
}
