//! Reports of services with which nothing was done.

use crate::draft::Draft;
use crate::plan::{Action, Change};
use crate::report::{Outcome, Report, ServiceReport};

/// What was done before a crash looks unchanged now; the report tells it all the same.
pub(super) fn told_before_the_crash(report: &mut ServiceReport, before: Option<&Report>) {
    let told = before.and_then(|before| before.services.iter().find(|told| told.service == report.service));
    if let Some(told) = told.filter(|_| report.result == Outcome::Unchanged) {
        report.clone_from(told);
    }
}

pub(super) fn still(draft: &Draft, change: &Change, result: Outcome) -> ServiceReport {
    let release = draft.serving.get(&change.service);
    ServiceReport {
        service: change.service.clone(),
        strategy: change.strategy,
        release: change.from.clone(),
        result,
        took_ms: 0,
        healthy_after_ms: release.and_then(|release| release.healthy_after_ms),
        traffic_after_ms: None,
        phases: Vec::new(),
        judged: Vec::new(),
    }
}

pub(super) fn not_reached(change: &Change) -> ServiceReport {
    ServiceReport {
        service: change.service.clone(),
        strategy: change.strategy,
        release: change.from.clone(),
        result: match change.action {
            Action::Nothing => Outcome::Unchanged,
            Action::Hold => Outcome::Held,
            _ => Outcome::NotReached,
        },
        took_ms: 0,
        healthy_after_ms: None,
        traffic_after_ms: None,
        phases: Vec::new(),
        judged: Vec::new(),
    }
}
