//! Intruders: Docker is asked too, and not only the ledger, who writes to a service's data.
//!
//! A `docker compose up -d` out of habit, a second server by hand, the container of a failed release that is started
//! again: whatever starts is looked at within a second. It is an intruder when it belongs to no release that may run and
//! came after one that does. Two programs on a database's files destroy them, so there it is ended at once, unless the
//! platform file says `intruders: report`; elsewhere it is told of and left running.

mod record;

use std::time::Duration;

use machine::docker::{Container, ContainerDetail, ContainerEvent, State as ContainerState};
use serde_json::json;
use spec::DataMount;
use spec::platform::{Intruders, NoticeKind};

use crate::error::DeployError;
use crate::identity::{COMPOSE_PROJECT, COMPOSE_SERVICE};
use crate::names;
use crate::notify::Notice;
use crate::release::{Release, State};
use crate::stopping::{self, IntruderEnd};
use crate::world::World;
use crate::{ends, health, places};

pub use record::{Intruder, known, sweep};

/// One that has run longer has opened the files long ago, and a kill leaves them in a worse state than a stop.
const FRESH_MS: i64 = 10_000;
/// The same intruder is not told of more often.
const TOLD_MS: i64 = 60_000;

/// Looks at what an event is about.
pub async fn hear(world: &World, event: &ContainerEvent) -> Result<(), DeployError> {
    if !matches!(event.action.as_str(), "start" | "unpause") {
        return Ok(());
    }
    let releases = world.all_releases()?;
    let Some(detail) = health::inspect(world, &event.id).await?.filter(runs) else { return Ok(()) };
    // A release that starts may find somebody who came while it was away.
    match places::is_living(&releases, &listed(&detail)) {
        true if detail.labels.contains_key(names::ONE_OFF) => Ok(()),
        true => look(world).await,
        false => judge(world, &releases, &detail).await,
    }
}

/// Looks at everything that runs: nobody has seen what started while the agent was away.
pub async fn look(world: &World) -> Result<(), DeployError> {
    let releases = world.all_releases()?;
    let failed = |source| DeployError::Docker { operation: "list containers".into(), source };
    for container in world.docker.list(&[], false).await.map_err(failed)? {
        let writes = container.mounts.iter().any(|mount| mount.writable);
        if !writes || places::is_living(&releases, &container) {
            continue;
        }
        if let Some(detail) = health::inspect(world, &container.id).await?.filter(runs) {
            judge(world, &releases, &detail).await?;
        }
    }
    Ok(())
}

fn runs(detail: &ContainerDetail) -> bool {
    matches!(detail.state, ContainerState::Running | ContainerState::Restarting | ContainerState::Paused)
}

fn listed(detail: &ContainerDetail) -> Container {
    Container {
        id: detail.id.clone(),
        name: detail.name.clone(),
        labels: detail.labels.clone(),
        state: detail.state,
        mounts: detail.mounts.clone(),
        ..Container::default()
    }
}

/// What it writes that a release writes.
struct Met<'a> {
    release: &'a Release,
    what: String,
    database: bool,
    /// The release has a container there right now.
    beside: bool,
}

async fn judge(world: &World, releases: &[Release], detail: &ContainerDetail) -> Result<(), DeployError> {
    let mut met = met(world, releases, detail).await?;
    // What is worst counts.
    met.sort_by_key(|met| (!(met.database && met.beside), !met.database));
    match met.first() {
        Some(worst) => deal(world, detail, worst).await,
        None => Ok(()),
    }
}

async fn met<'a>(
    world: &World,
    releases: &'a [Release],
    detail: &ContainerDetail,
) -> Result<Vec<Met<'a>>, DeployError> {
    let living = |release: &&Release| matches!(release.state, State::Serving | State::Parked | State::Starting);
    let writes = |release: &&Release| release.plan.data.as_ref().is_some_and(|data| !data.is_empty());
    let living: Vec<&Release> = releases.iter().filter(living).filter(writes).collect();
    let mut all = Vec::new();
    if living.is_empty() || !detail.mounts.iter().any(|mount| mount.writable) {
        return Ok(all);
    }
    let theirs = places::of_mounts(world, &detail.mounts).await?;
    for release in living {
        let Some((mine, other)) = both(release, &theirs) else { continue };
        if is_taken_over(world, release, detail)? {
            continue;
        }
        let Some(beside) = came_after(world, release, detail).await? else { continue };
        let database = release.plan.database.is_some() || mine.database.is_some() || other.database.is_some();
        all.push(Met { release, what: mine.what.clone(), database, beside });
    }
    Ok(all)
}

fn both<'a>(release: &'a Release, theirs: &'a [DataMount]) -> Option<(&'a DataMount, &'a DataMount)> {
    let mine = release.plan.data.iter().flatten();
    mine.filter_map(|mine| Some((mine, theirs.iter().find(|other| mine.meets(other))?))).next()
}

/// A container of plain Compose that makes way for this release just now, or is brought back because it failed.
fn is_taken_over(world: &World, release: &Release, detail: &ContainerDetail) -> Result<bool, DeployError> {
    let label = |key: &str| detail.labels.get(key).map(String::as_str);
    if release.state != State::Starting || label(COMPOSE_SERVICE) != Some(release.service.as_ref()) {
        return Ok(false);
    }
    let project = world.identity(&release.scope)?.map(|identity| identity.project);
    let failed = |source| DeployError::Ledger { operation: "look at the lock", source };
    let held = world.ledger.holder(&release.scope.lease()).map_err(failed)?.is_some();
    Ok(held && label(COMPOSE_PROJECT).map(str::to_owned) == project)
}

/// Whether it started after the release had come, and if so whether a container of the release is there. A release
/// came when its container was made: it may have been started again since, as after a reboot.
async fn came_after(world: &World, release: &Release, detail: &ContainerDetail) -> Result<Option<bool>, DeployError> {
    let mut since_ms: Option<i64> = None;
    let mut beside = false;
    for container in release.containers() {
        let Some(own) = health::inspect(world, &container).await? else { continue };
        since_ms = Some(since_ms.map_or(own.created_ms, |known| known.min(own.created_ms)));
        beside |= runs(&own);
    }
    // Without a container it came when it took over.
    let since_ms = since_ms.or(release.switched_ms);
    let started_ms = detail.started_ms.unwrap_or_default();
    Ok(since_ms.filter(|since_ms| started_ms > *since_ms).map(|_| beside))
}

/// Ends it where that is called for, and tells of it.
async fn deal(world: &World, detail: &ContainerDetail, met: &Met<'_>) -> Result<(), DeployError> {
    let scope = &met.release.scope;
    let platform = world.platform(scope)?;
    let mode = platform.as_ref().map(|platform| platform.intruders).unwrap_or_default();
    let is_ended = met.database && met.beside && mode == Intruders::Stop;
    let now_ms = world.clock.now_ms();
    let started_ms = detail.started_ms.unwrap_or(now_ms);
    let is_fresh = now_ms - started_ms <= FRESH_MS;
    let mut ended = Ok(());
    // First of all: whatever is written down before costs the database.
    if is_ended && is_fresh {
        ended = stopping::end_intruder(world, detail, IntruderEnd::AtOnce).await;
    }
    let before = record::get(world, scope, &detail.id)?;
    let mut found = Intruder {
        scope: scope.clone(),
        service: met.release.service.clone(),
        id: detail.id.clone(),
        container: detail.name.clone(),
        project: detail.labels.get(COMPOSE_PROJECT).filter(|_| !is_ours(detail)).cloned(),
        what: met.what.clone(),
        database: met.database,
        started_ms,
        ended_ms: (is_ended && is_fresh && ended.is_ok()).then(|| world.clock.now_ms()),
        runs: true,
        told_ms: before.as_ref().map_or(0, |before| before.told_ms),
        times: before.as_ref().map_or(1, |before| before.times + u32::from(before.started_ms != started_ms)),
    };
    found.runs = found.ended_ms.is_none();
    let is_known = before.is_some_and(|before| before.started_ms == started_ms);
    let tells = !is_known && now_ms - found.told_ms >= TOLD_MS;
    if tells {
        found.told_ms = now_ms;
    }
    record::put(world, &found)?;
    if is_ended && !is_fresh {
        ask_to_end(world, detail, found.clone());
    }
    if tells {
        tell(world, met.release, &found, platform.map(|platform| platform.dir).unwrap_or_default())?;
    }
    ended
}

fn is_ours(detail: &ContainerDetail) -> bool {
    detail.labels.contains_key(names::PLATFORM)
}

/// It may take its time, and nobody else is kept waiting.
fn ask_to_end(world: &World, detail: &ContainerDetail, mut found: Intruder) {
    let (world, detail) = (world.clone(), detail.clone());
    let grace = detail.stop_timeout.unwrap_or(Duration::from_secs(10));
    tokio::spawn(async move {
        let ended = stopping::end_intruder(&world, &detail, IntruderEnd::Within(grace)).await;
        found.ended_ms = Some(world.clock.now_ms());
        if let Err(error) = ended.and_then(|()| record::put(&world, &found)) {
            tracing::warn!("could not end {}: {error}", found.container);
        }
    });
}

fn tell(world: &World, release: &Release, found: &Intruder, dir: std::path::PathBuf) -> Result<(), DeployError> {
    let text = format!("{}; {}", found.text(), found.advice());
    tracing::warn!("{text}");
    ends::tell(world, release, "intruder", json!({ "text": text, "intruder": found }))?;
    world.tell(Notice {
        services: vec![release.service.clone()],
        cause: Some(text),
        ..Notice::new(NoticeKind::Intruder, &release.scope, dir, "watch", "mainstay")
    });
    Ok(())
}
