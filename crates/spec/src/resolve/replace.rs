//! How the containers of a service are replaced: how many there are, in which batches, and when a worker has finished.

use super::plan::{Finish, Rolling, ServicePlan};
use super::scene::{Scene, Written, written_problem};
use super::strategy;
use crate::compose::Service;
use crate::defaults;
use crate::platform::Strategy;
use crate::problem::{Problem, Problems};

pub(super) fn fill(
    scene: &Scene<'_>,
    written: &Written<'_>,
    service: &Service,
    plan: &mut ServicePlan,
    problems: &mut Problems,
) {
    copies(scene, service, plan);
    rolling(scene, written, plan, problems);
    if let Some((finish, reason)) = written.get(|settings| settings.finish.as_ref()) {
        plan.finish = Some(Finish {
            stop_taking: finish.stop_taking.clone(),
            idle: finish.idle.clone(),
            take_again: finish.take_again.clone(),
            within: finish.within.unwrap_or(defaults::FINISH_WITHIN),
        });
        plan.reasons.insert("finish".to_owned(), reason);
        only_for(plan, "finish", Strategy::DrainFirst);
    }
    if let Some((timeout, reason)) = written.get(|settings| settings.job_timeout) {
        plan.job_timeout = timeout;
        plan.reasons.insert("job_timeout".to_owned(), reason);
        only_for(plan, "job_timeout", Strategy::Job);
    }
}

/// What never runs twice has one copy, whatever the compose file says; of what is only never there in two releases,
/// each release has its copies.
fn copies(scene: &Scene<'_>, service: &Service, plan: &mut ServicePlan) {
    plan.replicas = service.replicas.max(1);
    let why = match plan.strategy {
        Strategy::Exclusive if strategy::has_copies(scene, service, plan) => return,
        Strategy::Exclusive => "two of it never run",
        Strategy::Job => "it runs once for each release",
        _ => return,
    };
    if plan.replicas > 1 {
        plan.warnings.push(format!("the compose file asks for {} copies and gets one: {why}", plan.replicas));
        plan.replicas = 1;
    }
}

fn rolling(scene: &Scene<'_>, written: &Written<'_>, plan: &mut ServicePlan, problems: &mut Problems) {
    plan.rolling = match plan.strategy == Strategy::Rolling && !plan.guarded().is_empty() {
        // Never more writers than the file asks for.
        true => Rolling { surge: 0, unavailable: 1 },
        false => Rolling::of(plan.replicas),
    };
    let Some((settings, reason)) = written.get(|settings| settings.rolling.as_ref()) else { return };
    let unavailable = settings.unavailable.unwrap_or(0);
    let surge = settings.surge.unwrap_or(if unavailable > 0 { 0 } else { plan.rolling.surge });
    if let Some(mount) = plan.guarded().first().filter(|_| surge > 0 && plan.strategy == Strategy::Rolling) {
        problems.0.push(Problem {
            found: surge.to_string(),
            allowed: "`surge: 0` with `unavailable`; `shared_data: safe`, where more may write at once".to_owned(),
            ..written_problem(
                scene.file,
                &written.path("rolling.surge", scene.file),
                &format!("more copies than the compose file asks for would write to {}", mount.what),
            )
        });
    }
    plan.rolling = Rolling { surge, unavailable };
    plan.reasons.insert("rolling".to_owned(), reason);
    only_for(plan, "rolling", Strategy::Rolling);
    if plan.strategy == Strategy::Rolling && surge == 0 && unavailable >= plan.replicas {
        problems.0.push(Problem {
            found: unavailable.to_string(),
            allowed: match plan.replicas {
                1 => "`surge: 1` for a single copy".to_owned(),
                copies => format!("at most {} of {copies} copies, or `surge` above 0", copies - 1),
            },
            ..written_problem(
                scene.file,
                &written.path("rolling.unavailable", scene.file),
                "no copy would serve while a batch is replaced",
            )
        });
    }
}

fn only_for(plan: &mut ServicePlan, key: &str, strategy: Strategy) {
    if plan.strategy != strategy {
        plan.warnings.push(format!("`{key}` is only for {strategy}; this service is {}", plan.strategy));
    }
}
