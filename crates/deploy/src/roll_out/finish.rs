//! How a worker finishes before it is replaced: it is told to take nothing new, and then asked until it is idle.
//! Where nothing is written about that, the stop signal says both, and the grace is `stop_grace`.

use std::time::Duration;

use futures_util::future::join_all;
use machine::compose::docker_exec;
use machine::docker::State as ContainerState;
use saga::{Step, StepError};
use spec::Finish;

use super::steps::{Done, previous, succeeded, wrap};
use super::{Found, Params, RollOut};
use crate::release::Release;
use crate::world::World;
use crate::{copies, health};

/// How long one of the commands may take.
const LIMIT: Duration = Duration::from_secs(60);
/// The pause between two questions.
const PAUSE: Duration = Duration::from_secs(1);

/// The steps before the old worker is stopped.
pub fn line(params: &Params) -> Vec<Step<RollOut>> {
    if params.finish().is_none() {
        return Vec::new();
    }
    vec![
        Step::new("stop-taking", stop_taking).undo(take_again),
        Step::new("finish", idle).no_undo("asking changes nothing"),
    ]
}

fn stop_taking<'a>(world: &'a World, params: &'a Params, _: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let (Some(previous), Some(finish)) = (previous(world, params)?, params.finish()) else { return Ok(()) };
        world.talk.say(Some(&previous.service), format!("{} takes nothing new", previous.id));
        tell(world, &previous, &finish.stop_taking, "could not tell the worker to take nothing new").await
    })
}

/// A worker without a word for it is started anew, unless it has been since.
fn take_again<'a>(world: &'a World, params: &'a Params, found: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let (Some(previous), Some(finish)) = (previous(world, params)?, params.finish()) else { return Ok(()) };
        let deaf = if found.stopped_previous { Vec::new() } else { previous.numbers() };
        resume(world, &previous, finish, &deaf).await
    })
}

/// Gives a worker work again that was told to take none; `deaf` are the copies that have not been started since.
pub async fn resume(world: &World, release: &Release, finish: &Finish, deaf: &[u32]) -> Result<(), StepError> {
    if let Some(words) = &finish.take_again {
        return tell(world, release, words, "could not tell the worker to take work again").await;
    }
    copies::stop(world, release, deaf).await?;
    copies::bring_back(world, release, deaf).await.map(drop)
}

/// Waits until every copy has nothing left to do. One that never gets there is stopped all the same, and it is told.
fn idle<'a>(world: &'a World, params: &'a Params, _: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let (Some(previous), Some(finish)) = (previous(world, params)?, params.finish()) else { return Ok(()) };
        let Some(words) = &finish.idle else { return Ok(()) };
        let began = world.clock.monotonic();
        while !is_idle(world, &previous, words).await? {
            if world.abort.is_requested() {
                return Err(StepError::aborted("given up while the worker finished"));
            }
            if world.clock.monotonic().saturating_sub(began) >= finish.within {
                world.talk.say(Some(&previous.service), late(&previous, finish));
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    })
}

fn late(previous: &Release, finish: &Finish) -> String {
    let within = spec::units::human_duration(finish.within);
    format!("warning: {} is not idle after {within}; the stop signal has the last word", previous.id)
}

async fn is_idle(world: &World, previous: &Release, words: &[String]) -> Result<bool, StepError> {
    for container in running(world, previous).await? {
        let output = world.run(docker_exec(&container, words).timeout(LIMIT)).await;
        if output.map_err(wrap("ask the worker whether it is idle"))?.status != 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Runs these words in every container of the release that runs.
async fn tell(world: &World, release: &Release, words: &[String], failure: &str) -> Result<(), StepError> {
    let runs = running(world, release).await?.into_iter().map(|container| async move {
        let output = world.run(docker_exec(&container, words).timeout(LIMIT)).await;
        succeeded(&output.map_err(wrap("run a command in the worker"))?, failure)
    });
    join_all(runs).await.into_iter().collect()
}

async fn running(world: &World, release: &Release) -> Result<Vec<String>, StepError> {
    let mut running = Vec::new();
    for container in release.containers() {
        let detail = health::inspect(world, &container).await.map_err(wrap("find the container"))?;
        if detail.is_some_and(|detail| detail.state == ContainerState::Running) {
            running.push(container);
        }
    }
    Ok(running)
}
