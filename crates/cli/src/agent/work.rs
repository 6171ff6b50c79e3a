//! Carrying operations out: the lease, the work, the record, and what is done again after a crash.

mod unfinished;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use deploy::recover::Interrupted;
use deploy::report::ServiceReport;
use deploy::{DeployError, Ending, Said, Scope, Talk, World};
use futures_util::FutureExt;
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
    let scope = scope_of(agent, &work)?;
    agent.world().refuse_against_orders(&scope)?;
    let lease = match lock(agent, &scope, &work)? {
        Ok(lease) => Ok(lease),
        Err(holder) if wait => Err(holder),
        Err(holder) => return Err(DeployError::Locked { scope: scope.to_string(), holder: holder.note }.into()),
    };
    let number = match agent.parts.ledger.next_number(OPERATION).map_err(failed("number the operation")) {
        Ok(number) => number,
        Err(failure) => {
            lease.into_iter().for_each(|lease| unfinished::free(agent, lease));
            return Err(failure);
        }
    };
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
        Ok(lease) => start(agent, waiting, lease, Leftover::default())?,
        Err(holder) => {
            save(agent, &waiting.operation)?;
            let text = format!("waits: {} is being changed by {}", waiting.scope, holder.note);
            waiting.live.push(Event::Said { ms: 0, said: Said::Line { service: None, text } });
            queue::wait(agent, waiting);
        }
    }
    Ok(id)
}

/// What an agent before this one has left of an operation.
#[derive(Default)]
struct Leftover {
    roll_outs: Vec<Interrupted>,
    /// Whether it is the operation's second beginning.
    again: bool,
}

fn start(agent: &Agent, waiting: Waiting, lease: Lease, left: Leftover) -> Result<(), Failure> {
    let Waiting { operation, scope, live } = waiting;
    let written = save_and_note(agent, &scope, &operation, "operation.started");
    if let Err(failure) = written {
        unfinished::free(agent, lease);
        return Err(failure);
    }
    tokio::spawn(carry_out(agent.clone(), scope, lease, live, operation, left));
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
            if let Err(failure) = start(agent, waiting, lease, Leftover::default()) {
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
    if let Err(failure) = try_write_end(agent, scope, operation, ended) {
        tracing::error!(operation = operation.id, "could not write down how it ended: {}", failure.message);
    }
}

fn try_write_end(agent: &Agent, scope: &Scope, operation: &mut Operation, ended: &Ended) -> Result<(), Failure> {
    operation.ended_ms = Some(agent.parts.clock.now_ms());
    operation.ended = Some(ended.clone());
    save_and_note(agent, scope, operation, "operation.ended")
}

async fn carry_out(
    agent: Agent,
    scope: Scope,
    lease: Lease,
    live: Arc<Live>,
    mut operation: Operation,
    left: Leftover,
) {
    let renewing = tokio::spawn(renew(agent.clone(), lease.clone()));
    let again = left.again;
    let work = async {
        telling::begun(&agent, &scope, &operation);
        unfinished::to_the_end(&agent, &scope, &live, &lease, &operation, left).await
    };
    let ended = AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_told| broke(&operation, again));
    renewing.abort();
    unfinished::close(&agent, &scope, &live, &lease, &mut operation, &ended).await;
    telling::ended(&agent, &scope, &operation, &ended);
    live.end(ended);
    queue::go_on(&agent, &scope);
}

/// A fault of the agent's own, which its log has told. Its next life finishes or undoes what was under way, as after any
/// other death; where that breaks as well, this operation alone is given up.
fn broke(operation: &Operation, again: bool) -> Ended {
    tracing::error!(operation = operation.id, again, "broke: a fault of Mainstay's own");
    if !again {
        std::process::abort();
    }
    let failure = Failure::new("the agent broke off twice while it did this", Ending::Stuck);
    Ended::Failed {
        failure: failure.hint("its log says where; what was under way is gone on with when it starts anew"),
    }
}

async fn perform(agent: &Agent, live: &Arc<Live>, lease: &Lease, operation: &Operation, left: Leftover) -> Ended {
    let talk = {
        let live = live.clone();
        Talk::new(move |said| live.push(Event::Said { ms: live.ms(), said }))
    };
    let world = World::new(agent.parts.clone(), talk, live.abort.clone()).notifying(agent.notices.clone());
    let world = world.fenced(fence(agent, lease));
    let again = left.again;
    let finished = go_on(&world, left.roll_outs).await;
    let id = &operation.id;
    let Some(work) = operation.work.clone() else {
        return Ended::Failed { failure: Failure::new("the operation has no work", Ending::Failed) };
    };
    if again && let Some(ended) = ended_already(agent, operation, &work, finished) {
        return ended;
    }
    if used_shell(operation) {
        let failure = Failure::new(
            "the agent ended while this was under way; what had begun was finished or undone",
            Ending::Failed,
        );
        return Ended::Failed { failure: failure.hint("run the same command again") };
    }
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
        Work::Down { scope, volumes, named, .. } => {
            let request = deploy::removal::Request { scope, volumes, named };
            deploy::down(&world, &request).await.map(|removed| Ended::Removed { removed })
        }
        Work::ToCompose(request) => deploy::to_compose::to_compose(&world, id, &request, &agent.host)
            .await
            .map(|released| Ended::Released { released }),
    };
    result.unwrap_or_else(|error| Ended::Failed { failure: error.into() })
}

/// Finishes or undoes what was interrupted, one after the other.
async fn go_on(world: &World, roll_outs: Vec<Interrupted>) -> Vec<ServiceReport> {
    let mut finished = Vec::new();
    for one in roll_outs {
        for one in deploy::recover::go_on(world, one).await {
            tracing::info!(saga = %one.saga, "an interrupted roll-out was {}", ending(&one.result));
            finished.extend(one.result.ok());
        }
    }
    finished
}

/// An interrupted operation is done again: each goes on from what is there. Two end with their roll-out, however that
/// went: a second rollback could go back too far, and a second restart would be one too many.
fn ended_already(agent: &Agent, operation: &Operation, work: &Work, mut finished: Vec<ServiceReport>) -> Option<Ended> {
    let (scope, over) = match work {
        Work::Rollback(request) => (&request.scope, gone_back(agent, request, finished.pop())),
        Work::Restart(request) => (&request.scope, made_already(agent, operation, finished.pop())),
        _ => return None,
    };
    match over {
        Ok(report) => report.map(|report| {
            let took = u64::try_from(agent.parts.clock.now_ms() - operation.started_ms).unwrap_or_default();
            Ended::Report { report: deploy::Report::new(scope.clone(), vec![report], took) }
        }),
        Err(failure) => Some(Ended::Failed { failure }),
    }
}

fn scope_of(agent: &Agent, work: &Work) -> Result<Scope, Failure> {
    match work {
        Work::Up(request) => Ok(deploy::load::scope(&agent.world(), &request.source)?),
        Work::Rollback(request) => Ok(request.scope.clone()),
        Work::Scale(request) => Ok(request.scope.clone()),
        Work::Restart(request) => Ok(request.scope.clone()),
        Work::Prune(request) => Ok(request.scope.clone()),
        Work::Down { scope, .. } => Ok(scope.clone()),
        Work::ToCompose(request) => Ok(deploy::load::scope(&agent.world(), &request.source)?),
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
    ledger.steal_if_dead(&scope.lease(), |held| is_ours(agent, held)).map_err(failed("look at the lock"))?;
    // Whoever holds it in this very agent lives, whatever a clock says that has been set.
    if let Some(held) = ledger.holder(&scope.lease()).map_err(failed("look at the lock"))? {
        return Ok(Err(held.holder));
    }
    match ledger.acquire(&scope.lease(), holder, LEASE) {
        Ok(lease) => Ok(Ok(lease)),
        Err(LeaseError::Held { holder, .. }) => Ok(Err(holder)),
        Err(error) => Err(failed("take the lock")(error)),
    }
}

/// We hold the agent's own lock, so a holder with another pid is an agent that is gone.
fn is_ours(agent: &Agent, holder: &Holder) -> bool {
    holder.pid == std::process::id() && holder.boot_id == agent.boot_id
}

/// Asked before every step: whether the lock is still this operation's. By its token, never by the clock.
fn fence(agent: &Agent, lease: &Lease) -> saga::Fence {
    let (ledger, lease) = (agent.parts.ledger.clone(), lease.clone());
    Arc::new(move || ledger.check(&lease).map_err(Into::into))
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

/// After a start, before anybody is answered: every interrupted operation takes its lock again, and goes on with its
/// roll-outs and then with itself. A watch or a canary may take hours, so they do not wait for each other.
/// Were somebody answered first, a newer operation could have the lock, and the interrupted one would never end.
/// What belongs to none of them is left for [`go_on_alone`].
pub fn take_up(agent: &Agent) -> Vec<Interrupted> {
    let mut interrupted = match deploy::recover::interrupted(&agent.world()) {
        Ok(interrupted) => interrupted,
        Err(error) => {
            tracing::error!("could not recover: {error}");
            return Vec::new();
        }
    };
    let all = match agent.parts.ledger.list_records::<Operation>(OPERATION, "") {
        Ok(all) => all.into_iter().map(|(_, operation)| operation),
        Err(error) => {
            tracing::error!("could not go on with interrupted operations: {error}");
            return Vec::new();
        }
    };
    let mut unfinished: Vec<(Operation, Leftover)> = Vec::new();
    for operation in all.filter(|operation| operation.ended.is_none()) {
        let of_this = |one: &mut Interrupted| one.operation == operation.id;
        let left = Leftover { roll_outs: interrupted.extract_if(.., of_this).collect(), again: true };
        unfinished.push((operation, left));
    }
    // Those that had begun hold their lock again before one that only waited can take it.
    unfinished.sort_by_key(|(_, left)| left.roll_outs.is_empty());
    for (operation, left) in unfinished {
        let (id, orphans) = (operation.id.clone(), left.roll_outs.clone());
        if let Err(failure) = again(agent, operation, left) {
            tracing::error!(operation = id, "could not go on with it as a whole: {}", failure.message);
            interrupted.extend(orphans);
        }
    }
    free_forgotten(agent);
    interrupted
}

/// Finishes or undoes what no operation goes on with.
pub async fn go_on_alone(agent: Agent, interrupted: Vec<Interrupted>) {
    go_on(&agent.world(), interrupted).await;
}

/// What an agent before this one had locked, and died before it had begun anything. Those that have begun are locked again.
fn free_forgotten(agent: &Agent) {
    match agent.parts.ledger.free_dead(|held| is_ours(agent, held)) {
        Ok(freed) => {
            for (lease, holder) in freed {
                tracing::info!(lease, "freed the lock of {}, which had not begun when its agent ended", holder.note);
            }
        }
        Err(error) => tracing::error!("could not look for forgotten locks: {error}"),
    }
}

fn again(agent: &Agent, operation: Operation, left: Leftover) -> Result<(), Failure> {
    let Some(work) = operation.work.clone() else { return Err(Failure::new("it has no work", Ending::Failed)) };
    let scope = match scope_of(agent, &work) {
        Ok(scope) => scope,
        // Its folder is gone or says something else now; what it had begun is finished or undone all the same.
        Err(failure) => {
            close(agent, operation, Ended::Failed { failure: failure.clone() })?;
            return Err(failure);
        }
    };
    let lease = lock(agent, &scope, &work)?;
    let live = agent.operations.open(&operation.id);
    let waiting = Waiting { operation, scope, live };
    match lease {
        Ok(lease) => start(agent, waiting, lease, left),
        Err(holder) if left.roll_outs.is_empty() => start_or_wait(agent, waiting, Err(holder)).map(drop),
        Err(holder) => {
            let failure = Failure::new(format!("its lock is held by {}", holder.note), Ending::Refused);
            close(agent, waiting.operation, Ended::Failed { failure: failure.clone() })?;
            Err(failure)
        }
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

/// An operation of an earlier agent that is not done again.
fn close(agent: &Agent, mut operation: Operation, ended: Ended) -> Result<(), Failure> {
    operation.ended = Some(ended.clone());
    operation.ended_ms = Some(agent.parts.clock.now_ms());
    save(agent, &operation)?;
    agent.operations.open(&operation.id).end(ended);
    Ok(())
}

/// How a restart ended, if it has: a second one would be one too many, also where the agent died between the end of its
/// roll-out and its own.
fn made_already(
    agent: &Agent,
    operation: &Operation,
    finished: Option<ServiceReport>,
) -> Result<Option<ServiceReport>, Failure> {
    match finished {
        Some(report) => Ok(Some(report)),
        None => Ok(deploy::up::ended_before(&agent.world(), &operation.id)?.into_values().next()),
    }
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
            judged: Vec::new(),
        })
    }))
}

fn used_shell(operation: &Operation) -> bool {
    operation.word.ends_with('$')
}

fn save(agent: &Agent, operation: &Operation) -> Result<(), Failure> {
    let stored = stored(operation);
    agent.parts.ledger.put_record(OPERATION, &stored.id, &stored).map_err(failed("record the operation"))
}

/// Both or neither: one that is recorded and was never begun would be begun at the agent's next start.
fn save_and_note(agent: &Agent, scope: &Scope, operation: &Operation, kind: &str) -> Result<(), Failure> {
    let (stored, event) = (stored(operation), event(scope, operation, kind));
    let written = agent.parts.ledger.transaction(|tx| {
        tx.put_record(OPERATION, &stored.id, &stored)?;
        tx.append_event(event).map(drop)
    });
    written.map_err(failed("record the operation"))
}

/// As it is kept: without the values of the caller's shell.
fn stored(operation: &Operation) -> Operation {
    let mut stored = operation.clone();
    let source = match &mut stored.work {
        Some(Work::Up(request)) => Some(&mut request.source),
        Some(Work::ToCompose(request)) => Some(&mut request.source),
        _ => None,
    };
    if let Some(source) = source.filter(|source| !source.shell.is_empty()) {
        source.shell.clear();
        stored.word.push('$');
    }
    stored
}

fn event(scope: &Scope, operation: &Operation, kind: &str) -> NewEvent {
    let ended = operation.ended.as_ref().map(|ended| match ended {
        Ended::Report { report } => json!(report.ending),
        Ended::Removed { .. } | Ended::Released { .. } | Ended::Pruned { .. } | Ended::Left { .. } => {
            json!(Ending::Done)
        }
        Ended::Failed { failure } => json!({ "error": failure.message }),
        Ended::Waits { .. } => json!(null),
    });
    NewEvent {
        kind: kind.into(),
        platform: scope.platform.clone(),
        environment: scope.environment.clone(),
        service: None,
        saga: None,
        data: json!({ "operation": operation.id, "what": operation.word, "by": operation.by, "ended": ended }),
    }
}
