//! Every stop is a good stop: this is the only place of the crate that ends a container.
//!
//! Whatever the reason (a deploy, `down`, an undo, a recovery), a running container first runs the `pre_stop` hooks of
//! its service, then gets its own stop signal and the whole grace of its service, and counts as stopped only when
//! Docker says so. No caller has a time of its own, and none removes by force what may still run.
//!
//! A container is told to stop once: a second signal means "at once" to many programs (Redis, Celery, uvicorn, a shell
//! that waits for its child). Docker goes on with a stop whose caller has died, so the next agent waits for that one.

pub mod order;
mod pre_stop;
mod under_way;

use std::collections::BTreeMap;
use std::time::Duration;

use machine::docker::{Container, ContainerDetail, DockerError, State as ContainerState};
use spec::ServiceName;

use crate::error::{DeployError, is_gone};
use crate::names;
use crate::release::Release;
use crate::world::World;
pub use pre_stop::{Hook, KEY as PRE_STOP, keep as keep_hooks};
pub(crate) use under_way::sweep;

/// How one container is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopPlan {
    /// Whose progress it is.
    service: Option<ServiceName>,
    /// From the stop signal to the kill.
    pub grace: Duration,
    hooks: Vec<Hook>,
}

impl StopPlan {
    /// Of a container of this release.
    pub fn of(world: &World, release: &Release) -> StopPlan {
        StopPlan { hooks: pre_stop::of(world, release), ..StopPlan::of_one_off(release) }
    }

    /// Of a container that runs something else in the release's name, as a migration: the hooks are not for it.
    pub fn of_one_off(release: &Release) -> StopPlan {
        StopPlan { service: Some(release.service.clone()), grace: release.plan.stop_grace, hooks: Vec::new() }
    }

    /// Of a container that plain Compose runs of this release's service: its hooks are the service's, its grace its own.
    pub fn of_compose(world: &World, release: &Release, grace: Duration) -> StopPlan {
        StopPlan { grace, ..StopPlan::of(world, release) }
    }

    /// Of a container that was found by its labels, among these releases.
    pub fn of_found(world: &World, container: &Container, releases: &[Release]) -> StopPlan {
        let label = |key: &str| container.labels.get(key).map(String::as_str);
        let of_service = |release: &&Release| {
            label(names::SERVICE) == Some(release.service.as_ref())
                && machine::docker::labels_match(&container.labels, &release.scope.selector())
        };
        let own = releases.iter().filter(of_service).find(|release| label(names::RELEASE) == Some(release.id.as_ref()));
        match (own, order::deciding(releases.iter().filter(of_service))) {
            (Some(own), _) if label(names::ONE_OFF).is_some() => StopPlan::of_one_off(own),
            (Some(own), _) => StopPlan::of(world, own),
            (None, Some(known)) => StopPlan::of_one_off(known),
            (None, None) => StopPlan { service: None, grace: spec::defaults::STOP_GRACE, hooks: Vec::new() },
        }
    }
}

/// Stops it and keeps it. One that does not run, or is gone, is left as it is.
pub async fn stop(world: &World, container: &str, plan: &StopPlan) -> Result<(), DeployError> {
    let Some(detail) = look(world, container).await?.filter(may_run) else { return Ok(()) };
    let Some(detail) = under_way::wait(world, plan.service.as_ref(), detail).await? else { return Ok(()) };
    if detail.state == ContainerState::Running {
        pre_stop::run(world, plan.service.as_ref(), &detail.name, &plan.hooks, plan.grace).await;
    }
    // One that no service knows says itself how long it may take.
    let grace = plan.service.as_ref().map_or(detail.stop_timeout.unwrap_or(plan.grace), |_| plan.grace);
    crate::keeping::own_stop(world, &detail.id);
    under_way::note(world, &detail.id, grace);
    // By its id from here on: a name can be given to another container meanwhile.
    let stopped = world.docker.stop(&detail.id, grace).await;
    under_way::forget(world, &detail.id);
    unless_gone(stopped, "stop", container)?;
    match look(world, &detail.id).await?.is_some_and(|left| may_run(&left)) {
        true => Err(DeployError::StillRuns { container: container.to_owned(), grace }),
        false => Ok(()),
    }
}

/// Removes an address holder, whose only program waits for ever and saves nothing.
pub async fn remove_holder(world: &World, container: &str) -> Result<(), DeployError> {
    match world.docker.remove(container, true).await {
        Err(error) if !is_gone(&error) => Err(failed("remove", container)(error)),
        _ => Ok(()),
    }
}

/// Waits for a stop of it that is under way: what is started before that is over would be ended by it.
pub async fn settled(world: &World, container: &str) -> Result<(), DeployError> {
    match look(world, container).await?.filter(may_run) {
        Some(detail) => under_way::wait(world, None, detail).await.map(drop),
        None => Ok(()),
    }
}

/// Stops it and removes it; volumes stay, those without a name as well.
pub async fn remove(world: &World, container: &str, plan: &StopPlan) -> Result<(), DeployError> {
    stop(world, container, plan).await?;
    // Never by force: whatever somebody has started again since is told of, and not killed.
    unless_gone(world.docker.remove(container, false).await, "remove", container)
}

/// How a container that belongs to nobody here is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntruderEnd {
    AtOnce,
    Within(Duration),
}

/// Ends a container that has come to a database's files beside the server whose they are. It stays where it is, and
/// no restart policy brings it back: to Docker both ways are an end that somebody wanted.
pub async fn end_intruder(world: &World, detail: &ContainerDetail, how: IntruderEnd) -> Result<(), DeployError> {
    crate::keeping::own_stop(world, &detail.id);
    let stopped = match how {
        // Not politely: a second server that shuts down cleanly writes a checkpoint and its own idea of the state into
        // files that are not its own. One that is killed has written next to nothing by then.
        IntruderEnd::AtOnce => match world.docker.kill(&detail.id, "SIGKILL").await {
            // It has ended meanwhile; where its policy would start it again, a stop keeps it from that.
            Err(DockerError::Conflict { .. }) => world.docker.stop(&detail.id, Duration::ZERO).await,
            other => other,
        },
        IntruderEnd::Within(grace) => world.docker.stop(&detail.id, grace).await,
    };
    unless_gone(stopped, "end", &detail.name)
}

fn may_run(detail: &ContainerDetail) -> bool {
    matches!(detail.state, ContainerState::Running | ContainerState::Paused | ContainerState::Restarting)
}

async fn look(world: &World, container: &str) -> Result<Option<ContainerDetail>, DeployError> {
    world.docker.inspect(container).await.map_err(failed("look at", container))
}

/// What is already gone needs no second stop.
fn unless_gone(result: Result<(), DockerError>, what: &str, container: &str) -> Result<(), DeployError> {
    match result {
        Err(error) if !is_gone(&error) => Err(failed(what, container)(error)),
        _ => Ok(()),
    }
}

fn failed(what: &str, container: &str) -> impl Fn(DockerError) -> DeployError {
    move |source| DeployError::Docker { operation: format!("{what} container `{container}`"), source }
}

/// Containers by the service that their label names; those that name none come under `None`.
pub fn by_service(containers: &[Container]) -> BTreeMap<Option<String>, Vec<&Container>> {
    let mut groups: BTreeMap<Option<String>, Vec<&Container>> = BTreeMap::new();
    for container in containers {
        groups.entry(container.labels.get(names::SERVICE).cloned()).or_default().push(container);
    }
    groups
}

#[cfg(test)]
mod tests;
