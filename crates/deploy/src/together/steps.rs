//! The steps: a group of services forward, and back.

use futures_util::future::{BoxFuture, join_all};
use saga::{Abort, StepError};
use spec::{SagaId, Strategy};

use super::{Params, Stage, failed, previous_word};
use crate::error::{DeployError, is_gone};
use crate::release::{Event, Release, State};
use crate::removal;
use crate::report::{Outcome, ServiceReport};
use crate::roll_out::steps::wrap;
use crate::roll_out::{self, after};
use crate::world::World;
use crate::{copies, leaving};

type Done<'a> = BoxFuture<'a, Result<(), StepError>>;

/// Carries the roll-outs of one group out, side by side. The first that failed is the failure of them all.
pub fn roll_out<'a>(stage: &'a Stage, params: &'a Params, group: usize) -> Done<'a> {
    Box::pin(async move {
        let members = params.groups.get(group).map(Vec::as_slice).unwrap_or_default();
        let works = members.iter().map(|member| async move { (member, forward(stage, member).await) });
        let mut failure = None;
        for (member, result) in join_all(works).await {
            let report = result.map_err(wrap("roll a service out"))?;
            if let Outcome::Failed(cause) = &report.result {
                failure.get_or_insert_with(|| failed(&member.release.service, cause));
            }
            stage.reports.lock().insert(member.release.service.clone(), report);
        }
        failure.map_or(Ok(()), Err)
    })
}

async fn forward(stage: &Stage, member: &roll_out::Params) -> Result<ServiceReport, DeployError> {
    let world = &stage.world;
    match world.saga(&after::saga_id(member)?)? {
        Some(row) => {
            let told = stage.reports.lock().get(&member.release.service).cloned();
            match told {
                Some(report) => Ok(report),
                None => Ok(after::resume(world, &row.id).await?.1),
            }
        }
        None => after::run(world, member.clone(), stage.began).await,
    }
}

/// Takes those of one group that have switched back, the last first.
pub fn go_back<'a>(stage: &'a Stage, params: &'a Params, group: usize) -> Done<'a> {
    Box::pin(async move {
        // Whoever has asked to stop has asked for this, so it does not stop for them.
        let mut world = World::new(stage.world.parts().clone(), stage.world.talk.clone(), Abort::new());
        world.fence.clone_from(&stage.world.fence);
        for member in params.groups.get(group).into_iter().flatten().rev() {
            back(&world, params, member).await?;
        }
        Ok(())
    })
}

async fn back(world: &World, params: &Params, member: &roll_out::Params) -> Result<(), StepError> {
    let new = &member.release;
    let known = world.release(&new.scope, &new.service, &new.id).map_err(wrap("read the release"))?;
    let serving = world.serving_of(&new.scope, &new.service).map_err(wrap("read what serves"))?;
    let (Some(new), Some(serving)) = (known, serving) else { return Ok(()) };
    if serving.id == new.id {
        let to = previous_word(member.previous.as_ref());
        world.talk.say(Some(&new.service), format!("goes back from {} to {to}: its deploy is all or nothing", new.id));
        match &member.previous {
            None => {
                let removed = removal::remove_service(world, &new.scope, &new.service).await;
                removed.map_err(wrap("take the service away again"))?;
                for (service, id) in member.leaving_services() {
                    let leaves = world.release(&new.scope, service, id).map_err(wrap("read what made way"))?;
                    if let Some(leaves) = leaves {
                        leaving::restore(world, leaves, true).await?;
                    }
                }
            }
            Some(previous) => {
                let previous = world.release(&new.scope, &new.service, previous).map_err(wrap("read the release"))?;
                let gone = || StepError::because(format!("the release before {} is not known any more", new.id));
                to_release(world, params, previous.ok_or_else(gone)?, &serving).await?;
            }
        }
    }
    forget(world, &new).await
}

async fn to_release(world: &World, params: &Params, previous: Release, new: &Release) -> Result<(), StepError> {
    // What a job has done stays done; it runs again with its next release.
    if new.plan.strategy == Strategy::Job {
        return world.move_serving(&previous, Some(new), None).map_err(wrap("record the way back"));
    }
    let is_warm =
        crate::rollback::is_warm(world, &previous, previous.copies).await.map_err(wrap("look at the way back"))?;
    let (operation, known) = attempt(world, params, &previous)?;
    let report = match known {
        Some(id) => after::resume(world, &id).await.map(|(_, report)| report),
        None => {
            let alone = roll_out::must_be_alone(&previous, Some(new));
            let params = roll_out::Params {
                operation,
                release: previous,
                previous: Some(new.id.clone()),
                previous_copies: new.copies,
                start: !is_warm,
                migrate: false,
                // It served before, and where it goes from is no better.
                soak: false,
                canary: None,
                alone,
                leaving: Vec::new(),
            };
            after::run(world, params, world.clock.monotonic()).await
        }
    };
    match report.map_err(wrap("go back"))?.result {
        Outcome::Failed(failure) => Err(failed(&new.service, &failure)),
        _ => Ok(()),
    }
}

/// The name of this attempt to go back, and its journal if it has begun. One that has failed is tried again anew.
fn attempt(world: &World, params: &Params, previous: &Release) -> Result<(String, Option<SagaId>), StepError> {
    for number in 1.. {
        let operation = format!("{}.back{number}", params.operation);
        let id = format!("{operation}.{}.{}", previous.service, previous.id);
        let id = SagaId::parse(&id).map_err(wrap("name the way back"))?;
        match world.saga(&id).map_err(wrap("read the way back"))? {
            None => return Ok((operation, None)),
            Some(row) if row.outcome.is_none() => return Ok((operation, Some(id))),
            Some(_) => {}
        }
    }
    Err(StepError::because("there is no name left for another way back"))
}

/// Nothing of the given-up release stays: no container that would take memory, no name that keeps its image.
async fn forget(world: &World, new: &Release) -> Result<(), StepError> {
    let known = world.release(&new.scope, &new.service, &new.id).map_err(wrap("read the release"))?;
    let Some(mut new) = known.filter(|new| matches!(new.state, State::Parked | State::Retired)) else { return Ok(()) };
    copies::clear(world, &new, &new.numbers()).await?;
    let (repository, tag) = new.scope.keep_tag(&new.service, &new.id);
    match world.docker.untag(&format!("{repository}:{tag}")).await {
        Err(error) if !is_gone(&error) => return Err(StepError::failed("could not take the image's tag away", error)),
        _ => {}
    }
    world.advance(&mut new, &Event::Expired).map_err(wrap("record that it is given up"))?;
    new.parked_until_ms = None;
    world.save_release(&new).map_err(wrap("record that it is given up"))
}
