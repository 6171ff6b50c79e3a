//! A deploy of several services that is one: all of them switch, or none.
//!
//! It is a saga of sagas: a step for each group of services that do not depend on each other, which carries their
//! roll-outs out, and whose undo takes those that have switched back to their releases from before, the last first.
//! Its journal says which services belong together and how far it is, so a crash at any instant ends in one of the two.

mod steps;

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use saga::{Outcome as SagaOutcome, Runner, Saga, Step};
use serde::{Deserialize, Serialize};
use spec::{ReleaseId, SagaId, ServiceName};

use crate::error::{DeployError, Ending};
use crate::names::Scope;
use crate::release::{Event, State};
use crate::report::{Failure, Outcome, Report, ServiceReport};
use crate::roll_out::{self, after};
use crate::world::World;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Params {
    pub operation: String,
    pub scope: Scope,
    /// Groups of roll-outs; each depends only on earlier ones.
    pub groups: Vec<Vec<roll_out::Params>>,
}

impl Params {
    /// All of them, in order.
    pub fn members(&self) -> impl DoubleEndedIterator<Item = &roll_out::Params> {
        self.groups.iter().flatten()
    }
}

/// What the steps may touch, and where they leave their reports.
pub struct Stage {
    pub world: World,
    reports: Mutex<BTreeMap<ServiceName, ServiceReport>>,
    began: Duration,
}

impl Stage {
    pub fn new(world: World, began: Duration) -> Stage {
        Stage { world, reports: Mutex::default(), began }
    }
}

/// Everything is found again by name; there is nothing to carry from step to step.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Found {}

pub struct Together;

impl Saga for Together {
    type World = Stage;
    type Params = Params;
    type State = Found;
    const KIND: &'static str = "together";

    fn steps(params: &Params) -> Vec<Step<Self>> {
        let step = |(index, _): (usize, &Vec<roll_out::Params>)| {
            Step::new(format!("group-{}", index + 1), move |stage, params, _| steps::roll_out(stage, params, index))
                .undo(move |stage, params, _| steps::go_back(stage, params, index))
        };
        params.groups.iter().enumerate().map(step).collect()
    }
}

pub async fn run(world: &World, params: &Params, began: Duration) -> Result<Report, DeployError> {
    let id = id(&params.operation)?;
    let runner = after::bare_runner(world);
    if world.saga(&id)?.is_none() {
        runner.create::<Together>(&id, params).map_err(|source| DeployError::Saga { saga: id.to_string(), source })?;
    }
    carry_on(world, &runner, &id, params, began).await
}

/// The end of an operation that has begun before a crash; `None` when it was none of these.
pub async fn resume(world: &World, operation: &str) -> Result<Option<Report>, DeployError> {
    let id = id(operation)?;
    let Some(row) = world.saga(&id)? else { return Ok(None) };
    let params: Params = serde_json::from_value(row.params)
        .map_err(|error| DeployError::Refused(format!("{id} was written by another version: {error}")))?;
    let began = world.clock.monotonic();
    carry_on(world, &after::bare_runner(world), &id, &params, began).await.map(Some)
}

async fn carry_on(
    world: &World,
    runner: &Runner,
    id: &SagaId,
    params: &Params,
    began: Duration,
) -> Result<Report, DeployError> {
    let stage = Stage::new(world.clone(), began);
    let outcome = runner.run::<Together>(&stage, id, &world.abort).await;
    let trouble = match &outcome {
        SagaOutcome::Done(_) => None,
        SagaOutcome::Undone { error, .. } => Some(back(&error.message)),
        SagaOutcome::Stuck { step, error, .. } => Some(Outcome::Failed(after::stuck(step, error))),
        SagaOutcome::Crashed => return Err(DeployError::Refused("the journal was told to stop here".into())),
        SagaOutcome::Stopped { error } => {
            return Err(DeployError::Refused(format!("the deploy stopped where it was: {error}")));
        }
    };
    let mut reports = Vec::new();
    for member in params.members() {
        reports.push(report(&stage, member, trouble.as_ref()).await?);
    }
    give_up_the_rest(world, params)?;
    let took = world.clock.monotonic().saturating_sub(began);
    let mut report = Report::new(params.scope.clone(), reports, u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    if matches!(outcome, SagaOutcome::Undone { .. }) && report.ending == Ending::Done {
        report.ending = Ending::RolledBack;
    }
    Ok(report)
}

fn back(because: &str) -> Outcome {
    Outcome::WentBack { because: because.to_owned() }
}

/// What became of one service; `trouble` is what befell all of them together.
async fn report(
    stage: &Stage,
    member: &roll_out::Params,
    trouble: Option<&Outcome>,
) -> Result<ServiceReport, DeployError> {
    let release = &member.release;
    let told = stage.reports.lock().remove(&release.service);
    let mut report = match told {
        Some(report) => report,
        // Told by a process that is no more, or never begun.
        None => match stage.world.saga(&after::saga_id(member)?)? {
            Some(row) => after::resume(&stage.world, &row.id).await?.1,
            None => after::unfinished_report(member, Outcome::NotReached),
        },
    };
    let has_switched = report.result == Outcome::Done;
    if let Some(trouble) = trouble.filter(|_| has_switched) {
        report.result = trouble.clone();
    }
    if matches!(report.result, Outcome::WentBack { .. }) {
        report.release.clone_from(&member.previous);
    }
    Ok(report)
}

/// Releases whose turn never came.
fn give_up_the_rest(world: &World, params: &Params) -> Result<(), DeployError> {
    for member in params.members() {
        let release = &member.release;
        let known = world.release(&release.scope, &release.service, &release.id)?;
        if let Some(mut known) = known.filter(|known| known.state == State::Prepared) {
            world.advance(&mut known, &Event::Failed { reason: "another service of its deploy failed".into() })?;
            world.save_release(&known)?;
        }
    }
    Ok(())
}

fn id(operation: &str) -> Result<SagaId, DeployError> {
    SagaId::parse(&format!("{operation}.together")).map_err(|error| DeployError::Refused(error.to_string()))
}

/// Which release a service goes back to, in the talk.
fn previous_word(previous: Option<&ReleaseId>) -> String {
    previous.map_or_else(|| "nothing".into(), ToString::to_string)
}

/// A failure of one member, as the failure of them all.
fn failed(service: &ServiceName, failure: &Failure) -> saga::StepError {
    saga::StepError::because(format!("`{service}` failed at `{}`: {}", failure.step, failure.cause))
}
