//! The steps of a roll-out. Each may run twice; each looks things up by the release's names.

use futures_util::future::BoxFuture;
use machine::docker::Health as HealthState;
use machine::process::Output;
use saga::StepError;
use serde_json::json;
use spec::Strategy;

use super::{Found, Params};
use crate::error::is_gone;
use crate::release::{Event, Guests, Release, UNTIL_TOLD};
use crate::world::World;
use crate::{absent, copies, ends, health};

pub type Done<'a> = BoxFuture<'a, Result<(), StepError>>;

/// How many of a failed container's last lines are shown.
pub const LAST_LINES: usize = 20;

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

pub fn start<'a>(world: &'a World, params: &'a Params, found: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let release = &params.release;
        found.started_ms.get_or_insert(world.clock.now_ms());
        copies::start(world, release, &release.numbers()).await?;
        let detail = health::inspect(world, &release.container).await.map_err(wrap("find the container"))?;
        // What nobody sends anything to is there as soon as it runs.
        if let (Some(since), None) = (found.away_since_ms, release.plan.port) {
            let started = detail.as_ref().and_then(|detail| detail.started_ms);
            found.away_ms = started.and_then(|started| u64::try_from(started - since).ok());
        }
        found.container_id = detail.map(|detail| detail.id);
        Ok(())
    })
}

/// The failed containers are stopped and kept, so that a person can look into them.
pub fn keep_failed<'a>(world: &'a World, params: &'a Params, _: &'a mut Found) -> Done<'a> {
    Box::pin(async move { copies::keep_failed(world, &params.release, &params.release.numbers()).await })
}

pub fn healthy<'a>(world: &'a World, params: &'a Params, found: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let release = &params.release;
        let proved = copies::judge(world, release, &release.numbers()).await?;
        found.healthy_after_ms = u64::try_from(proved.after.as_millis()).ok();
        found.targets = release.targets_at(&proved.addresses);
        found.addresses = proved.addresses;
        let after = spec::units::human_duration(proved.after);
        let copies = if release.copies > 1 { format!(" with {} copies", release.copies) } else { String::new() };
        let said = match proved.ended {
            true => format!("{}{copies} has ended well (exit 0)", release.id),
            false => format!("{}{copies} is healthy after {after}", release.id),
        };
        world.talk.say(Some(&release.service), said);
        Ok(())
    })
}

/// A warm release is looked at once more before traffic goes back to it.
pub fn probe<'a>(world: &'a World, params: &'a Params, found: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let release = &params.release;
        found.addresses = copies::addresses(world, release, &release.numbers()).await?;
        found.targets = release.targets_at(&found.addresses);
        for target in &found.targets {
            let answer = machine::net::tcp_connect(*target, release.plan.health.timeout).await;
            answer.map_err(wrap("reach the warm release"))?;
        }
        // Who goes back does so because what serves is worse, so this keeps nobody from it.
        for container in release.containers() {
            let detail = health::inspect(world, &container).await.map_err(wrap("find the container"))?;
            if let Some(detail) = detail.filter(|detail| detail.health == Some(HealthState::Unhealthy)) {
                let why = health::Wording::of(world, release, &detail).unhealthy(&detail);
                world.talk.say(Some(&release.service), format!("warning: `{container}`: {why}"));
            }
        }
        Ok(())
    })
}

/// One pointer in the ledger, one epoch at the edge, and its acknowledgement.
pub fn switch<'a>(world: &'a World, params: &'a Params, found: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let mut release = current(world, &params.release)?;
        release.targets.clone_from(&found.targets);
        release.addresses.clone_from(&found.addresses);
        // Without Docker's word it is looked up at the reconciler's next turn.
        if let (Some(_), Ok(present)) = (release.plan.port, absent::present(world, &release).await) {
            release.listens = present.ports;
        }
        release.making_way_for = None;
        release.healthy_after_ms = found.healthy_after_ms.or(release.healthy_after_ms);
        let previous = previous(world, params)?;
        let until = match &previous {
            Some(previous) if is_whole(world, previous).await => warm_until(world, params, previous),
            _ => None,
        };
        for (service, _) in params.leaving_services() {
            world.clear_serving(&release.scope, service).map_err(wrap("record the switch"))?;
        }
        world.move_serving(&release, previous.as_ref(), until).map_err(wrap("record the switch"))?;
        world.end_canary(&release).map_err(wrap("record the switch"))?;
        let applied = world.push_routes().await.map_err(wrap("switch the traffic"))?;
        found.epoch = Some(applied.epoch);
        found.switched_ms = Some(world.clock.now_ms());
        if let Some(since) = found.away_since_ms {
            let now = u64::try_from(world.clock.now_ms() - since).unwrap_or_default();
            let away = *found.away_ms.get_or_insert(now);
            let away = spec::units::human_duration(std::time::Duration::from_millis(away));
            world.talk.say(Some(&release.service), format!("handed over: it was away for {away}"));
        }
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

/// While the new release is watched, the old one is kept ready whatever is said about its warmth: see `park`.
/// A release that was replaced batch by batch is not whole any more.
fn warm_until(world: &World, params: &Params, previous: &Release) -> Option<i64> {
    match previous.side_by_side() && params.side_by_side() && !params.rolls() {
        true if params.soaks() => Some(UNTIL_TOLD),
        true => stays_warm(world, previous),
        false => None,
    }
}

/// A release of which a copy does not run is not warm, whatever its time says: nothing could go back to it at once.
async fn is_whole(world: &World, previous: &Release) -> bool {
    copies::addresses(world, previous, &previous.numbers()).await.is_ok()
}

fn stays_warm(world: &World, previous: &Release) -> Option<i64> {
    let is_wanted = !previous.plan.warm.is_zero() && memory_allows(world, previous);
    is_wanted.then(|| world.clock.now_ms() + millis(previous.plan.warm))
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

/// Traffic back to where it was: the edge did not acknowledge, or the release did worse than the one before it.
pub fn switch_back<'a>(world: &'a World, params: &'a Params, found: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let mut release = current(world, &params.release)?;
        match previous(world, params)? {
            Some(mut previous) => {
                // Its container is still stopped, so requests go on waiting until it runs again.
                let waits = params.holds();
                previous.making_way_for = waits.then(|| release.id.clone());
                // Those of its copies that have gone already come back later; until then the new ones help out.
                let guests = || Guests { release: release.id.clone(), addresses: found.addresses.clone() };
                previous.guests = params.rolls().then(guests);
                world.move_serving(&previous, Some(&release), None).map_err(wrap("record the way back"))?;
                if waits || params.rolls() {
                    // Only an undecided roll-out is worth waiting for, and this one is that again.
                    release = current(world, &release)?;
                    world.advance(&mut release, &Event::Started).map_err(wrap("record the way back"))?;
                    world.save_release(&release).map_err(wrap("record the way back"))?;
                }
            }
            None => world.clear_serving(&release.scope, &release.service).map_err(wrap("record the way back"))?,
        }
        // What makes way late was not stopped: it serves again with the same push.
        for (service, id) in params.leaving_services() {
            let leaves = world.release(&release.scope, service, id).map_err(wrap("read what made way"))?;
            if let Some(leaves) = leaves {
                world.restore_serving(&leaves).map_err(wrap("record the way back"))?;
            }
        }
        let applied = world.push_routes().await.map_err(wrap("switch the traffic back"))?;
        if params.soaks() && found.switched_ms.is_some() {
            let to = params.previous.as_ref().map(ToString::to_string).unwrap_or_default();
            let text = match params.holds() {
                true => format!("requests wait until {to} runs again (epoch {})", applied.epoch),
                false => format!("traffic is back on {to} (epoch {})", applied.epoch),
            };
            world.talk.say(Some(&release.service), text);
        }
        match params.soaks() {
            // It may be answering requests, and is stopped next.
            true => finish_requests(world, &release).await,
            false => Ok(()),
        }
    })
}

/// Requests that a release which is no longer routed is still answering get their time.
pub async fn finish_requests(world: &World, release: &Release) -> Result<(), StepError> {
    world.drained(release).await.map(drop).map_err(wrap("wait for the release's last requests"))
}

/// Requests that the previous release is still answering get their time, and so do the connections of its TCP ports.
pub fn drain<'a>(world: &'a World, params: &'a Params, found: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let Some(previous) = previous(world, params)? else { return Ok(()) };
        if previous.targets.is_empty() && previous.addresses.is_empty() {
            return Ok(());
        }
        found.left = world.drained(&previous).await.map_err(wrap("drain the previous release"))?;
        tell_left(world, &previous, found.left);
        Ok(())
    })
}

/// Says that requests were still under way when their time was over.
pub fn tell_left(world: &World, release: &Release, left: u64) {
    if left > 0 {
        let text = format!("{left} requests or connections of {} outlasted the drain", release.id);
        world.talk.say(Some(&release.service), text);
    }
}

/// The previous release stays warm for a quick way back, or is stopped now.
pub fn park<'a>(world: &'a World, params: &'a Params, found: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let Some(mut previous) = previous(world, params)? else { return Ok(()) };
        if previous.parked_until_ms == Some(UNTIL_TOLD) {
            found.parked_until_ms = match is_whole(world, &previous).await {
                true => stays_warm(world, &previous),
                false => None,
            };
            previous.parked_until_ms = found.parked_until_ms;
            if found.parked_until_ms.is_none() {
                world.advance(&mut previous, &Event::Expired).map_err(wrap("record the previous release's end"))?;
            }
            world.save_release(&previous).map_err(wrap("record the previous release's end"))?;
        }
        match previous.parked_until_ms {
            Some(_) => {
                let warm = spec::units::human_duration(previous.plan.warm);
                world.talk.say(Some(&previous.service), format!("{} stays warm for {warm}", previous.id));
                Ok(())
            }
            None => copies::clear(world, &previous, &previous.numbers()).await,
        }
    })
}

/// From here on requests wait, before anything is stopped; the edge has acknowledged it.
/// That they wait is written down first, beside the release for which they do, so that a crash cannot lose it.
///
/// What is under way gets its drain before that, while the release goes on serving: a long download or a stream that
/// never ends must not make everybody else wait.
pub fn hold<'a>(world: &'a World, params: &'a Params, found: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let Some(mut previous) = previous(world, params)? else { return Ok(()) };
        found.previous_ended = ends::is_over(world, &previous).await.map_err(wrap("find the previous containers"))?;
        if !found.previous_ended && previous.making_way_for.is_none() {
            let left = world.settled(&previous).await.map_err(wrap("wait for the previous release's requests"))?;
            tell_left(world, &previous, left);
        }
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
        if !found.stopped_previous {
            // What came after the drain had begun and before requests were held gets its time, too. Streams without an
            // end are told to come back.
            let left =
                world.made_way(&previous).await.map_err(wrap("wait for the previous release's last requests"))?;
            tell_left(world, &previous, left);
        }
        let grace = spec::units::human_duration(previous.plan.stop_grace);
        world.talk.say(
            Some(&previous.service),
            match params.release.plan.strategy {
                Strategy::DrainFirst => format!("stops {} and lets it finish, for {grace} at most", previous.id),
                _ => format!("stops {} (never two at once)", previous.id),
            },
        );
        found.stopped_ms.get_or_insert(world.clock.now_ms());
        copies::stop(world, &previous, &previous.numbers()).await?;
        found.stopped_previous = true;
        if params.release.plan.strategy == Strategy::DrainFirst {
            tell_killed(world, &previous).await?;
        }
        Ok(())
    })
}

/// A worker that outlasts its grace loses what it has in hand, unless it gives that back to its queue.
async fn tell_killed(world: &World, previous: &Release) -> Result<(), StepError> {
    for container in previous.containers() {
        let detail = health::inspect(world, &container).await.map_err(wrap("find the container"))?;
        if detail.is_some_and(|detail| detail.exit_code == Some(KILLED)) {
            let text = format!(
                "warning: `{container}` had not finished when its grace was over and was killed; what it had in hand comes back only if it acknowledges late. A longer `stop_grace` gives it time"
            );
            world.talk.say(Some(&previous.service), text);
        }
    }
    Ok(())
}

/// The exit code of a process that was killed.
const KILLED: i64 = 137;

pub fn start_previous<'a>(world: &'a World, params: &'a Params, found: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let Some(mut previous) = previous(world, params)? else { return Ok(()) };
        // What had done its work is not made to do it again.
        if found.previous_ended {
            return Ok(());
        }
        match copies::bring_back(world, &previous, &previous.numbers()).await {
            Ok(addresses) => {
                found.back_ms = Some(world.clock.now_ms());
                previous.targets = previous.targets_at(&addresses);
                previous.addresses = addresses;
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

pub fn retire_previous<'a>(world: &'a World, params: &'a Params, _: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        match previous(world, params)? {
            Some(previous) => copies::clear(world, &previous, &previous.numbers()).await,
            None => Ok(()),
        }
    })
}

/// The record, which may have moved on since the saga was made.
pub fn current(world: &World, release: &Release) -> Result<Release, StepError> {
    let known = world.release(&release.scope, &release.service, &release.id).map_err(wrap("read the release"))?;
    Ok(known.unwrap_or_else(|| release.clone()))
}

pub fn previous(world: &World, params: &Params) -> Result<Option<Release>, StepError> {
    let Some(id) = &params.previous else { return Ok(None) };
    world.release(&params.release.scope, &params.release.service, id).map_err(wrap("read the previous release"))
}

pub fn succeeded(output: &Output, what: &str) -> Result<(), StepError> {
    if output.status == 0 {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let said: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let tail: Vec<&str> = said.iter().rev().take(LAST_LINES).rev().copied().collect();
    let last = last_said(&output.stderr);
    Err(StepError::because(format!("{what}: {last}")).with_detail(json!({ "cause": what, "logs": tail })))
}

/// The last line that a program has written.
pub fn last_said(stderr: &[u8]) -> String {
    let stderr = String::from_utf8_lossy(stderr);
    let last = stderr.lines().map(str::trim).rfind(|line| !line.is_empty());
    last.unwrap_or("it said nothing").to_owned()
}

/// What is already gone needs no second undoing.
pub fn gone(result: Result<(), machine::docker::DockerError>, what: &str) -> Result<(), StepError> {
    match result {
        Err(error) if !is_gone(&error) => Err(StepError::failed(format!("could not {what}"), error)),
        _ => Ok(()),
    }
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Wraps an error as the failure of what was being done.
pub fn wrap<E: std::error::Error + Send + Sync + 'static>(what: &'static str) -> impl Fn(E) -> StepError {
    move |error| StepError::failed(format!("could not {what}"), error)
}
