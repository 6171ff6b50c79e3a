//! What makes way for a release beside the one before it: a service that the file no longer has and whose data, port or
//! route the release takes over, or containers that plain Compose runs of the same service.
//!
//! It is stopped before the release starts where both cannot be there at once, and otherwise only when the release has
//! proved itself. It is removed after the release serves; until then every failure brings it back.

use std::time::Duration;

use saga::StepError;
use serde::{Deserialize, Serialize};
use spec::{ReleaseId, ServiceName};

use crate::release::Release;
use crate::roll_out::steps::{Done, gone, tell_left, wrap};
use crate::roll_out::{Found, Params};
use crate::stopping::{self, StopPlan};
use crate::world::World;
use crate::{copies, health, removal};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Leaving {
    /// A service that the file no longer has.
    Service {
        service: ServiceName,
        release: ReleaseId,
        /// Whether both cannot be there at once.
        first: bool,
    },
    /// A container of plain Compose.
    Compose {
        id: String,
        name: String,
        grace_ms: u64,
        /// Whether it ran when the roll-out began.
        ran: bool,
        first: bool,
        /// Public ports that it holds and the edge gets.
        binds: Vec<String>,
    },
}

impl Leaving {
    fn is_first(&self) -> bool {
        match self {
            Leaving::Service { first, .. } | Leaving::Compose { first, .. } => *first,
        }
    }
}

impl Params {
    /// What is stopped before the release starts.
    pub fn leaves_first(&self) -> bool {
        self.leaving.iter().any(Leaving::is_first)
    }

    /// What is stopped only when the release has proved itself.
    pub fn leaves_late(&self) -> bool {
        self.leaving.iter().any(|leaving| !leaving.is_first())
    }

    /// The releases of services that the file no longer has.
    pub fn leaving_services(&self) -> impl Iterator<Item = (&ServiceName, &ReleaseId)> {
        self.leaving.iter().filter_map(|leaving| match leaving {
            Leaving::Service { service, release, .. } => Some((service, release)),
            Leaving::Compose { .. } => None,
        })
    }
}

pub fn stop_first<'a>(world: &'a World, params: &'a Params, found: &'a mut Found) -> Done<'a> {
    Box::pin(async move { stop(world, params, found, true).await })
}

pub fn stop_late<'a>(world: &'a World, params: &'a Params, found: &'a mut Found) -> Done<'a> {
    Box::pin(async move { stop(world, params, found, false).await })
}

async fn stop(world: &World, params: &Params, found: &mut Found, first: bool) -> Result<(), StepError> {
    for leaving in params.leaving.iter().filter(|leaving| leaving.is_first() == first) {
        match leaving {
            Leaving::Service { .. } if !first => {}
            Leaving::Service { service, .. } => {
                let Some(release) = release(world, params, leaving)? else { continue };
                let left = world.settled(&release).await.map_err(wrap("wait for the requests of what makes way"))?;
                tell_left(world, &release, left);
                let text = format!("stops {} of `{service}`, whose place it takes", release.id);
                world.talk.say(Some(&params.release.service), text);
                found.away_since_ms.get_or_insert(world.clock.now_ms());
                copies::stop(world, &release, &release.numbers()).await?;
            }
            Leaving::Compose { id, name, grace_ms, binds, .. } => {
                let detail = health::inspect(world, id).await.map_err(wrap("find Compose's container"))?;
                if detail.is_some_and(|detail| detail.state.is_up()) {
                    world.talk.say(Some(&params.release.service), format!("stops Compose's container {name}"));
                    found.away_since_ms.get_or_insert(world.clock.now_ms());
                    let plan = StopPlan::of_compose(world, &params.release, Duration::from_millis(*grace_ms));
                    stopping::stop(world, id, &plan).await.map_err(wrap("stop Compose's container"))?;
                }
                open(world, params, binds)?;
            }
        }
    }
    Ok(())
}

/// The edge listens there with the next push.
fn open(world: &World, params: &Params, binds: &[String]) -> Result<(), StepError> {
    let opened = world.change_platform(&params.release.scope, |platform| {
        platform.closed.retain(|bind| !binds.contains(bind));
    });
    opened.map(drop).map_err(wrap("note that the edge gets the port"))
}

pub fn bring_back_first<'a>(world: &'a World, params: &'a Params, _: &'a mut Found) -> Done<'a> {
    Box::pin(async move { bring_back(world, params, true).await })
}

pub fn bring_back_late<'a>(world: &'a World, params: &'a Params, _: &'a mut Found) -> Done<'a> {
    Box::pin(async move { bring_back(world, params, false).await })
}

async fn bring_back(world: &World, params: &Params, first: bool) -> Result<(), StepError> {
    for leaving in params.leaving.iter().rev().filter(|leaving| leaving.is_first() == first) {
        match leaving {
            Leaving::Service { service, .. } => {
                let Some(release) = release(world, params, leaving)? else { continue };
                restore(world, release, first).await?;
                world.talk.say(Some(&params.release.service), format!("`{service}` runs again as it was"));
            }
            Leaving::Compose { id, name, ran, binds, .. } => {
                let closed = world.change_platform(&params.release.scope, |platform| {
                    for bind in binds.iter().filter(|bind| !platform.closed.contains(bind)).cloned().collect::<Vec<_>>()
                    {
                        platform.closed.push(bind);
                    }
                });
                closed.map_err(wrap("note that Compose has the port again"))?;
                world.push_routes().await.map_err(wrap("give Compose's port back"))?;
                if *ran {
                    gone(world.docker.start(id).await, "start Compose's container again")?;
                    world.talk.say(Some(&params.release.service), format!("Compose's container {name} runs again"));
                }
            }
        }
    }
    Ok(())
}

/// A release of a service that was to go serves again.
pub async fn restore(world: &World, mut release: Release, was_stopped: bool) -> Result<(), StepError> {
    if was_stopped {
        let addresses = copies::bring_back(world, &release, &release.numbers()).await?;
        release.targets = match release.targets.is_empty() {
            true => Vec::new(),
            false => release.targets_at(&addresses),
        };
        release.addresses = addresses;
    }
    world.restore_serving(&release).map_err(wrap("record the way back"))?;
    world.push_routes().await.map(drop).map_err(wrap("route to what was to go"))
}

/// The release serves: what made way is removed, its data stays.
pub fn take_away<'a>(world: &'a World, params: &'a Params, _: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        for (service, _) in params.leaving_services() {
            let removed = removal::remove_service(world, &params.release.scope, service).await;
            removed.map_err(wrap("remove what made way"))?;
        }
        Ok(())
    })
}

fn release(world: &World, params: &Params, leaving: &Leaving) -> Result<Option<Release>, StepError> {
    let Leaving::Service { service, release, .. } = leaving else { return Ok(None) };
    world.release(&params.release.scope, service, release).map_err(wrap("read the release that makes way"))
}

/// What makes way, in words for the plan.
pub fn told(leaving: &[Leaving]) -> String {
    let name = |one: &Leaving| match one {
        Leaving::Service { service, .. } => service.to_string(),
        Leaving::Compose { name, .. } => name.clone(),
    };
    let names: Vec<String> = leaving.iter().map(name).collect();
    let runs = leaving.iter().any(|one| matches!(one, Leaving::Compose { ran: true, .. }));
    let when = match (runs, leaving.iter().any(Leaving::is_first)) {
        (false, _) => "has stopped and is removed when this one serves",
        (true, true) => "is stopped first, since both cannot be there at once",
        (true, false) => "is stopped when this one has proved itself",
    };
    format!("takes over from Compose: {} {when}", names.join(", "))
}
