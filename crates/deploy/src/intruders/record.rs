//! What is known of intruders, for everybody who asks.

use serde::{Deserialize, Serialize};
use spec::ServiceName;

use crate::error::{DeployError, stamp};
use crate::names::Scope;
use crate::world::World;

const INTRUDER: &str = "intruder";
/// One that is gone is told of for so long.
const REMEMBERED_MS: i64 = 24 * 60 * 60 * 1000;

/// A container that belongs to no release and writes what one writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intruder {
    pub scope: Scope,
    /// Whose data it is.
    pub service: ServiceName,
    pub id: String,
    pub container: String,
    /// The Compose project that it belongs to, where it does.
    pub project: Option<String>,
    /// What both write.
    pub what: String,
    /// The place is a database's.
    pub database: bool,
    pub started_ms: i64,
    /// When it was ended; `None` where it was left running.
    pub ended_ms: Option<i64>,
    pub told_ms: i64,
    /// How often it has started.
    pub times: u32,
    /// Whether it runs, for whoever asked.
    #[serde(default)]
    pub runs: bool,
}

impl Intruder {
    pub fn text(&self) -> String {
        let project = self.project.as_ref().map(|project| format!(" (Compose project {project})")).unwrap_or_default();
        let times = if self.times > 1 { format!(" ({} times)", self.times) } else { String::new() };
        let (verb, end) = match self.ended_ms {
            Some(at_ms) => ("wrote", format!("ended at {}{times}", stamp(at_ms))),
            None if !self.runs => ("wrote", format!("it has ended since{times}")),
            None => ("writes", format!("left running since {}{times}", stamp(self.started_ms))),
        };
        format!("container {}{project} {verb} to {} of {}: {end}", self.container, self.what, self.service)
    }

    /// What a person can do about it.
    pub fn advice(&self) -> String {
        match (self.ended_ms, &self.project) {
            (None, _) if self.runs => format!("`docker stop {}` ends it; a reader mounts the data with `:ro`", self.container),
            (_, Some(_)) => {
                "Mainstay runs this stack now: `mainstay up` instead of `docker compose up`; `intruders: report` in mainstay.yaml lets others write".into()
            }
            (_, None) => {
                "a reader mounts the data with `:ro`; `intruders: report` in mainstay.yaml lets others write".into()
            }
        }
    }
}

fn key(scope: &Scope, id: &str) -> String {
    format!("{}/{id}", scope.key())
}

pub fn get(world: &World, scope: &Scope, id: &str) -> Result<Option<Intruder>, DeployError> {
    world.ledger.get_record(INTRUDER, &key(scope, id)).map_err(ledger)
}

pub fn put(world: &World, intruder: &Intruder) -> Result<(), DeployError> {
    world.ledger.put_record(INTRUDER, &key(&intruder.scope, &intruder.id), intruder).map_err(ledger)
}

/// Those of a platform that exist or are not forgotten yet.
pub async fn known(world: &World, scope: &Scope) -> Result<Vec<Intruder>, DeployError> {
    let all = world.ledger.list_records::<Intruder>(INTRUDER, &format!("{}/", scope.key())).map_err(ledger)?;
    let mut known = Vec::new();
    for (_, mut intruder) in all {
        let detail = crate::health::inspect(world, &intruder.id).await?;
        intruder.runs = detail.as_ref().is_some_and(|detail| detail.state.is_up());
        if detail.is_some() || is_fresh(world, &intruder) {
            known.push(intruder);
        }
    }
    Ok(known)
}

fn is_fresh(world: &World, intruder: &Intruder) -> bool {
    world.clock.now_ms() - intruder.started_ms < REMEMBERED_MS
}

/// Forgets those whose container is gone and whose time is over.
pub fn sweep(world: &World, exists: impl Fn(&str) -> bool) -> Result<(), DeployError> {
    for (key, intruder) in world.ledger.list_records::<Intruder>(INTRUDER, "").map_err(ledger)? {
        if !exists(&intruder.id) && !is_fresh(world, &intruder) {
            world.ledger.delete_record(INTRUDER, &key).map_err(ledger)?;
        }
    }
    Ok(())
}

fn ledger(source: ledger::LedgerError) -> DeployError {
    DeployError::Ledger { operation: "keep what is known of intruders", source }
}
