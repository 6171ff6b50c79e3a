//! A lost ledger is built again: from what is kept beside it, from Docker's labels, and from what the edge serves.
//!
//! The files say what each release is, the containers what runs, and the edge which release the requests go to.
//! Where they disagree the edge is right, since that is what the world sees. What was under way is given up: its journal
//! is gone. Nothing is pushed before it is all there, so that an empty ledger never empties the edge.

mod fate;
mod found;

use ledger::NewEvent;
use serde::{Deserialize, Serialize};
use serde_json::json;
use spec::ReleaseId;

use crate::error::DeployError;
use crate::kept::Kept;
use crate::names::Scope;
use crate::release::Release;
use crate::stopping::order::Needs;
use crate::store::{PLATFORM, Platform, RELEASE, SERVING};
use crate::world::World;
use fate::Fate;
use found::Found;

/// The record that says that this ledger is whole: it was begun on an empty machine, or has been built again.
const LEDGER: &str = "ledger";
const WHOLE: &str = "whole";
/// The record that says that it is being built again: a death in between begins that anew.
const UNFINISHED: &str = "unfinished";

#[derive(Debug, Serialize, Deserialize)]
struct Whole {
    since_ms: i64,
}

/// What was built again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    pub platforms: Vec<Scope>,
    /// Containers of the releases that serve.
    pub serving: Vec<String>,
    /// Releases whose roll-out was under way.
    pub given_up: Vec<String>,
}

/// Looks whether the ledger knows what runs, and builds it again where it is new. Before anything else is done.
pub async fn ensure(world: &World) -> Result<Option<Rebuilt>, DeployError> {
    let (kept, unreadable) = world
        .kept()
        .map_err(|source| DeployError::State { operation: "read what is kept beside the ledger".into(), source })?;
    if is_whole(world)? {
        if world.ledger_is_behind(&kept).map_err(failed("look at its age"))? {
            return Err(DeployError::Forgot);
        }
        world.keep_all(&kept).map_err(failed("keep its records beside it"))?;
        return Ok(None);
    }
    let found = Found::look(world, &kept, unreadable).await?;
    let rebuilt = match found.platforms.is_empty() {
        // Nothing is up, and what is known of platforms that were is no less true: under which names their data lies.
        true if !found.others.is_empty() => {
            write(world, &found, &[])?;
            None
        }
        true => None,
        false => Some(build(world, &found).await?),
    };
    let whole = Whole { since_ms: world.clock.now_ms() };
    let noted = world.ledger.transaction(|tx| {
        tx.delete_record(LEDGER, UNFINISHED)?;
        tx.put_record(LEDGER, WHOLE, &whole)
    });
    noted.map_err(failed("note that it is whole"))?;
    Ok(rebuilt)
}

/// Ledgers from before this was noted have records.
fn is_whole(world: &World) -> Result<bool, DeployError> {
    let noted = |key| world.ledger.get_record::<Whole>(LEDGER, key).map_err(failed("look whether it is whole"));
    if noted(WHOLE)?.is_some() {
        return Ok(true);
    }
    Ok(noted(UNFINISHED)?.is_none() && (!world.platforms()?.is_empty() || !world.all_releases()?.is_empty()))
}

/// What serves is there and routed before anything else is stopped. Only what may never be there twice is stopped first;
/// the edge lets its requests wait meanwhile.
async fn build(world: &World, found: &Found) -> Result<Rebuilt, DeployError> {
    let needs = Needs::of(&found.releases);
    let (serving, mut others): (Vec<_>, Vec<_>) = found
        .releases
        .iter()
        .map(|release| (found.fate(release), release))
        .partition(|(fate, _)| *fate == Fate::Serves);
    needs.sort(&mut others, |(_, release)| release.pool());
    for (fate, release) in others.iter().filter(|(_, release)| !release.side_by_side()) {
        fate::clear(world, *fate, release, found).await?;
    }
    let mut releases = Vec::new();
    for (_, release) in serving {
        releases.push((Fate::Serves, fate::serve(world, release, found).await?));
    }
    releases.extend(others.into_iter().map(|(fate, release)| (fate, fate::record(world, fate, release))));
    write(world, found, &releases)?;
    // A new ledger counts epochs from one, and the edge takes none below its own.
    let status = world.edge.status().await;
    let status = status.map_err(|source| DeployError::Edge { operation: "ask for its epoch".into(), source })?;
    world.raise_epoch(status.epoch)?;
    world.sync_routes().await?;
    needs.sort(&mut releases, |(_, release)| release.pool());
    for (fate, release) in &releases {
        fate::clear_beyond(world, release, found).await?;
        fate::clear(world, *fate, release, found).await?;
    }
    fate::clear_one_offs(world, found).await?;
    resume_workers(world, &releases, found).await;
    let named = |wanted: Fate| {
        let of_it = releases.iter().filter(move |(fate, _)| *fate == wanted);
        of_it.map(|(_, release)| release.container.clone()).collect()
    };
    Ok(Rebuilt {
        platforms: found.platforms.iter().map(|platform| platform.scope.clone()).collect(),
        serving: named(Fate::Serves),
        given_up: named(Fate::GivenUp),
    })
}

async fn resume_workers(world: &World, releases: &[(Fate, Release)], found: &Found) {
    for (_, given_up) in releases.iter().filter(|(fate, _)| *fate == Fate::GivenUp) {
        if let Some(worker) = serving(releases).find(|worker| worker.pool() == given_up.pool()) {
            fate::resume(world, worker, given_up, found).await;
        }
    }
}

fn write(world: &World, found: &Found, releases: &[(Fate, Release)]) -> Result<(), DeployError> {
    let written = world.write_kept(|tx, changes| {
        for kept in &found.others {
            // Its file is written anew as well: with its old number this ledger would look as if it had lost commits.
            let Some(kind) = crate::kept::KINDS.into_iter().find(|kind| *kind == kept.kind) else { continue };
            changes.put(tx, kind, &kept.key, &kept.record::<serde_json::Value>().unwrap_or_default())?;
        }
        for platform in &found.platforms {
            changes.put(tx, PLATFORM, &platform.scope.key(), platform)?;
            let counter = crate::store::release_counter(&platform.scope);
            // A number is never given twice, also not that of a release of which only a container is left.
            while tx.next_number(&counter)? < found.highest(&platform.scope) {}
            tx.append_event(told(platform, releases))?;
        }
        for (fate, release) in releases {
            changes.put(tx, RELEASE, &release.key(), release)?;
            if *fate == Fate::Serves {
                changes.put(tx, SERVING, &release.pool(), &release.key())?;
            }
        }
        let serving: Vec<&String> = serving(releases).map(|release| &release.container).collect();
        tx.put_record(LEDGER, UNFINISHED, &Whole { since_ms: world.clock.now_ms() })?;
        tx.append_audit("mainstay", "rebuild", "ledger", json!({ "serving": serving })).map(drop)
    });
    written.map_err(failed("write down what was found"))
}

fn serving(releases: &[(Fate, Release)]) -> impl Iterator<Item = &Release> {
    releases.iter().filter(|(fate, _)| *fate == Fate::Serves).map(|(_, release)| release)
}

/// The story of the platform begins again, and says so.
fn told(platform: &Platform, releases: &[(Fate, Release)]) -> NewEvent {
    let serves: Vec<(&str, &ReleaseId)> = serving(releases)
        .filter(|release| release.scope == platform.scope)
        .map(|release| (release.service.as_str(), &release.id))
        .collect();
    NewEvent {
        kind: "ledger.rebuilt".into(),
        platform: platform.scope.platform.clone(),
        environment: platform.scope.environment.clone(),
        service: None,
        saga: None,
        data: json!({ "serving": serves.into_iter().collect::<std::collections::BTreeMap<_, _>>() }),
    }
}

/// Whether a record is one that the building itself writes.
fn is_written_anew(kept: &Kept) -> bool {
    [PLATFORM, RELEASE, SERVING].contains(&kept.kind.as_str())
}

fn failed(operation: &'static str) -> impl Fn(ledger::LedgerError) -> DeployError {
    move |source| DeployError::Ledger { operation, source }
}
