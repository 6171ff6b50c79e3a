//! The steps of a roll-out. Each may run twice; each looks things up by the release's names.

use std::net::{IpAddr, SocketAddr};

use futures_util::future::BoxFuture;
use machine::compose::{Compose, RunOptions, UpOptions};
use machine::docker::State as ContainerState;
use machine::process::Output;
use saga::StepError;
use serde_json::json;

use super::{Found, Params};
use crate::error::is_gone;
use crate::health::{self, Gate};
use crate::names;
use crate::release::{Event, Release};
use crate::routing;
use crate::world::World;

type Done<'a> = BoxFuture<'a, Result<(), StepError>>;

/// How many of a failed container's last lines are shown.
const LAST_LINES: usize = 20;

/// The image is here and stays here: a tag of its own keeps it from being pruned.
pub fn pin<'a>(world: &'a World, params: &'a Params, _: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let release = &params.release;
        let (repository, tag) = release.scope.keep_tag(&release.service, &release.id);
        world.docker.tag(&release.image.id, &repository, &tag).await.map_err(wrap("keep the image"))
    })
}

pub fn unpin<'a>(world: &'a World, params: &'a Params, _: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let release = &params.release;
        // A failed container is kept for inspection and still refers to its image by id, which
        // Docker never removes under it; the tag alone goes.
        let (repository, tag) = release.scope.keep_tag(&release.service, &release.id);
        match world.docker.untag(&format!("{repository}:{tag}")).await {
            Err(error) if !is_gone(&error) => Err(StepError::failed("could not take the image's tag away", error)),
            _ => Ok(()),
        }
    })
}

/// Runs the release's migration once, in its own image, before anything of it starts.
pub fn migrate<'a>(world: &'a World, params: &'a Params, _: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let Some(job) = params.migration() else { return Ok(()) };
        let release = &params.release;
        world.talk.say(Some(&release.service), format!("migrates: {}", job.command.join(" ")));
        let name = format!("{}-migrate", release.container);
        // A run that a crash cut off is cleared away first; migrations are transactions of their own.
        let _ = world.docker.remove(&name, true).await;
        let options = RunOptions {
            name: Some(name.clone()),
            labels: vec![(names::ONE_OFF.into(), "migrate".into())],
            ..RunOptions::default()
        };
        let command = compose(world, release)?.run(&release.definition.service, &job.command, &options);
        let output = world.run(command.timeout(job.timeout)).await.map_err(wrap("run the migration"))?;
        succeeded(&output, "the migration failed")
    })
}

pub fn start<'a>(world: &'a World, params: &'a Params, found: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let release = &params.release;
        found.started_ms.get_or_insert(world.clock.now_ms());
        let options = UpOptions::of([release.definition.service.clone()]);
        let output = world.run(compose(world, release)?.up(&options)).await.map_err(wrap("start the container"))?;
        succeeded(&output, "Docker could not start the container")?;
        let detail = health::inspect(world, &release.container).await.map_err(wrap("find the container"))?;
        found.container_id = detail.map(|detail| detail.id);
        Ok(())
    })
}

/// The failed container is stopped and kept, so that a person can look into it.
/// One that was never created, or that was given up by the operator, is cleared away.
pub fn keep_failed<'a>(world: &'a World, params: &'a Params, _: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let container = &params.release.container;
        let Some(detail) = health::inspect(world, container).await.map_err(wrap("find the container"))? else {
            return Ok(());
        };
        let never_ran = detail.state == ContainerState::Created;
        if world.abort.is_requested() || never_ran {
            return gone(world.docker.remove(container, true).await, "remove the container");
        }
        gone(world.docker.stop(container, params.release.plan.stop_grace).await, "stop the container")
    })
}

pub fn healthy<'a>(world: &'a World, params: &'a Params, found: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let release = &params.release;
        let gate = health::gate(world, &release.service, &release.container, &release.plan.health).await;
        match gate.map_err(wrap("judge the container's health"))? {
            Gate::Healthy { address, after } => {
                found.healthy_after_ms = u64::try_from(after.as_millis()).ok();
                found.targets = targets(release, address);
                found.address = address;
                let after = spec::units::human_duration(after);
                world.talk.say(Some(&release.service), format!("{} is healthy after {after}", release.id));
                Ok(())
            }
            Gate::Aborted => Err(StepError::aborted("given up while waiting for health")),
            Gate::Unhealthy { cause } => {
                let logs = health::last_lines(world, &release.container, LAST_LINES).await;
                let detail = json!({ "cause": cause, "container": release.container, "logs": logs });
                Err(StepError::because(cause).with_detail(detail))
            }
        }
    })
}

/// A warm release is looked at once more before traffic goes back to it.
pub fn probe<'a>(world: &'a World, params: &'a Params, found: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let release = &params.release;
        let detail = health::inspect(world, &release.container).await.map_err(wrap("find the container"))?;
        let Some(detail) = detail.filter(|detail| detail.state == ContainerState::Running) else {
            return Err(StepError::because(format!(
                "container `{}` of {} does not run any more",
                release.container, release.id
            )));
        };
        found.address = health::address(&detail);
        found.targets = targets(release, found.address);
        if let Some(target) = found.targets.first() {
            let answer = machine::net::tcp_connect(*target, release.plan.health.timeout).await;
            answer.map_err(wrap("reach the warm release"))?;
        }
        Ok(())
    })
}

/// One pointer in the ledger, one epoch at the edge, and its acknowledgement.
pub fn switch<'a>(world: &'a World, params: &'a Params, found: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let mut release = current(world, &params.release)?;
        release.targets.clone_from(&found.targets);
        release.address = found.address;
        release.making_way_for = None;
        release.healthy_after_ms = found.healthy_after_ms.or(release.healthy_after_ms);
        let previous = previous(world, params)?;
        let warm = previous.as_ref().filter(|previous| previous.side_by_side() && !previous.plan.warm.is_zero());
        let warm = warm.filter(|previous| memory_allows(world, previous));
        let until = warm.map(|previous| world.clock.now_ms() + millis(previous.plan.warm));
        world.move_serving(&release, previous.as_ref(), until).map_err(wrap("record the switch"))?;
        let applied = world.push_routes().await.map_err(wrap("switch the traffic"))?;
        found.epoch = Some(applied.epoch);
        found.switched_ms = Some(world.clock.now_ms());
        found.parked_until_ms = until;
        for listener in applied.listeners.iter().filter(|listener| listener.error.is_some()) {
            let error = listener.error.clone().unwrap_or_default();
            world
                .talk
                .say(Some(&release.service), format!("warning: the edge cannot listen on {}: {error}", listener.bind));
        }
        if !release.targets.is_empty() {
            world.talk.say(Some(&release.service), format!("traffic goes to {} (epoch {})", release.id, applied.epoch));
        }
        Ok(())
    })
}

/// A warm release is a comfort; the machine's last memory belongs to what serves.
const LEAST_FREE_MEMORY: f64 = 0.1;

fn memory_allows(world: &World, previous: &Release) -> bool {
    let free = machine::facts::memory_free_share().unwrap_or(1.0);
    if free < LEAST_FREE_MEMORY {
        let text = format!("{} is not kept warm: only {:.0} % of the memory is free", previous.id, free * 100.0);
        world.talk.say(Some(&previous.service), text);
    }
    free >= LEAST_FREE_MEMORY
}

/// Traffic back to where it was: only when the edge did not acknowledge, or refused.
pub fn switch_back<'a>(world: &'a World, params: &'a Params, _: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let mut release = current(world, &params.release)?;
        match previous(world, params)? {
            Some(mut previous) => {
                // Its container is still stopped, so requests go on waiting until it runs again.
                let waits = params.holds();
                previous.making_way_for = waits.then(|| release.id.clone());
                world.move_serving(&previous, Some(&release), None).map_err(wrap("record the way back"))?;
                if waits {
                    // Only an undecided roll-out is worth waiting for, and this one is that again.
                    release = current(world, &release)?;
                    world.advance(&mut release, &Event::Started).map_err(wrap("record the way back"))?;
                    world.save_release(&release).map_err(wrap("record the way back"))?;
                }
            }
            None => world.clear_serving(&release.scope, &release.service).map_err(wrap("record the way back"))?,
        }
        world.push_routes().await.map(drop).map_err(wrap("switch the traffic back"))
    })
}

/// Requests that the previous release is still answering get their time, and so do the connections of its TCP ports.
pub fn drain<'a>(world: &'a World, params: &'a Params, found: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let Some(previous) = previous(world, params)? else { return Ok(()) };
        let platform = world.platform(&previous.scope).map_err(wrap("read the platform"))?;
        let pools = routing::pools_of(platform.as_ref(), &previous);
        let budget = previous.plan.drain.max(previous.plan.drain_websocket);
        // All at once: the budget is the release's, not each pool's.
        let waits = pools.iter().map(|pool| world.edge.drained(pool, previous.id.as_ref(), budget));
        let left = futures_util::future::try_join_all(waits).await.map_err(wrap("drain the previous release"))?;
        found.left = left.iter().sum();
        if found.left > 0 {
            world.talk.say(
                Some(&previous.service),
                format!("{} requests or connections of {} outlasted the drain", found.left, previous.id),
            );
        }
        Ok(())
    })
}

/// The previous release stays warm for a quick way back, or is stopped now.
pub fn park<'a>(world: &'a World, params: &'a Params, found: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let Some(previous) = previous(world, params)? else { return Ok(()) };
        match found.parked_until_ms {
            Some(until) => {
                let warm = spec::units::human_duration(previous.plan.warm);
                let _ = until;
                world.talk.say(Some(&previous.service), format!("{} stays warm for {warm}", previous.id));
                Ok(())
            }
            None => clear(world, &previous).await,
        }
    })
}

/// From here on requests wait, before anything is stopped; the edge has acknowledged it.
/// That they wait is written down first, beside the release for which they do, so that a crash cannot lose it.
pub fn hold<'a>(world: &'a World, params: &'a Params, _: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let Some(mut previous) = previous(world, params)? else { return Ok(()) };
        previous.making_way_for = Some(params.release.id.clone());
        world.save_release(&previous).map_err(wrap("record that requests wait"))?;
        world.push_routes().await.map(drop).map_err(wrap("let requests wait"))
    })
}

/// The previous release serves as before; nobody waits any more.
pub fn let_go<'a>(world: &'a World, params: &'a Params, _: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        if world.let_go(&params.release).map_err(wrap("record that nobody waits"))? {
            world.push_routes().await.map_err(wrap("let requests go on"))?;
        }
        Ok(())
    })
}

pub fn stop_previous<'a>(world: &'a World, params: &'a Params, found: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let Some(previous) = previous(world, params)? else { return Ok(()) };
        let grace = previous.plan.stop_grace;
        world.talk.say(Some(&previous.service), format!("stops {} (never two at once)", previous.id));
        gone(world.docker.stop(&previous.container, grace).await, "stop the previous container")?;
        found.stopped_previous = true;
        Ok(())
    })
}

pub fn start_previous<'a>(world: &'a World, params: &'a Params, _: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let Some(mut previous) = previous(world, params)? else { return Ok(()) };
        match bring_back(world, &previous).await {
            Ok(address) => {
                previous.targets = targets(&previous, address);
                previous.address = address;
                previous.making_way_for = None;
                world.save_release(&previous).map_err(wrap("record the previous container"))?;
                world.push_routes().await.map(drop).map_err(wrap("route to the previous container"))
            }
            Err(error) => {
                // Nobody shall wait for what does not come; what went wrong here is the error, not a second push.
                world.let_go(&params.release).map_err(wrap("record that nobody waits"))?;
                let _ = world.push_routes().await;
                Err(error)
            }
        }
    })
}

async fn bring_back(world: &World, previous: &Release) -> Result<Option<IpAddr>, StepError> {
    gone(world.docker.start(&previous.container).await, "start the previous container again")?;
    let gate = health::gate(world, &previous.service, &previous.container, &previous.plan.health).await;
    match gate.map_err(wrap("judge the previous container"))? {
        Gate::Healthy { address, .. } => Ok(address),
        _ => Err(StepError::because(format!(
            "the previous container `{}` did not become healthy again",
            previous.container
        ))),
    }
}

pub fn retire_previous<'a>(world: &'a World, params: &'a Params, _: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        match previous(world, params)? {
            Some(previous) => clear(world, &previous).await,
            None => Ok(()),
        }
    })
}

/// Removes a release's container; its image, definition and record are kept.
async fn clear(world: &World, release: &Release) -> Result<(), StepError> {
    gone(world.docker.stop(&release.container, release.plan.stop_grace).await, "stop the previous container")?;
    gone(world.docker.remove(&release.container, true).await, "remove the previous container")
}

/// The record, which may have moved on since the saga was made.
fn current(world: &World, release: &Release) -> Result<Release, StepError> {
    let known = world.release(&release.scope, &release.service, &release.id).map_err(wrap("read the release"))?;
    Ok(known.unwrap_or_else(|| release.clone()))
}

fn previous(world: &World, params: &Params) -> Result<Option<Release>, StepError> {
    let Some(id) = &params.previous else { return Ok(None) };
    world.release(&params.release.scope, &params.release.service, id).map_err(wrap("read the previous release"))
}

fn targets(release: &Release, address: Option<IpAddr>) -> Vec<SocketAddr> {
    match (address, release.plan.port) {
        (Some(ip), Some(port)) => vec![SocketAddr::new(ip, port)],
        _ => Vec::new(),
    }
}

pub fn compose(world: &World, release: &Release) -> Result<Compose, StepError> {
    let file = world.root.join(&release.definition.file).map_err(wrap("find the release's definition"))?;
    Ok(Compose { dir: Some(world.root.path().to_owned()), ..Compose::new(&release.container, file) })
}

fn succeeded(output: &Output, what: &str) -> Result<(), StepError> {
    if output.status == 0 {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let said: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = said.last().copied().unwrap_or("it said nothing");
    let tail: Vec<&str> = said.iter().rev().take(LAST_LINES).rev().copied().collect();
    Err(StepError::because(format!("{what}: {last}")).with_detail(json!({ "cause": what, "logs": tail })))
}

/// What is already gone needs no second undoing.
fn gone(result: Result<(), machine::docker::DockerError>, what: &str) -> Result<(), StepError> {
    match result {
        Err(error) if !is_gone(&error) => Err(StepError::failed(format!("could not {what}"), error)),
        _ => Ok(()),
    }
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Wraps an error as the failure of what was being done.
fn wrap<E: std::error::Error + Send + Sync + 'static>(what: &'static str) -> impl Fn(E) -> StepError {
    move |error| StepError::failed(format!("could not {what}"), error)
}
