//! The steps of one batch. Each may run twice; each looks things up by the releases' names.

use saga::StepError;

use super::Batch;
use crate::copies;
use crate::release::{Guests, Release};
use crate::roll_out::steps::{Done, previous, wrap};
use crate::roll_out::{Found, Params};
use crate::world::World;

/// Requests go to the first `staying` copies of the old release, and to whoever has joined.
pub fn leave<'a>(world: &'a World, params: &'a Params, staying: u32) -> Done<'a> {
    Box::pin(async move {
        let Some(mut previous) = previous(world, params)? else { return Ok(()) };
        previous.addresses = copies::reachable(world, &previous, staying).await?;
        previous.targets = previous.targets_at(&previous.addresses);
        let is_whole = staying >= params.previous_copies;
        let guests = previous.guests.take().unwrap_or_else(|| Guests::of(&params.release.id));
        previous.guests = (!is_whole || !guests.addresses.is_empty()).then_some(guests);
        route(world, &previous).await
    })
}

/// What the copies that have left are still answering gets its time.
pub fn drain<'a>(world: &'a World, params: &'a Params, found: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let Some(previous) = previous(world, params)? else { return Ok(()) };
        found.left = finished(world, &previous).await?;
        Ok(())
    })
}

pub fn stop<'a>(world: &'a World, params: &'a Params, numbers: Vec<u32>) -> Done<'a> {
    Box::pin(async move {
        let Some(previous) = previous(world, params)? else { return Ok(()) };
        copies::stop(world, &previous, &numbers).await
    })
}

pub fn bring_back<'a>(world: &'a World, params: &'a Params, numbers: Vec<u32>) -> Done<'a> {
    Box::pin(async move {
        let Some(previous) = previous(world, params)? else { return Ok(()) };
        copies::bring_back(world, &previous, &numbers).await.map(drop)
    })
}

pub fn start<'a>(world: &'a World, params: &'a Params, found: &'a mut Found, numbers: Vec<u32>) -> Done<'a> {
    Box::pin(async move {
        found.started_ms.get_or_insert(world.clock.now_ms());
        copies::start(world, &params.release, &numbers).await?;
        found.container_id.get_or_insert_with(|| params.release.container.clone());
        Ok(())
    })
}

pub fn keep_failed<'a>(world: &'a World, params: &'a Params, numbers: Vec<u32>) -> Done<'a> {
    Box::pin(async move { copies::keep_failed(world, &params.release, &numbers).await })
}

pub fn healthy<'a>(world: &'a World, params: &'a Params, found: &'a mut Found, batch: Batch) -> Done<'a> {
    Box::pin(async move {
        let release = &params.release;
        let proved = copies::judge(world, release, &batch.coming()).await?;
        let after = u64::try_from(proved.after.as_millis()).ok();
        found.healthy_after_ms = found.healthy_after_ms.max(after);
        found.addresses = copies::in_order(world, release, &(1..=batch.new.1).collect::<Vec<_>>()).await?;
        found.targets = release.targets_at(&found.addresses);
        let (new, all) = (batch.new.1, release.copies);
        world.talk.say(Some(&release.service), format!("{new} of {all} copies of {} are healthy", release.id));
        Ok(())
    })
}

/// The first so many copies of the new release get requests with those of the old one.
pub fn join<'a>(world: &'a World, params: &'a Params, joined: u32) -> Done<'a> {
    Box::pin(async move {
        let Some(previous) = previous(world, params)? else { return Ok(()) };
        let addresses = copies::in_order(world, &params.release, &(1..=joined).collect::<Vec<_>>()).await?;
        host(world, params, previous, addresses).await
    })
}

/// Only the first so many get requests any more, and what the others are still answering gets its time:
/// their containers are stopped next.
pub fn part<'a>(world: &'a World, params: &'a Params, joined: u32) -> Done<'a> {
    Box::pin(async move {
        let Some(previous) = previous(world, params)? else { return Ok(()) };
        let addresses = copies::reachable(world, &params.release, joined).await?;
        host(world, params, previous.clone(), addresses).await?;
        finished(world, &previous).await?;
        // After a switch that was taken back, some may still be under way in the new release's name.
        finished(world, &Release { id: params.release.id.clone(), ..previous }).await.map(drop)
    })
}

async fn host(
    world: &World,
    params: &Params,
    mut previous: Release,
    addresses: Vec<std::net::IpAddr>,
) -> Result<(), StepError> {
    let all_there = previous.addresses.len() >= params.previous_copies as usize;
    let guests = Guests { release: params.release.id.clone(), addresses };
    previous.guests = (!all_there || !guests.addresses.is_empty()).then_some(guests);
    route(world, &previous).await
}

async fn route(world: &World, previous: &Release) -> Result<(), StepError> {
    world.save_release(previous).map_err(wrap("record where requests go"))?;
    world.push_routes().await.map(drop).map_err(wrap("tell the edge where requests go"))
}

async fn finished(world: &World, previous: &Release) -> Result<u64, StepError> {
    if previous.plan.port.is_none() {
        return Ok(0);
    }
    let left = world.drained(previous).await.map_err(wrap("drain the copies that leave"))?;
    if left > 0 {
        let text = format!("{left} requests outlasted the drain of copies of {}", previous.id);
        world.talk.say(Some(&previous.service), text);
    }
    Ok(left)
}
