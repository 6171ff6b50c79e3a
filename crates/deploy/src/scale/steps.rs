//! The steps of scaling. Each may run twice; each looks things up by the release's names.

use futures_util::future::BoxFuture;
use saga::StepError;

use super::{Found, Params};
use crate::copies;
use crate::release::Release;
use crate::roll_out::steps::wrap;
use crate::world::World;

type Done<'a> = BoxFuture<'a, Result<(), StepError>>;

/// What lies still is missed by everything that comes after, and by whoever is sent to it.
pub fn bring_back<'a>(world: &'a World, params: &'a Params, _: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let release = release(world, params)?;
        world.talk.say(Some(&release.service), format!("starts copies of {} that lie still again", release.id));
        copies::bring_back(world, &release, &params.still).await.map(drop)
    })
}

pub fn start<'a>(world: &'a World, params: &'a Params, _: &'a mut Found) -> Done<'a> {
    Box::pin(async move { copies::start(world, &release(world, params)?, &params.changing()).await })
}

pub fn healthy<'a>(world: &'a World, params: &'a Params, found: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let proved = copies::judge(world, &release(world, params)?, &params.changing()).await?;
        found.healthy_after_ms = u64::try_from(proved.after.as_millis()).ok();
        Ok(())
    })
}

/// From here on the release has the new number of copies, and the edge has acknowledged where they are.
pub fn count<'a>(world: &'a World, params: &'a Params, _: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let mut release = release(world, params)?;
        release.copies = params.to;
        release.addresses = copies::in_order(world, &release, &release.numbers()).await?;
        counts(world, release).await
    })
}

/// The number as it was, and those of them that can be reached: one that has died meanwhile does not come back by this,
/// and must not keep the others from being counted.
pub fn count_back<'a>(world: &'a World, params: &'a Params, _: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let mut release = release(world, params)?;
        release.copies = params.from;
        release.addresses = copies::reachable(world, &release, params.from).await?;
        counts(world, release).await
    })
}

async fn counts(world: &World, mut release: Release) -> Result<(), StepError> {
    release.targets = release.targets_at(&release.addresses);
    world.save_release(&release).map_err(wrap("record the number of copies"))?;
    world.push_routes().await.map(drop).map_err(wrap("tell the edge the number of copies"))?;
    world
        .talk
        .say(Some(&release.service), format!("{} has {}", release.id, crate::render::plan::copies(release.copies)));
    Ok(())
}

/// What the copies that go are still answering gets its time.
pub fn drain<'a>(world: &'a World, params: &'a Params, found: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let release = release(world, params)?;
        if release.targets.is_empty() {
            return Ok(());
        }
        found.left = world.drained(&release).await.map_err(wrap("drain the copies that go"))?;
        Ok(())
    })
}

pub fn remove<'a>(world: &'a World, params: &'a Params, _: &'a mut Found) -> Done<'a> {
    Box::pin(async move { copies::clear(world, &release(world, params)?, &params.changing()).await })
}

fn release(world: &World, params: &Params) -> Result<Release, StepError> {
    let known = world.release(&params.scope, &params.service, &params.release).map_err(wrap("read the release"))?;
    known.ok_or_else(|| StepError::because(format!("release {} is not known any more", params.release)))
}
