//! What becomes of each release when the ledger is built again.

use machine::docker::State as ContainerState;

use super::found::Found;
use crate::error::DeployError;
use crate::names;
use crate::release::{Release, State};
use crate::roll_out::finish;
use crate::stopping::{self, StopPlan};
use crate::world::World;
use crate::{copies, health};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Serves,
    /// It is ready without traffic, as before.
    Warm,
    /// Its containers go; it can be gone back to.
    Rests,
    /// It was under way, and its journal is lost.
    GivenUp,
    /// It had failed before; its containers are kept, stopped.
    Failed,
}

/// Pure: by what its file says, whether it serves, and whether it runs.
pub(super) fn of(release: &Release, serves: bool, runs: bool) -> Fate {
    match &release.state {
        _ if serves => Fate::Serves,
        State::Serving | State::Parked if runs && release.side_by_side() && !release.plan.warm.is_zero() => Fate::Warm,
        State::Serving | State::Parked | State::Retired => Fate::Rests,
        State::Prepared | State::Starting => Fate::GivenUp,
        State::Failed { .. } => Fate::Failed,
    }
}

/// The record that says so. The states are set and not advanced: how they came about is what was lost.
pub(super) fn record(world: &World, fate: Fate, release: &Release) -> Release {
    let now = world.clock.now_ms();
    let warm = i64::try_from(release.plan.warm.as_millis()).unwrap_or(i64::MAX);
    let state = match fate {
        Fate::Serves => State::Serving,
        Fate::Warm => State::Parked,
        Fate::Rests => State::Retired,
        Fate::GivenUp => State::Failed { reason: "the ledger was lost while it was rolled out".to_owned() },
        Fate::Failed => release.state.clone(),
    };
    Release {
        state,
        making_way_for: None,
        guests: None,
        parked_until_ms: (fate == Fate::Warm).then(|| now.saturating_add(warm)),
        switched_ms: release.switched_ms.or((fate == Fate::Serves).then_some(now)),
        ..release.clone()
    }
}

/// What serves, where it is now. What a lost roll-out had stopped runs again; a job has ended, and a second run would be
/// one too many.
pub(super) async fn serve(world: &World, release: &Release, found: &Found) -> Result<Release, DeployError> {
    let mut record = record(world, Fate::Serves, release);
    if release.plan.strategy == spec::Strategy::Job {
        return Ok(record);
    }
    let is_stopped = |number: &u32| {
        let state = found.state(&names::copy(&release.container, *number));
        state.is_some_and(|state| state != ContainerState::Running)
    };
    let stopped: Vec<u32> = release.numbers().into_iter().filter(is_stopped).collect();
    if let Err(error) = copies::bring_back(world, release, &stopped).await {
        tracing::warn!(container = release.container, "it serves, and does not become healthy: {error}");
    }
    let mut addresses = Vec::new();
    for name in release.containers() {
        let detail = health::inspect(world, &name).await?;
        let running = detail.filter(|detail| detail.state == ContainerState::Running);
        addresses.extend(running.as_ref().and_then(health::address));
    }
    // When none is left, the last word stands, as for the reconciler: the status tells that they are gone.
    if !addresses.is_empty() {
        record.targets = record.targets_at(&addresses);
        record.addresses = addresses;
    }
    Ok(record)
}

/// A worker that was to make way for a release that is given up may have been told to take nothing new.
pub(super) async fn resume(world: &World, worker: &Release, given_up: &Release, found: &Found) {
    let Some(finish) = given_up.plan.finish.as_ref() else { return };
    let ran = |number: &u32| {
        let state = found.state(&names::copy(&worker.container, *number));
        state.is_some_and(|state| state == ContainerState::Running)
    };
    let deaf: Vec<u32> = worker.numbers().into_iter().filter(ran).collect();
    if let Err(error) = finish::resume(world, worker, finish, &deaf).await {
        let container = &worker.container;
        tracing::warn!(container, "it may take no work; `mainstay restart {}` starts it anew: {error}", worker.service);
    }
}

/// The containers of what does not serve: kept warm, removed, or stopped for a person to look into.
pub(super) async fn clear(world: &World, fate: Fate, release: &Release, found: &Found) -> Result<(), DeployError> {
    match fate {
        Fate::Serves | Fate::Warm => Ok(()),
        Fate::Rests => copies::remove(world, release).await,
        Fate::GivenUp | Fate::Failed => stop(world, release, found).await,
    }
}

/// One that failed is kept, so that a person can look into it; one that never started tells nothing.
async fn stop(world: &World, release: &Release, found: &Found) -> Result<(), DeployError> {
    let plan = &StopPlan::of(world, release);
    for name in release.containers() {
        match found.state(&name) {
            None => {}
            Some(ContainerState::Created) => stopping::remove(world, &name, plan).await?,
            Some(_) => stopping::stop(world, &name, plan).await?,
        }
    }
    Ok(())
}

/// Copies beyond the release's number: a change of that number was under way.
pub(super) async fn clear_beyond(world: &World, release: &Release, found: &Found) -> Result<(), DeployError> {
    let own = release.containers();
    let beyond = found.containers.iter().filter(|one| names::is_copy(&release.container, &one.name));
    for container in beyond.filter(|container| !own.contains(&container.name)) {
        stopping::remove(world, &container.name, &StopPlan::of(world, release)).await?;
    }
    Ok(())
}

/// Migrations and the like that were under way: whose they were is given up.
pub(super) async fn clear_one_offs(world: &World, found: &Found) -> Result<(), DeployError> {
    for container in found.containers.iter().filter(|container| container.labels.contains_key(names::ONE_OFF)) {
        let plan = StopPlan::of_found(world, container, &found.releases);
        stopping::remove(world, &container.name, &plan).await?;
    }
    Ok(())
}
