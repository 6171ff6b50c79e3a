//! How a new release earns its traffic: the soak, the canary and the migration.

use std::time::Duration;

use super::plan::{Canary, HttpPort, Job, Migration, ServicePlan, SoakLimits};
use super::scene::{Scene, Written, written_problem};
use crate::defaults;
use crate::platform::{SoakSettings, SoakWritten, Strategy};
use crate::problem::{Problem, Problems};

/// Fills in what is written.
pub(super) fn fill(written: &Written<'_>, plan: &mut ServicePlan) {
    if let Some((soak, reason)) = written.get(|settings| settings.soak.as_ref()) {
        let settings = match soak {
            SoakWritten::Time(time) => SoakSettings { time: Some(*time), ..SoakSettings::default() },
            SoakWritten::Settings(settings) => settings.clone(),
        };
        plan.soak = settings.time.unwrap_or(defaults::SOAK);
        plan.soak_limits = limits(&settings);
        plan.reasons.insert("soak".to_owned(), reason);
    }
    if let Some((canary, reason)) = written.get(|settings| settings.canary.as_ref()) {
        let usual = Canary::default();
        plan.canary = Some(Canary {
            steps: canary.steps.clone().unwrap_or(usual.steps),
            pause: canary.pause.unwrap_or(usual.pause),
            by: canary.by.unwrap_or(usual.by),
        });
        plan.reasons.insert("canary".to_owned(), reason);
    }
    if let Some((job, reason)) = written.get(|settings| settings.migrate.as_ref()) {
        plan.migrate = Some(Migration {
            job: Job { command: job.command.clone(), timeout: job.timeout.unwrap_or(defaults::JOB_TIMEOUT) },
            kind: job.kind.unwrap_or_default(),
            idempotent: job.idempotent.unwrap_or(false),
        });
        plan.reasons.insert("migrate".to_owned(), reason);
    }
}

fn limits(settings: &SoakSettings) -> SoakLimits {
    let usual = SoakLimits::default();
    SoakLimits {
        requests: settings.requests.unwrap_or(usual.requests),
        errors: settings.errors.unwrap_or(usual.errors),
        errors_factor: settings.errors_factor.unwrap_or(usual.errors_factor),
        p95_factor: settings.p95_factor.unwrap_or(usual.p95_factor),
        p95_floor: settings.p95_floor.unwrap_or(usual.p95_floor),
    }
}

/// Once routes and ports are known: without any there is mostly nothing to watch, and nothing to share.
pub(super) fn check(scene: &Scene<'_>, ports: &[HttpPort], services: &mut [ServicePlan], problems: &mut Problems) {
    for plan in services {
        let has_port = ports.iter().any(|port| port.service == plan.name);
        let leads = has_port || plan.routes.iter().any(|route| route.redirect.is_none());
        let is_written = plan.reasons.contains_key("soak");
        if !leads && !is_written {
            plan.soak = Duration::ZERO;
            plan.reasons.insert("soak".to_owned(), "no route leads here".to_owned());
        }
        if plan.port.is_none() && is_written && !plan.soak.is_zero() {
            plan.warnings.push("it has no port, so a soak sees no requests".to_owned());
        }
        if plan.canary.is_some() {
            canary(scene, plan, leads, problems);
        }
    }
}

fn canary(scene: &Scene<'_>, plan: &ServicePlan, leads: bool, problems: &mut Problems) {
    let mut note = |found: String, allowed: &str, message: &str| {
        let path = scene.written(&plan.name).path("canary", scene.file);
        let problem = written_problem(scene.file, &path, message);
        problems.0.push(Problem { found, allowed: allowed.to_owned(), ..problem });
    };
    if plan.strategy != Strategy::BlueGreen {
        let found = format!("strategy {}", plan.strategy);
        note(found, "blue-green", "a canary needs two releases side by side");
    } else if !leads {
        note("no routes".to_owned(), "`routes` for this service", "a canary needs requests to share");
    }
}
