//! More or fewer copies of a release that serves, without a new release.
//!
//! More: the new copies start, prove themselves, and then get requests with the others.
//! Fewer: the last copies get no more requests, finish what they have, and are removed.
//! The number is kept beside the compose file's own, and counts until the file says another.

pub mod steps;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use saga::{Outcome as SagaOutcome, Saga, Step};
use serde::{Deserialize, Serialize};
use serde_json::json;
use spec::{Project, ReleaseId, SagaId, ServiceName, Strategy};

use crate::copies;
use crate::error::{DeployError, Ending};
use crate::load::Loaded;
use crate::names::Scope;
use crate::release::Release;
use crate::report::{Failure, Outcome, Report, ServiceReport, Traffic};
use crate::roll_out::after;
use crate::world::World;

/// More copies than this on one machine are a slip of the finger.
pub const MOST: u32 = 100;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    pub scope: Scope,
    pub copies: BTreeMap<ServiceName, u32>,
    pub by: String,
}

/// A number that was set by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaled {
    pub copies: u32,
    /// What the file said when it was set; once the file says something else, that counts.
    pub instead_of: u32,
}

/// What changes for one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Params {
    pub scope: Scope,
    pub service: ServiceName,
    pub release: ReleaseId,
    pub from: u32,
    pub to: u32,
    /// Copies that stay and lie still: they are started again as they were before the number changes.
    #[serde(default)]
    pub still: Vec<u32>,
}

impl Params {
    /// The numbers of the copies that come or go.
    fn changing(&self) -> Vec<u32> {
        (self.from.min(self.to) + 1..=self.from.max(self.to)).collect()
    }
}

/// What the steps find out.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Found {
    pub healthy_after_ms: Option<u64>,
    /// Requests that were still running when the drain's budget was over.
    pub left: u64,
}

pub struct Scale;

impl Saga for Scale {
    type World = World;
    type Params = Params;
    type State = Found;
    const KIND: &'static str = "scale";

    fn steps(params: &Params) -> Vec<Step<Self>> {
        let mut all = Vec::new();
        if !params.still.is_empty() {
            all.push(Step::new("start again", steps::bring_back).no_undo("what serves is wanted as it was"));
        }
        match params.to.cmp(&params.from) {
            Ordering::Greater => all.extend([
                Step::new("start", steps::start).undo(steps::remove),
                Step::new("healthy", steps::healthy).no_undo("it only looks"),
                Step::new("join", steps::count).undo(steps::count_back).commits(),
            ]),
            Ordering::Equal => all.push(Step::new("join", steps::count).undo(steps::count_back).commits()),
            Ordering::Less => all.extend([
                Step::new("leave", steps::count).undo(steps::count_back).commits(),
                Step::new("drain", steps::drain).no_undo("waiting changes nothing"),
                Step::new("stop", steps::remove).no_undo("nobody is sent there any more"),
            ]),
        }
        all
    }
}

/// The project with the numbers that were set by hand; answers those that count.
pub fn lay_over(known: &BTreeMap<ServiceName, Scaled>, project: &mut Project) -> BTreeMap<ServiceName, Scaled> {
    let mut counting = BTreeMap::new();
    for (name, scaled) in known {
        if let Some(service) = project.services.get_mut(name).filter(|service| service.replicas == scaled.instead_of) {
            service.replicas = scaled.copies;
            counting.insert(name.clone(), *scaled);
        }
    }
    counting
}

pub async fn scale(world: &World, operation: &str, request: &Request) -> Result<Report, DeployError> {
    let began = world.clock.monotonic();
    let mut serving = Vec::new();
    // All of it is looked at before any of it is done.
    for (service, copies) in &request.copies {
        let release = world.serving_of(&request.scope, service)?;
        let known = || world.serving(&request.scope).map(|all| all.into_keys().map(|name| name.to_string()).collect());
        let Some(release) = release else {
            let known: Vec<String> = known()?;
            return Err(DeployError::Unknown { what: format!("running service `{service}`"), known: known.join(", ") });
        };
        allowed(&release, *copies, of_the_file(world, &release)?)?;
        serving.push((release, *copies));
    }
    let mut reports = Vec::new();
    for (release, copies) in serving {
        let report = one(world, operation, release.clone(), copies, &request.by).await?;
        if matches!(report.result, Outcome::Done | Outcome::Unchanged) {
            remember(world, &release, copies)?;
        }
        reports.push(report);
    }
    let took = world.clock.monotonic().saturating_sub(began);
    Ok(Report::new(request.scope.clone(), reports, millis(took)))
}

/// Why a service cannot have so many copies. One whose releases must not meet may have several where its file says so.
fn allowed(release: &Release, copies: u32, file: u32) -> Result<(), DeployError> {
    let refused = |why: String| Err(DeployError::Refused(format!("`{}` {why}", release.service)));
    match release.plan.strategy {
        _ if !(1..=MOST).contains(&copies) => refused(format!("can have from 1 to {MOST} copies, not {copies}")),
        Strategy::Job => refused("is a job: it runs once for each release".into()),
        Strategy::Exclusive if copies > 1 && file < 2 => refused(format!(
            "is never there twice ({}); write another strategy into mainstay.yaml if it may be",
            release.plan.reason
        )),
        _ => Ok(()),
    }
}

/// As many copies as the files and the numbers set by hand say by now.
pub async fn follow_file(
    world: &World,
    operation: &str,
    release: Release,
    copies: u32,
    file: u32,
) -> Result<ServiceReport, DeployError> {
    let by = release.by.clone();
    let report = one(world, operation, release.clone(), copies, &by).await?;
    // What `scale` later sets is set instead of this.
    if let Some(mut release) = world.release(&release.scope, &release.service, &release.id)? {
        release.plan.replicas = file;
        world.save_release(&release)?;
    }
    Ok(report)
}

/// A number set by hand is forgotten once the file has another than it had then.
pub fn forget_overtaken(world: &World, loaded: &Loaded) -> Result<(), DeployError> {
    for service in world.scaled(&loaded.scope)?.into_keys().filter(|service| !loaded.scaled.contains_key(service)) {
        world.forget_scaled(&loaded.scope, &service)?;
    }
    Ok(())
}

/// One service, to so many copies.
async fn one(
    world: &World,
    operation: &str,
    release: Release,
    copies: u32,
    by: &str,
) -> Result<ServiceReport, DeployError> {
    let still = copies::still(world, &release, release.copies.min(copies)).await?;
    if release.copies == copies && still.is_empty() {
        return Ok(report(&release, Outcome::Unchanged));
    }
    let params = Params {
        scope: release.scope.clone(),
        service: release.service.clone(),
        release: release.id.clone(),
        from: release.copies,
        to: copies,
        still,
    };
    let id = SagaId::parse(&format!("{operation}.scale.{}", release.service));
    let id = id.map_err(|error| DeployError::Refused(error.to_string()))?;
    let failed = |source| DeployError::Saga { saga: id.to_string(), source };
    let (runner, phases) = after::runner(world, &release.service);
    if world.saga(&id)?.is_none() {
        runner.create::<Scale>(&id, &params).map_err(failed)?;
    }
    let started = world.clock.monotonic();
    let outcome = runner.run::<Scale>(world, &id, &world.abort).await;
    let mut report = finish(world, &params, &outcome, by)?;
    report.took_ms = millis(world.clock.monotonic().saturating_sub(started));
    report.phases = phases.lock().map(|phases| phases.clone()).unwrap_or_default();
    Ok(report)
}

/// Goes on where a crash interrupted it.
pub async fn resume(world: &World, id: &SagaId) -> Result<ServiceReport, DeployError> {
    let row = world.saga(id)?;
    let row = row.ok_or_else(|| DeployError::Unknown { what: format!("operation {id}"), known: String::new() })?;
    let params: Params = serde_json::from_value(row.params)
        .map_err(|error| DeployError::Refused(format!("{id} was written by another version: {error}")))?;
    let (runner, _) = after::runner(world, &params.service);
    let outcome = runner.run::<Scale>(world, id, &world.abort).await;
    finish(world, &params, &outcome, "recovery")
}

fn finish(
    world: &World,
    params: &Params,
    outcome: &SagaOutcome<Found>,
    by: &str,
) -> Result<ServiceReport, DeployError> {
    let unknown = || DeployError::Unknown { what: format!("release {}", params.release), known: String::new() };
    let release = world.release(&params.scope, &params.service, &params.release)?.ok_or_else(unknown)?;
    let result = match outcome {
        SagaOutcome::Done(_) => Outcome::Done,
        SagaOutcome::Undone { failed_step, error, .. } => {
            let cause = after::cause(error);
            let logs = after::lines(&error.detail);
            let ending = if ["leave", "start again"].contains(&failed_step.as_str()) {
                Ending::Failed
            } else {
                Ending::RolledBack
            };
            Outcome::Failed(Failure {
                step: failed_step.clone(),
                cause,
                logs,
                kept: None,
                ending,
                traffic: Traffic::Stayed,
            })
        }
        SagaOutcome::Stuck { step, error, .. } => Outcome::Failed(after::stuck(step, error)),
        SagaOutcome::Crashed => return Err(DeployError::Refused("the journal was told to stop here".into())),
        SagaOutcome::Stopped { error } => {
            return Err(DeployError::Refused(format!("it stopped where it was: {error}")));
        }
    };
    let subject = format!("{}@{}", release.pool(), release.id);
    let detail = json!({ "from": params.from, "to": params.to, "done": result == Outcome::Done });
    let written = world.ledger.append_audit(by, "scale", &subject, detail);
    written.map_err(|source| DeployError::Ledger { operation: "write down how scaling ended", source })?;
    Ok(report(&release, result))
}

/// How many copies the file asks for.
fn of_the_file(world: &World, release: &Release) -> Result<u32, DeployError> {
    let known = world.scaled(&release.scope)?.get(&release.service).map(|scaled| scaled.instead_of);
    Ok(known.unwrap_or(release.plan.replicas.max(1)))
}

/// The next deploy keeps the number, unless it is the file's own.
fn remember(world: &World, release: &Release, copies: u32) -> Result<(), DeployError> {
    let file = of_the_file(world, release)?;
    match copies == file {
        true => world.forget_scaled(&release.scope, &release.service),
        false => world.save_scaled(&release.scope, &release.service, Scaled { copies, instead_of: file }),
    }
}

fn report(release: &Release, result: Outcome) -> ServiceReport {
    ServiceReport {
        service: release.service.clone(),
        strategy: release.plan.strategy,
        release: Some(release.id.clone()),
        result,
        took_ms: 0,
        healthy_after_ms: release.healthy_after_ms,
        traffic_after_ms: None,
        phases: Vec::new(),
        judged: Vec::new(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
