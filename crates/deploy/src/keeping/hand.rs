//! Whose stop it was: Docker tells of every stop, and those that an operation makes are marked beforehand.

use machine::docker::{ContainerDetail, ContainerEvent};
use serde::{Deserialize, Serialize};
use spec::{EnvironmentName, PlatformName, ServiceName, Strategy};

use crate::ends::Gone;
use crate::error::{DeployError, stamp};
use crate::names::{self, Scope};
use crate::release::Release;
use crate::world::World;

/// Stops by hand, by container id.
const STOPPED: &str = "stopped-by-hand";
/// When an operation has stopped a container, by its id.
const OWN: &str = "own-stop";
/// When the last event was heard that counts here.
const HEARD: &str = "heard";
const ENGINE: &str = "engine";

/// A service that somebody has stopped on purpose. What is kept stays so; any other is not taken for one that has done
/// its work: `up` starts both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    pub scope: Scope,
    pub service: ServiceName,
    pub id: String,
    pub container: String,
    pub at_ms: i64,
    /// Whether it was told.
    pub told: bool,
}

impl Stopped {
    pub fn text(&self) -> String {
        format!("{} was stopped by hand at {}; `mainstay up` starts it", self.service, stamp(self.at_ms))
    }
}

/// Notes that the stop of a container that follows is an operation's.
pub fn own_stop(world: &World, id: &str) {
    // Nothing that has to stop goes on running because that could not be noted.
    if let Err(error) = world.ledger.put_record(OWN, id, &world.clock.now_ms()) {
        tracing::warn!("could not note that the stop of container {id} is an operation's: {error}");
    }
}

/// What an event says about stops.
pub fn hear(world: &World, event: &ContainerEvent) -> Result<(), DeployError> {
    if !event.labels.contains_key(names::RELEASE) || event.labels.contains_key(names::ONE_OFF) {
        return Ok(());
    }
    match event.action.as_str() {
        "start" | "destroy" => {
            let own: Option<i64> = world.ledger.get_record(OWN, &event.id).map_err(ledger)?;
            // The next stop may have been announced before this was heard.
            if own.is_some_and(|at_ms| at_ms <= event.at_ms) {
                world.ledger.delete_record(OWN, &event.id).map_err(ledger)?;
            }
            let known: Option<Stopped> = world.ledger.get_record(STOPPED, &event.id).map_err(ledger)?;
            if known.is_some_and(|known| known.at_ms <= event.at_ms) {
                forget(world, &event.id)?;
            }
        }
        "stop" => stopped_now(world, event)?,
        _ => return Ok(()),
    }
    world.ledger.put_record(HEARD, ENGINE, &event.at_ms).map_err(ledger)
}

fn stopped_now(world: &World, event: &ContainerEvent) -> Result<(), DeployError> {
    let own: Option<i64> = world.ledger.get_record(OWN, &event.id).map_err(ledger)?;
    let known: Option<Stopped> = world.ledger.get_record(STOPPED, &event.id).map_err(ledger)?;
    if own.is_some() || known.is_some_and(|known| known.at_ms == event.at_ms) {
        return Ok(());
    }
    let Some((scope, service)) = serving(world, event)? else { return Ok(()) };
    let (id, container) = (event.id.clone(), event.name.clone());
    let stopped = Stopped { scope, service, id, container, at_ms: event.at_ms, told: false };
    world.ledger.put_record(STOPPED, &event.id, &stopped).map_err(ledger)
}

/// The service that serves with this container.
fn serving(world: &World, event: &ContainerEvent) -> Result<Option<(Scope, ServiceName)>, DeployError> {
    let label = |key: &str| event.labels.get(key).map(String::as_str).unwrap_or_default();
    let (Ok(platform), Ok(environment), Ok(service)) = (
        PlatformName::parse(label(names::PLATFORM)),
        EnvironmentName::parse(label(names::ENVIRONMENT)),
        ServiceName::parse(label(names::SERVICE)),
    ) else {
        return Ok(None);
    };
    let scope = Scope { platform, environment };
    let serving = world.serving_of(&scope, &service)?;
    // A job ends by itself, and is not missed.
    let is_its =
        |release: &Release| release.plan.strategy != Strategy::Job && names::is_copy(&release.container, &event.name);
    Ok(serving.filter(is_its).map(|_| (scope, service)))
}

/// Since when there may be events that nobody has heard.
pub fn last_heard(world: &World) -> Option<i64> {
    world.ledger.get_record(HEARD, ENGINE).ok().flatten()
}

/// Whether somebody has stopped it on purpose. An engine that ends stops its containers just so.
pub fn by_hand(
    world: &World,
    release: &Release,
    detail: &ContainerDetail,
    gone: Option<Gone>,
) -> Result<Option<Stopped>, DeployError> {
    if release.plan.strategy == Strategy::Job {
        return Ok(None);
    }
    let known: Option<Stopped> = world.ledger.get_record(STOPPED, &detail.id).map_err(ledger)?;
    let Some(known) = known else { return Ok(None) };
    let has_run_since = detail.started_ms.is_some_and(|started_ms| started_ms > known.at_ms);
    if has_run_since || gone.is_some_and(|gone| gone.covers(known.at_ms)) {
        forget(world, &detail.id)?;
        return Ok(None);
    }
    Ok(Some(known))
}

pub fn told(world: &World, stopped: &Stopped) -> Result<(), DeployError> {
    let told = Stopped { told: true, ..stopped.clone() };
    world.ledger.put_record(STOPPED, &told.id, &told).map_err(ledger)
}

pub fn forget(world: &World, id: &str) -> Result<(), DeployError> {
    world.ledger.delete_record(STOPPED, id).map(drop).map_err(ledger)
}

/// The services of a platform that were stopped on purpose.
pub fn stopped(world: &World, scope: &Scope) -> Result<Vec<Stopped>, DeployError> {
    let all = world.ledger.list_records::<Stopped>(STOPPED, "").map_err(ledger)?;
    Ok(all.into_iter().map(|(_, stopped)| stopped).filter(|stopped| stopped.scope == *scope).collect())
}

/// What is noted of containers that are gone is of no more use.
pub fn sweep(world: &World, exists: impl Fn(&str) -> bool) -> Result<(), DeployError> {
    let own = world.ledger.list_records::<i64>(OWN, "").map_err(ledger)?.into_iter().map(|(id, _)| (OWN, id));
    let stopped = world.ledger.list_records::<Stopped>(STOPPED, "").map_err(ledger)?;
    for (kind, id) in own.chain(stopped.into_iter().map(|(id, _)| (STOPPED, id))).filter(|(_, id)| !exists(id)) {
        world.ledger.delete_record(kind, &id).map_err(ledger)?;
    }
    Ok(())
}

fn ledger(source: ledger::LedgerError) -> DeployError {
    DeployError::Ledger { operation: "keep who stopped a container", source }
}
