//! Running a roll-out, and what is written down when it has ended.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use saga::{LogEvent, Observer, Outcome as SagaOutcome, Runner};
use serde_json::json;
use spec::{Evidence, SagaId, Verdict};

use super::{Found, Params, RollOut};
use crate::error::{DeployError, Ending};
use crate::release::{Event, Release};
use crate::report::{Failure, Outcome, Phase, ServiceReport};
use crate::world::World;

/// Starts a new roll-out and follows it to its end.
pub async fn run(world: &World, params: Params, began: Duration) -> Result<ServiceReport, DeployError> {
    let id = saga_id(&params)?;
    let (runner, phases) = runner(world, &params.release.service);
    let failed = |source| DeployError::Saga { saga: id.to_string(), source };
    let mut release = params.release.clone();
    if params.start {
        world.advance(&mut release, &Event::Started)?;
        world.save_release(&release)?;
    }
    runner.create::<RollOut>(&id, &params).map_err(failed)?;
    let started = world.clock.monotonic();
    let outcome = runner.run::<RollOut>(world, &id, &world.abort).await;
    let took = world.clock.monotonic().saturating_sub(started);
    let mut report = finish(world, &params, &outcome)?;
    let_go(world, &params, &outcome).await?;
    report.took_ms = millis(took);
    report.phases = phases.lock().map(|phases| phases.clone()).unwrap_or_default();
    report.traffic_after_ms = report.phases.iter().any(|phase| phase.step == "switch").then(|| {
        let before_switch: u64 = report
            .phases
            .iter()
            .take_while(|phase| phase.step != "drain" && phase.step != "retire")
            .map(|phase| phase.ms)
            .sum();
        millis(started.saturating_sub(began)) + before_switch
    });
    Ok(report)
}

/// `op7.api.r12`: the operation can be read from it.
pub(crate) fn saga_id(params: &Params) -> Result<SagaId, DeployError> {
    let text = format!("{}.{}.{}", params.operation, params.release.service, params.release.id);
    SagaId::parse(&text).map_err(|error| DeployError::Refused(error.to_string()))
}

/// Goes on with a roll-out that a crash interrupted.
pub async fn resume(world: &World, id: &SagaId) -> Result<(Params, ServiceReport), DeployError> {
    let row = world.ledger.saga(id).map_err(|source| DeployError::Ledger { operation: "read the roll-out", source })?;
    let row = row.ok_or_else(|| DeployError::Unknown { what: format!("roll-out {id}"), known: String::new() })?;
    let params: Params = serde_json::from_value(row.params)
        .map_err(|error| DeployError::Refused(format!("the roll-out {id} was written by another version: {error}")))?;
    let (runner, _) = runner(world, &params.release.service);
    let outcome = runner.run::<RollOut>(world, id, &world.abort).await;
    let report = finish(world, &params, &outcome)?;
    let_go(world, &params, &outcome).await?;
    Ok((params, report))
}

/// A roll-out that is stuck waits for a person, and nobody's request shall wait with it.
async fn let_go(world: &World, params: &Params, outcome: &SagaOutcome<Found>) -> Result<(), DeployError> {
    if matches!(outcome, SagaOutcome::Stuck { .. }) && world.let_go(&params.release)? {
        // A dead edge holds nobody; the reconciler brings a living one in step.
        let _ = world.push_routes().await;
    }
    Ok(())
}

/// Runs a saga about one service; what it does is told, and how long each step takes is kept.
pub(crate) fn runner(world: &World, service: &spec::ServiceName) -> (Runner, Arc<Mutex<Vec<Phase>>>) {
    let phases = Arc::new(Mutex::new(Vec::new()));
    let watch = Watch { world: world.clone(), service: service.clone(), phases: phases.clone() };
    let runner = Runner::new(world.ledger.clone(), world.clock.clone()).observer(Arc::new(watch));
    let runner = match &world.faults {
        Some(faults) => runner.faults(faults.clone()),
        None => runner,
    };
    (runner, phases)
}

struct Watch {
    world: World,
    service: spec::ServiceName,
    phases: Arc<Mutex<Vec<Phase>>>,
}

impl Observer for Watch {
    fn event(&self, _: &SagaId, _: u64, event: &LogEvent, elapsed: Duration) {
        let text = match event {
            LogEvent::Started { step } => {
                self.world.talk.step(&self.service, step, None);
                return;
            }
            LogEvent::Succeeded { step, .. } => {
                if let Ok(mut phases) = self.phases.lock() {
                    phases.push(Phase { step: step.to_string(), ms: millis(elapsed) });
                }
                self.world.talk.step(&self.service, step, Some(millis(elapsed)));
                return;
            }
            LogEvent::Failed { step, .. } => format!("{step} failed"),
            LogEvent::UndoStarted { step } => format!("undoes {step}"),
            LogEvent::UndoFailed { step, .. } => format!("could not undo {step}"),
            LogEvent::UndoFinished { .. } => return,
        };
        self.world.talk.say(Some(&self.service), text);
    }
}

/// Writes down how it ended: the release's state, the audit entry, the evidence.
/// Running it twice, after a crash in between, changes nothing more.
fn finish(world: &World, params: &Params, outcome: &SagaOutcome<Found>) -> Result<ServiceReport, DeployError> {
    let release = &params.release;
    let (result, found) = match outcome {
        SagaOutcome::Done(found) => (Outcome::Done, Some(found)),
        SagaOutcome::Undone { state, failed_step, error } => {
            (Outcome::Failed(undone(world, params, state, failed_step, error)?), Some(state))
        }
        SagaOutcome::Stuck { step, error, state } => (Outcome::Failed(stuck(step, error)), state.as_ref()),
        SagaOutcome::Crashed => return Err(DeployError::Refused("the journal was told to stop here".into())),
        SagaOutcome::Stopped { error } => {
            return Err(DeployError::Refused(format!("the roll-out stopped where it was: {error}")));
        }
    };
    write_down(world, release, &result)?;
    let healthy_after_ms = found.and_then(|found| found.healthy_after_ms);
    Ok(ServiceReport { healthy_after_ms, ..unfinished_report(params, result) })
}

/// A report without times.
pub(crate) fn unfinished_report(params: &Params, result: Outcome) -> ServiceReport {
    let release = &params.release;
    ServiceReport {
        service: release.service.clone(),
        strategy: release.plan.strategy,
        release: Some(release.id.clone()),
        healthy_after_ms: None,
        result,
        took_ms: 0,
        traffic_after_ms: None,
        phases: Vec::new(),
    }
}

fn undone(
    world: &World,
    params: &Params,
    found: &Found,
    step: &str,
    error: &saga::Failure,
) -> Result<Failure, DeployError> {
    let cause = cause(error);
    let mut release = params.release.clone();
    if let Some(known) = world.release(&release.scope, &release.service, &release.id)? {
        release = known;
    }
    if params.start {
        world.advance(&mut release, &Event::Failed { reason: cause.clone() })?;
        world.save_release(&release)?;
    }
    let judged = (step.starts_with("healthy") || step == "run") && !world.abort.is_requested();
    let touched = found.container_id.is_some() || found.stopped_previous || judged;
    Ok(Failure {
        step: step.to_owned(),
        cause,
        logs: lines(&error.detail),
        kept: judged.then(|| kept(error, &release)),
        ending: if touched { Ending::RolledBack } else { Ending::Failed },
    })
}

/// The container that failed; with several copies it is not always the first.
fn kept(error: &saga::Failure, release: &Release) -> String {
    let named = error.detail.get("container").and_then(|container| container.as_str());
    named.map_or_else(|| release.container.clone(), str::to_owned)
}

pub(crate) fn stuck(step: &str, error: &saga::Failure) -> Failure {
    Failure {
        step: step.to_owned(),
        cause: chain(error),
        logs: lines(&error.detail),
        kept: None,
        ending: Ending::Stuck,
    }
}

/// Why it failed, in one line.
pub(crate) fn cause(error: &saga::Failure) -> String {
    let told = error.detail.get("cause").and_then(|cause| cause.as_str()).unwrap_or(&error.message);
    match error.message.starts_with(told) {
        true => chain(error),
        false => told.to_owned(),
    }
}

/// The failure and its causes in one line.
fn chain(error: &saga::Failure) -> String {
    let mut text = error.message.clone();
    let mut cause = error.source.as_deref();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.message);
        cause = next.source.as_deref();
    }
    text
}

pub(crate) fn lines(detail: &serde_json::Value) -> Vec<String> {
    let lines = detail.get("logs").and_then(|logs| logs.as_array());
    lines.into_iter().flatten().filter_map(|line| line.as_str().map(str::to_owned)).collect()
}

fn write_down(world: &World, release: &Release, result: &Outcome) -> Result<(), DeployError> {
    let ledger = |source| DeployError::Ledger { operation: "write down how the roll-out ended", source };
    let subject = format!("{}@{}", release.pool(), release.id);
    let (verdict, detail) = match result {
        Outcome::Failed(failure) => (
            Verdict::Fail(failure.cause.clone()),
            json!({ "step": failure.step, "cause": failure.cause, "ending": failure.ending }),
        ),
        _ => (Verdict::Pass, json!({ "image": release.image.id, "definition": release.definition.hash })),
    };
    world.ledger.append_audit(&release.by, "roll-out", &subject, detail.clone()).map_err(ledger)?;
    let evidence = Evidence { kind: "release".into(), subject, verdict, at_ms: world.clock.now_ms(), detail };
    world.ledger.record_evidence(&evidence).map(drop).map_err(ledger)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
