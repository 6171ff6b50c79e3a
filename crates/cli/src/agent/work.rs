//! Carrying operations out: the lease, the work, the record, and what is done again after a crash.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deploy::report::ServiceReport;
use deploy::{DeployError, Ending, Said, Scope, Talk, World};
use ledger::{Holder, Lease, LeaseError, NewEvent};
use serde_json::json;

use super::operations::Live;
use super::queue::{self, Waiting};
use super::{Agent, telling};
use crate::errors::{Failure, failed};
use crate::messages::{Begin, Ended, Event, Operation, Work};

pub const OPERATION: &str = "operation";
/// Longer than any pause between renewals, short enough that a lost machine frees the lock.
const LEASE: Duration = Duration::from_secs(60);
const RENEW: Duration = Duration::from_secs(15);

/// Begins an operation and returns its id at once; it goes on without its caller.
pub async fn begin(agent: &Agent, begin: Begin) -> Result<String, Failure> {
    let Begin { work, wait } = begin;
    let scope = scope_of(&work)?;
    agent.world().refuse_against_orders(&scope)?;
    let lease = match lock(agent, &scope, &work)? {
        Ok(lease) => Ok(lease),
        Err(holder) if wait => Err(holder),
        Err(holder) => return Err(DeployError::Locked { scope: scope.to_string(), holder: holder.note }.into()),
    };
    let number = agent.parts.ledger.next_number(OPERATION).map_err(failed("number the operation"))?;
    let operation = Operation {
        id: format!("op{number}"),
        word: work.word().into(),
        scope: Some(scope.clone()),
        by: work.by().into(),
        started_ms: agent.parts.clock.now_ms(),
        ended_ms: None,
        work: Some(work),
        ended: None,
    };
    let live = agent.operations.open(&operation.id);
    start_or_wait(agent, Waiting { operation, scope, live }, lease)
}

fn start_or_wait(agent: &Agent, waiting: Waiting, lease: Result<Lease, Holder>) -> Result<String, Failure> {
    let id = waiting.operation.id.clone();
    match lease {
        Ok(lease) => start(agent, waiting, lease)?,
        Err(holder) => {
            save(agent, &waiting.operation)?;
            let text = format!("waits: {} is being changed by {}", waiting.scope, holder.note);
            waiting.live.push(Event::Said { ms: 0, said: Said::Line { service: None, text } });
            queue::wait(agent, waiting);
        }
    }
    Ok(id)
}

fn start(agent: &Agent, waiting: Waiting, lease: Lease) -> Result<(), Failure> {
    let Waiting { operation, scope, live } = waiting;
    let written = save(agent, &operation).and_then(|()| note(agent, &scope, &operation, "operation.started"));
    if written.is_err() {
        // Nothing has begun, so nothing shall be locked.
        let _ = agent.parts.ledger.release(&lease);
    }
    written?;
    tokio::spawn(carry_out(agent.clone(), scope, lease, live, operation));
    Ok(())
}

/// What becomes of an operation whose turn may have come.
pub enum Turn {
    Begun,
    NotYet(Box<Waiting>),
    Refused(Box<Waiting>, Failure),
}

pub fn take_turn(agent: &Agent, waiting: Waiting) -> Turn {
    if let Err(refused) = agent.world().refuse_against_orders(&waiting.scope) {
        return Turn::Refused(Box::new(waiting), refused.into());
    }
    let Some(work) = waiting.operation.work.clone() else {
        return Turn::Refused(Box::new(waiting), Failure::new("the operation has no work", Ending::Failed));
    };
    match lock(agent, &waiting.scope, &work) {
        Ok(Ok(lease)) => {
            let (id, live) = (waiting.operation.id.clone(), waiting.live.clone());
            if let Err(failure) = start(agent, waiting, lease) {
                tracing::error!(operation = id, "could not begin: {}", failure.message);
                live.end(Ended::Failed { failure });
            }
            Turn::Begun
        }
        Ok(Err(_)) => Turn::NotYet(Box::new(waiting)),
        Err(failure) => Turn::Refused(Box::new(waiting), failure),
    }
}

/// Writes down how an operation ended, whether or not it had begun.
pub fn write_end(agent: &Agent, scope: &Scope, operation: &mut Operation, ended: &Ended) {
    operation.ended_ms = Some(agent.parts.clock.now_ms());
    operation.ended = Some(ended.clone());
    let written = save(agent, operation).and_then(|()| note(agent, scope, operation, "operation.ended"));
    if let Err(failure) = written {
        tracing::error!(operation = operation.id, "could not write down how it ended: {}", failure.message);
    }
}

async fn carry_out(agent: Agent, scope: Scope, lease: Lease, live: Arc<Live>, mut operation: Operation) {
    telling::begun(&agent, &scope, &operation);
    let renewing = tokio::spawn(renew(agent.clone(), lease.clone()));
    let ended = match operation.work.clone() {
        Some(work) => perform(&agent, &live, &operation.id, work).await,
        None => Ended::Failed { failure: Failure::new("the operation has no work", Ending::Failed) },
    };
    renewing.abort();
    write_end(&agent, &scope, &mut operation, &ended);
    telling::ended(&agent, &scope, &operation, &ended);
    if let Err(error) = agent.parts.ledger.release(&lease) {
        tracing::error!(operation = operation.id, "could not free the lock: {error}");
    }
    live.end(ended);
    queue::go_on(&agent, &scope);
}

async fn perform(agent: &Agent, live: &Arc<Live>, id: &str, work: Work) -> Ended {
    let talk = {
        let live = live.clone();
        Talk::new(move |said| live.push(Event::Said { ms: live.ms(), said }))
    };
    let world = World::new(agent.parts.clone(), talk, live.abort.clone()).notifying(agent.notices.clone());
    let result = match work {
        Work::Up(request) => {
            deploy::up::up(&world, id, &request, &agent.host).await.map(|report| Ended::Report { report })
        }
        Work::Rollback(request) => {
            deploy::rollback::rollback(&world, id, &request).await.map(|report| Ended::Report { report })
        }
        Work::Scale(request) => deploy::scale::scale(&world, id, &request).await.map(|report| Ended::Report { report }),
        Work::Restart(request) => {
            deploy::restart::restart(&world, id, &request).await.map(|report| Ended::Report { report })
        }
        Work::Prune(request) => deploy::prune::prune(&world, &request).await.map(|pruned| Ended::Pruned { pruned }),
        Work::Down { scope, volumes, .. } => {
            deploy::down(&world, &scope, volumes).await.map(|removed| Ended::Removed { removed })
        }
    };
    result.unwrap_or_else(|error| Ended::Failed { failure: error.into() })
}

fn scope_of(work: &Work) -> Result<Scope, Failure> {
    match work {
        Work::Up(request) => Ok(deploy::load::scope(&request.source)?),
        Work::Rollback(request) => Ok(request.scope.clone()),
        Work::Scale(request) => Ok(request.scope.clone()),
        Work::Restart(request) => Ok(request.scope.clone()),
        Work::Prune(request) => Ok(request.scope.clone()),
        Work::Down { scope, .. } => Ok(scope.clone()),
    }
}

/// The lock of a scope, or who has it.
fn lock(agent: &Agent, scope: &Scope, work: &Work) -> Result<Result<Lease, Holder>, Failure> {
    let ledger = &agent.parts.ledger;
    let holder = Holder {
        pid: std::process::id(),
        boot_id: agent.boot_id.clone(),
        note: format!("`{}` by {}", work.word(), work.by()),
    };
    // We hold the agent's own lock, so a holder with another pid is an agent that is gone.
    let me = holder.clone();
    ledger
        .steal_if_dead(&scope.lease(), |held| held.pid == me.pid && held.boot_id == me.boot_id)
        .map_err(failed("look at the lock"))?;
    match ledger.acquire(&scope.lease(), holder, LEASE) {
        Ok(lease) => Ok(Ok(lease)),
        Err(LeaseError::Held { holder, .. }) => Ok(Err(holder)),
        Err(error) => Err(failed("take the lock")(error)),
    }
}

async fn renew(agent: Agent, mut lease: Lease) {
    loop {
        tokio::time::sleep(RENEW).await;
        match agent.parts.ledger.renew(&lease) {
            Ok(renewed) => lease = renewed,
            Err(error) => {
                tracing::error!(lease = lease.name, "could not renew the lock: {error}");
                return;
            }
        }
    }
}

/// After a start: first every interrupted roll-out, then the operations they belonged to.
pub async fn recover(agent: Agent) {
    let world = agent.world();
    let mut finished = BTreeMap::new();
    match deploy::recover::recover(&world).await {
        Ok(recovered) => {
            for one in recovered {
                tracing::info!(saga = %one.saga, "an interrupted roll-out was {}", ending(&one.result));
                finished.extend(one.result.ok().map(|report| (one.operation, report)));
            }
        }
        Err(error) => tracing::error!("could not recover: {error}"),
    }
    if let Err(failure) = again(&agent, finished).await {
        tracing::error!("could not go on with interrupted operations: {}", failure.message);
    }
}

fn ending(result: &Result<deploy::report::ServiceReport, DeployError>) -> String {
    match result {
        Ok(report) => match &report.result {
            deploy::report::Outcome::Failed(failure) => format!("undone: {}", failure.cause),
            _ => "finished".into(),
        },
        Err(error) => format!("left: {error}"),
    }
}

/// An interrupted operation is done again: each goes on from what is there.
/// A rollback ended with its roll-out, however that went: a second one could go back too far.
/// One that used variables of a shell cannot be done again, since those are never stored.
async fn again(agent: &Agent, mut finished: BTreeMap<String, ServiceReport>) -> Result<(), Failure> {
    let all = agent.parts.ledger.list_records::<Operation>(OPERATION, "").map_err(failed("list operations"))?;
    for (_, operation) in all.into_iter().filter(|(_, operation)| operation.ended.is_none()) {
        let Some(work) = operation.work.clone() else { continue };
        let scope = match scope_of(&work) {
            Ok(scope) => scope,
            // Its folder is gone or says something else now; the others still have their turn.
            Err(failure) => {
                close(agent, operation, Ended::Failed { failure })?;
                continue;
            }
        };
        let over = match &work {
            Work::Rollback(request) => gone_back(agent, request, finished.remove(&operation.id))?,
            // A second restart would be one too many.
            Work::Restart(_) => finished.remove(&operation.id),
            _ => None,
        };
        if let Some(report) = over {
            let took = u64::try_from(agent.parts.clock.now_ms() - operation.started_ms).unwrap_or_default();
            let report = deploy::Report::new(scope, vec![report], took);
            close(agent, operation, Ended::Report { report })?;
            continue;
        }
        if used_shell(&operation) {
            let failure = Failure::new(
                "the agent ended while this was under way; what had begun was finished or undone",
                Ending::Failed,
            )
            .hint("run the same command again");
            close(agent, operation, Ended::Failed { failure })?;
            continue;
        }
        let lease = lock(agent, &scope, &work)?;
        let live = agent.operations.open(&operation.id);
        start_or_wait(agent, Waiting { operation, scope, live }, lease)?;
    }
    Ok(())
}

/// An operation of an earlier agent that is not done again.
fn close(agent: &Agent, mut operation: Operation, ended: Ended) -> Result<(), Failure> {
    operation.ended = Some(ended.clone());
    operation.ended_ms = Some(agent.parts.clock.now_ms());
    save(agent, &operation)?;
    agent.operations.open(&operation.id).end(ended);
    Ok(())
}

/// How a rollback ended, if it has: its roll-out was finished just now, or before the crash already.
fn gone_back(
    agent: &Agent,
    request: &deploy::rollback::Request,
    finished: Option<ServiceReport>,
) -> Result<Option<ServiceReport>, Failure> {
    let serving = agent.world().serving_of(&request.scope, &request.service)?;
    let there = serving.filter(|release| request.to.as_ref() == Some(&release.id));
    Ok(finished.or_else(|| {
        there.map(|release| ServiceReport {
            service: release.service,
            strategy: release.plan.strategy,
            release: Some(release.id),
            result: deploy::report::Outcome::Done,
            took_ms: 0,
            healthy_after_ms: release.healthy_after_ms,
            traffic_after_ms: None,
            phases: Vec::new(),
        })
    }))
}

fn used_shell(operation: &Operation) -> bool {
    operation.word.ends_with('$')
}

fn save(agent: &Agent, operation: &Operation) -> Result<(), Failure> {
    let mut stored = operation.clone();
    if let Some(Work::Up(request)) = &mut stored.work
        && !request.source.shell.is_empty()
    {
        request.source.shell.clear();
        stored.word.push('$');
    }
    agent.parts.ledger.put_record(OPERATION, &stored.id, &stored).map_err(failed("record the operation"))
}

fn note(agent: &Agent, scope: &Scope, operation: &Operation, kind: &str) -> Result<(), Failure> {
    let ended = operation.ended.as_ref().map(|ended| match ended {
        Ended::Report { report } => json!(report.ending),
        Ended::Removed { .. } | Ended::Pruned { .. } | Ended::Left { .. } => json!(Ending::Done),
        Ended::Failed { failure } => json!({ "error": failure.message }),
    });
    let event = NewEvent {
        kind: kind.into(),
        platform: scope.platform.clone(),
        environment: scope.environment.clone(),
        service: None,
        saga: None,
        data: json!({ "operation": operation.id, "what": operation.word, "by": operation.by, "ended": ended }),
    };
    agent.parts.ledger.append_event(event).map(drop).map_err(failed("record the event"))
}
