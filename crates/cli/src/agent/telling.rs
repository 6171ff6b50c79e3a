//! What others are told of the agent's work: how operations begin and end, and what was changed by hand.

use std::path::PathBuf;
use std::sync::Arc;

use deploy::notify::{self, Notice};
use deploy::report::Outcome;
use deploy::{DeployError, Ending, Scope};
use spec::platform::NoticeKind;
use tokio::sync::{Semaphore, mpsc};

use super::Agent;
use crate::messages::{Ended, Operation, Work};

/// Deliveries side by side: one slow server does not keep the others waiting, and not all of them pile up.
const AT_ONCE: usize = 8;
const DRIFT: &str = "drift";

/// Delivers for as long as the agent lives.
pub async fn deliver(agent: Agent, mut waiting: mpsc::Receiver<Notice>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(notice) = waiting.recv().await {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let world = agent.world();
        tokio::spawn(async move {
            notify::deliver(&world, &notice).await;
            drop(place);
        });
    }
}

/// A deploy says so itself, once it knows that there is something to do.
pub fn begun(agent: &Agent, scope: &Scope, operation: &Operation) {
    if !matches!(operation.work, Some(Work::Up(_))) {
        agent.world().tell(notice(agent, NoticeKind::Started, scope, operation));
    }
}

pub fn ended(agent: &Agent, scope: &Scope, operation: &Operation, ended: &Ended) {
    let (kind, cause) = match ended {
        Ended::Report { report } => {
            let changed = report.services.iter().any(|one| !matches!(one.result, Outcome::Unchanged | Outcome::Held));
            let cause = report.failures().map(|(service, failure)| format!("{}: {}", service.service, failure.cause));
            let cause = cause.collect::<Vec<_>>().join("; ");
            match (kind(report.ending), changed) {
                // Nothing happened, so nobody is told.
                (NoticeKind::Succeeded, false) => return,
                (kind, _) => (kind, Some(cause).filter(|cause| !cause.is_empty())),
            }
        }
        Ended::Removed { .. } | Ended::Released { .. } | Ended::Pruned { .. } => (NoticeKind::Succeeded, None),
        Ended::Failed { failure } => (kind(failure.ending), Some(failure.message.clone())),
        Ended::Left { .. } | Ended::Waits { .. } => return,
    };
    agent.world().tell(Notice { cause, ..notice(agent, kind, scope, operation) });
}

fn kind(ending: Ending) -> NoticeKind {
    match ending {
        Ending::Done => NoticeKind::Succeeded,
        Ending::RolledBack => NoticeKind::RolledBack,
        Ending::Stuck => NoticeKind::Stuck,
        Ending::Failed | Ending::Invalid | Ending::Refused => NoticeKind::Failed,
    }
}

fn notice(agent: &Agent, kind: NoticeKind, scope: &Scope, operation: &Operation) -> Notice {
    let (services, why) = match &operation.work {
        Some(Work::Up(request)) => (request.selection.services.clone(), request.why.clone()),
        Some(Work::Scale(request)) => (request.copies.keys().cloned().collect(), String::new()),
        Some(Work::Rollback(request)) => (vec![request.service.clone()], request.why.clone()),
        Some(Work::Restart(request)) => (vec![request.service.clone()], request.why.clone()),
        _ => (Vec::new(), String::new()),
    };
    let what = operation.word.trim_end_matches('$');
    Notice {
        operation: Some(operation.id.clone()),
        services,
        why,
        ..Notice::new(kind, scope, folder(agent, scope, operation), what, &operation.by)
    }
}

/// Where the platform file lies that says who is told.
fn folder(agent: &Agent, scope: &Scope, operation: &Operation) -> PathBuf {
    match &operation.work {
        Some(Work::Up(request)) => request.source.dir.clone(),
        _ => agent.world().platform(scope).ok().flatten().map(|platform| platform.dir).unwrap_or_default(),
    }
}

/// Tells once what was changed by hand, and again when something else was.
pub async fn drift(agent: &Agent) -> Result<(), DeployError> {
    let world = agent.world();
    for platform in world.platforms()? {
        let scope = &platform.scope;
        let busy = world.ledger.holder(&scope.lease()).map_err(ledger)?.is_some();
        if busy || world.is_paused(scope)? {
            continue;
        }
        let mut findings = deploy::drift::drift(&world, scope).await?.findings;
        // Who watches intruders and what is kept has told of those already, and sooner.
        let intruders = deploy::intruders::known(&world, scope).await?;
        let stopped = deploy::keeping::stopped(&world, scope)?;
        findings.retain(|one| {
            !intruders.iter().any(|intruder| intruder.container == one.thing)
                && !stopped.iter().any(|stopped| stopped.told && stopped.container == one.thing)
        });
        let found: Vec<String> = findings.iter().map(|one| format!("{}: {}", one.thing, one.found)).collect();
        let known: Option<Vec<String>> = world.ledger.get_record(DRIFT, &scope.key()).map_err(ledger)?;
        if known.unwrap_or_default() == found {
            continue;
        }
        world.ledger.put_record(DRIFT, &scope.key(), &found).map_err(ledger)?;
        if !found.is_empty() {
            let mut notice = Notice::new(NoticeKind::DriftFound, scope, platform.dir.clone(), "drift", "mainstay");
            notice.services = findings.into_iter().filter_map(|finding| finding.service).collect();
            notice.services.dedup();
            notice.cause = Some(found.join("; "));
            world.tell(notice);
        }
    }
    Ok(())
}

fn ledger(source: ledger::LedgerError) -> DeployError {
    DeployError::Ledger { operation: "look for what was changed by hand", source }
}
