//! Running a roll-out, and what is written down when it has ended.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ledger::SagaRow;
use machine::docker::DockerError;
use saga::{LogEvent, Observer, Outcome as SagaOutcome, Runner};
use serde_json::json;
use spec::platform::NoticeKind;
use spec::{Evidence, SagaId, Strategy, Verdict};

use super::{Found, Params, RollOut};
use crate::error::{DeployError, Ending};
use crate::notify::Notice;
use crate::release::{Event, Release};
use crate::report::{self, Failure, Outcome, Phase, ServiceReport, Traffic};
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
            .take_while(|phase| !matches!(phase.step.as_str(), "soak" | "drain" | "retire"))
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
    let params = params_of(&row)?;
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
    (bare_runner(world).observer(Arc::new(watch)), phases)
}

/// A runner under the operation's fence.
pub(crate) fn bare_runner(world: &World) -> Runner {
    let mut runner = Runner::new(world.ledger.clone(), world.clock.clone());
    if let Some(faults) = &world.faults {
        runner = runner.faults(faults.clone());
    }
    if let Some(fence) = &world.fence {
        runner = runner.fence(fence.clone());
    }
    let world = world.clone();
    runner.ready(Arc::new(move || Box::pin(docker_answers(world.clone()))))
}

/// How often Docker is asked whether it is back.
const BACK: Duration = Duration::from_millis(500);

/// Waits as long as Docker is away: without it nothing can be finished or undone, and given up in the middle a roll-out
/// would be stuck for no reason but an engine that was restarted.
async fn docker_answers(world: World) {
    let mut is_told = false;
    while let Err(DockerError::NotReachable { .. } | DockerError::Timeout { .. }) = world.docker.ping().await {
        if !is_told {
            let text = "Docker does not answer; this goes on by itself as soon as it does (`systemctl start docker`)";
            world.talk.say(None, text);
            is_told = true;
        }
        tokio::time::sleep(BACK).await;
    }
    if is_told {
        world.talk.say(None, "Docker answers again");
    }
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
    let (result, found) = told(world, params, outcome)?;
    write_down(world, params, &result, found)?;
    tell_flip(world, params, &result)?;
    Ok(report(params, result, found))
}

/// Traffic that went back by itself is told of by itself: it may be the one service of ten that a deploy changed.
fn tell_flip(world: &World, params: &Params, result: &Outcome) -> Result<(), DeployError> {
    let Outcome::Failed(failure) = result else { return Ok(()) };
    let has_flipped = failure.is_of_a_watch() && failure.ending == Ending::RolledBack && !world.abort.is_requested();
    let release = &params.release;
    if let Some(platform) = world.platform(&release.scope)?.filter(|_| has_flipped) {
        world.tell(Notice {
            operation: Some(params.operation.clone()),
            services: vec![release.service.clone()],
            cause: Some(failure.cause.clone()),
            why: release.why.clone(),
            ..Notice::new(NoticeKind::FlippedBack, &release.scope, platform.dir, "roll-out", &release.by)
        });
    }
    Ok(())
}

/// How a roll-out has ended that is not to be begun again; nothing is written. `None` when it has not.
pub fn ended(world: &World, row: &SagaRow) -> Result<Option<ServiceReport>, DeployError> {
    if row.outcome.is_none() {
        return Ok(None);
    }
    let params = params_of(row)?;
    let (runner, _) = runner(world, &params.release.service);
    let told_by = |outcome: &SagaOutcome<Found>| {
        told(world, &params, outcome).map(|(result, found)| report(&params, result, found))
    };
    // An ended saga is not run, its outcome is told.
    let outcome = futures_util::FutureExt::now_or_never(runner.run::<RollOut>(world, &row.id, &world.abort));
    outcome.map(|outcome| told_by(&outcome)).transpose()
}

fn params_of(row: &SagaRow) -> Result<Params, DeployError> {
    serde_json::from_value(row.params.clone()).map_err(|error| {
        DeployError::Refused(format!("the roll-out {} was written by another version: {error}", row.id))
    })
}

fn report(params: &Params, result: Outcome, found: Option<&Found>) -> ServiceReport {
    ServiceReport {
        healthy_after_ms: found.and_then(|found| found.healthy_after_ms),
        judged: found.map(|found| found.judged.clone()).unwrap_or_default(),
        ..unfinished_report(params, result)
    }
}

fn told<'f>(
    world: &World,
    params: &Params,
    outcome: &'f SagaOutcome<Found>,
) -> Result<(Outcome, Option<&'f Found>), DeployError> {
    Ok(match outcome {
        SagaOutcome::Done(found) => (stands(params, found), Some(found)),
        SagaOutcome::Undone { state, failed_step, error } => {
            (Outcome::Failed(undone(world, params, state, failed_step, error)?), Some(state))
        }
        SagaOutcome::Stuck { step, error, state } => (Outcome::Failed(stuck(step, error)), state.as_ref()),
        SagaOutcome::Crashed => return Err(DeployError::Refused("the journal was told to stop here".into())),
        SagaOutcome::Stopped { error } => {
            return Err(DeployError::Refused(format!("the roll-out stopped where it was: {error}")));
        }
    })
}

/// A release that does worse and stays all the same, since nothing goes back past its migration, needs a person.
fn stands(params: &Params, found: &Found) -> Outcome {
    let worse = found.judged.iter().find_map(|judgement| match &judgement.verdict {
        Verdict::Fail(cause) => Some(cause),
        _ => None,
    });
    let Some(cause) = worse else { return Outcome::Done };
    let (service, kind) = (&params.release.service, params.migration().map_or("", |m| m.kind.as_str()));
    Outcome::Failed(Failure {
        step: "soak".into(),
        cause: format!(
            "{cause}; it goes on serving, since its {kind} migration has run: `mainstay rollback {service} --past-migration` goes back all the same"
        ),
        logs: Vec::new(),
        kept: None,
        ending: Ending::Stuck,
        traffic: Traffic::Unsaid,
    })
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
        judged: Vec::new(),
    }
}

fn undone(
    world: &World,
    params: &Params,
    found: &Found,
    step: &str,
    error: &saga::Failure,
) -> Result<Failure, DeployError> {
    // Traffic is as before, and the database may not be.
    let left = world.migration_of(&params.release)?.and_then(|migrated| migrated.warning());
    let cause = left.iter().fold(cause(error), |cause, left| format!("{cause}; {left}"));
    let mut release = params.release.clone();
    if let Some(known) = world.release(&release.scope, &release.service, &release.id)? {
        release = known;
    }
    if params.start {
        world.advance(&mut release, &Event::Failed { reason: cause.clone() })?;
        world.save_release(&release)?;
    }
    let judged = !error.is_abort() && !world.abort.is_requested() && is_verdict(step);
    let touched = found.container_id.is_some() || found.stopped_previous || judged;
    Ok(Failure {
        step: step.to_owned(),
        cause,
        logs: lines(&error.detail),
        kept: judged.then(|| kept(error, &release)),
        ending: if touched { Ending::RolledBack } else { Ending::Failed },
        traffic: traffic(params, found, step),
    })
}

/// What became of the traffic of a roll-out that was undone.
fn traffic(params: &Params, found: &Found, step: &str) -> Traffic {
    let Some(previous) = params.previous.clone() else { return Traffic::Unsaid };
    if params.release.plan.strategy == Strategy::Job {
        return Traffic::Unsaid;
    }
    if params.holds() {
        let Some(stopped_ms) = found.stopped_ms else { return Traffic::Stayed };
        let away_ms = found.back_ms.and_then(|back_ms| u64::try_from(back_ms - stopped_ms).ok());
        return Traffic::RunsAgain { release: previous, away_ms };
    }
    let has_shared = params.rolls() || step.starts_with("judge ") || step.starts_with("canary ");
    match has_shared || found.switched_ms.is_some() {
        true => Traffic::WentBack { release: previous },
        false => Traffic::Stayed,
    }
}

/// Whether a failure of this step says something about the release, whose container is kept then.
fn is_verdict(step: &str) -> bool {
    step == "run" || report::is_watch(step) || step.starts_with("healthy") || step.starts_with("judge ")
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
        traffic: Traffic::Unsaid,
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

fn write_down(world: &World, params: &Params, result: &Outcome, found: Option<&Found>) -> Result<(), DeployError> {
    let release = &params.release;
    let ledger = |source| DeployError::Ledger { operation: "write down how the roll-out ended", source };
    let subject = format!("{}@{}", release.pool(), release.id);
    let (verdict, detail) = match result {
        Outcome::Failed(failure) => (
            Verdict::Fail(failure.cause.clone()),
            json!({ "step": failure.step, "cause": failure.cause, "ending": failure.ending }),
        ),
        _ => (Verdict::Pass, json!({ "image": release.image.id, "definition": release.definition.hash })),
    };
    let at_ms = world.clock.now_ms();
    for judgement in found.iter().flat_map(|found| &found.judged) {
        let (kind, verdict) = (judgement.watch.kind().to_owned(), judgement.verdict.clone());
        let detail = json!({ "judgement": judgement, "limits": release.plan.soak_limits });
        let evidence = Evidence { kind, subject: subject.clone(), verdict, at_ms, detail };
        world.ledger.record_evidence(&evidence).map_err(ledger)?;
    }
    world.ledger.append_audit(&release.by, "roll-out", &subject, detail.clone()).map_err(ledger)?;
    let evidence = Evidence { kind: "release".into(), subject, verdict, at_ms, detail };
    world.ledger.record_evidence(&evidence).map(drop).map_err(ledger)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
