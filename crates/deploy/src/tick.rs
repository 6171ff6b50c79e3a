//! The reconciler: no input, idempotent, the same work every time.
//!
//! It brings the edge to what the ledger says, follows containers whose address has changed,
//! stops warm releases whose time is over, and forgets releases beyond those that are kept.

use std::collections::BTreeMap;

use machine::docker::State as Is;
use serde::Serialize;
use spec::ServiceName;

use crate::absent::Present;
use crate::error::DeployError;
use crate::release::{Event, Release, State};
use crate::store::Platform;
use crate::world::World;
use crate::{absent, certificates, copies, health, holders};

/// What one turn did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Turn {
    pub routes_pushed: bool,
    /// Services whose container had moved to another address.
    pub moved: Vec<String>,
    /// Platforms whose names in Docker had to be given again, or are somewhere else.
    pub names: Vec<String>,
    /// Certificates whose files have changed.
    pub renewed: Vec<String>,
    /// Warm releases that were stopped.
    pub expired: Vec<String>,
    /// Releases beyond the kept ones.
    pub forgotten: Vec<String>,
}

pub async fn tick(world: &World) -> Result<Turn, DeployError> {
    let moved = follow_addresses(world).await?;
    let mut turn = Turn { moved, renewed: certificates::refresh(world)?, ..Turn::default() };
    for platform in world.platforms()? {
        if holders::keep(world, &platform.scope).await? {
            turn.names.push(platform.scope.to_string());
        }
    }
    turn.routes_pushed = world.sync_routes().await?;
    for platform in world.platforms()? {
        if world.is_paused(&platform.scope)? {
            continue;
        }
        turn.expired.extend(expire(world, &platform).await?);
        turn.forgotten.extend(forget(world, &platform).await?);
    }
    Ok(turn)
}

/// What the edge sends something to.
pub(crate) fn followed(world: &World) -> Result<Vec<Release>, DeployError> {
    let serving = world.all_serving()?;
    let trials = world.trials(&serving)?.into_iter().map(|trial| trial.release);
    Ok(serving.into_iter().chain(trials).collect())
}

/// A container that Docker restarted may have another address; traffic follows it.
pub(crate) async fn follow_addresses(world: &World) -> Result<Vec<String>, DeployError> {
    absent::forget(world, &followed(world)?)?;
    Ok(follow(world, |_| true).await?.unwrap_or_default())
}

/// Looks where the containers of these releases are. Answers which of them have moved; `None` where there are none.
pub(crate) async fn follow(
    world: &World,
    is_meant: impl Fn(&Release) -> bool,
) -> Result<Option<Vec<String>>, DeployError> {
    let platforms = world.platforms()?;
    let is_meant = |release: &Release| is_meant(release) && has_target(release, &platforms);
    let meant: Vec<Release> = followed(world)?.into_iter().filter(is_meant).collect();
    if meant.is_empty() {
        return Ok(None);
    }
    let mut moved = Vec::new();
    for release in meant {
        let present = absent::present(world, &release).await?;
        if release.is_left_alone() && !present.addresses.is_empty() {
            moved.extend(move_to(world, &release, &present)?);
        }
        // Read again: its addresses may just have been written, here or by a roll-out.
        if let Some(known) = world.release(&release.scope, &release.service, &release.id)? {
            absent::note(world, &known, &present.addresses)?;
        }
    }
    Ok(Some(moved))
}

/// Writes down where a release is now, and answers its container's name if the edge must know.
fn move_to(world: &World, release: &Release, present: &Present) -> Result<Option<String>, DeployError> {
    let Present { addresses, ports } = present;
    let targets = match release.targets.is_empty() {
        true => Vec::new(),
        false => release.targets_at(addresses),
    };
    if release.targets == targets && release.addresses == *addresses && release.listens == *ports {
        return Ok(None);
    }
    // Read again: a roll-out may have written it since.
    let known = world.release(&release.scope, &release.service, &release.id)?;
    let known = known.filter(|known| known.is_left_alone() && known.copies == release.copies);
    let Some(mut known) = known else { return Ok(None) };
    let has_moved = known.targets != targets;
    (known.targets, known.addresses) = (targets, addresses.clone());
    known.listens.clone_from(ports);
    world.save_release(&known)?;
    Ok(has_moved.then_some(known.container))
}

/// What the edge has an address of, or needs one of.
fn has_target(release: &Release, platforms: &[Platform]) -> bool {
    let on_tcp = |platform: &Platform| {
        platform.scope == release.scope && platform.edge.tcp.iter().any(|tcp| tcp.service == release.service)
    };
    !release.targets.is_empty() || platforms.iter().any(on_tcp)
}

async fn expire(world: &World, platform: &Platform) -> Result<Vec<String>, DeployError> {
    let mut expired = Vec::new();
    let releases = world.releases(&platform.scope, None)?;
    let mut cold = cold(&releases, world.clock.now_ms(), platform.keep_releases.max(1) as usize);
    for release in lapsed(world, &releases).await? {
        let is_listed = cold.iter().any(|other| other.service == release.service && other.id == release.id);
        if !is_listed {
            cold.push(release);
        }
    }
    for mut release in cold {
        copies::remove(world, &release).await?;
        world.advance(&mut release, &Event::Expired)?;
        release.parked_until_ms = None;
        world.save_release(&release)?;
        expired.push(release.container);
    }
    Ok(expired)
}

/// Warm releases of which a container does not run any more: nothing could go back to them at once.
async fn lapsed(world: &World, releases: &[Release]) -> Result<Vec<Release>, DeployError> {
    let mut lapsed = Vec::new();
    let warm = |release: &&Release| {
        release.state == State::Parked && release.parked_until_ms.is_some_and(|until| until < i64::MAX)
    };
    for release in releases.iter().filter(warm) {
        for container in release.containers() {
            let detail = health::inspect(world, &container).await?;
            let lives = |state| matches!(state, Is::Running | Is::Restarting | Is::Paused);
            if !detail.is_some_and(|detail| lives(detail.state)) {
                lapsed.push(release.clone());
                break;
            }
        }
    }
    Ok(lapsed)
}

/// Pure: the warm releases whose time is over, and those beyond the newest few of each service: who deploys every minute
/// does not fill the machine with what nobody goes back to.
fn cold(releases: &[Release], now_ms: i64, keep: usize) -> Vec<Release> {
    let mut warm: BTreeMap<&ServiceName, usize> = BTreeMap::new();
    let mut cold = Vec::new();
    for release in releases.iter().rev().filter(|release| release.state == State::Parked) {
        // While its successor is watched a release is warm without an end, and is not to be counted yet.
        let Some(until) = release.parked_until_ms.filter(|until| *until < i64::MAX) else { continue };
        let count = warm.entry(&release.service).or_default();
        *count += usize::from(until > now_ms);
        if until <= now_ms || *count > keep {
            cold.push(release.clone());
        }
    }
    cold
}

/// Keeps the serving release, the warm one and the newest few of each service; a failed one only
/// until the next.
async fn forget(world: &World, platform: &Platform) -> Result<Vec<String>, DeployError> {
    let mut forgotten = Vec::new();
    for release in beyond_kept(&world.releases(&platform.scope, None)?, platform.keep_releases as usize) {
        copies::remove(world, &release).await?;
        let (repository, tag) = release.scope.keep_tag(&release.service, &release.id);
        let _ = world.docker.untag(&format!("{repository}:{tag}")).await;
        for file in [&release.definition.file, &crate::shown::file(&release.definition.file)] {
            world.root.remove(file).map_err(|source| DeployError::State {
                operation: format!("forget the definition of {}", release.id),
                source,
            })?;
        }
        world.forget_release(&release)?;
        forgotten.push(release.container);
    }
    if !forgotten.is_empty() {
        crate::attached::sweep(world, &platform.scope)?;
    }
    Ok(forgotten)
}

/// Pure: which releases are not worth keeping any more.
pub(crate) fn beyond_kept(releases: &[Release], keep: usize) -> Vec<Release> {
    let mut beyond = Vec::new();
    let mut services: Vec<_> = releases.iter().map(|release| &release.service).collect();
    services.sort();
    services.dedup();
    for service in services {
        let of_service: Vec<&Release> = releases.iter().rev().filter(|release| release.service == *service).collect();
        let newest = of_service.first().map(|release| release.id.number());
        let mut kept = 0;
        for release in of_service {
            let failed = matches!(release.state, State::Failed { .. });
            let gone = match &release.state {
                State::Failed { .. } => Some(release.id.number()) != newest,
                State::Retired => {
                    kept += 1;
                    kept > keep
                }
                _ => false,
            };
            if gone || (failed && keep == 0) {
                beyond.push(release.clone());
            }
        }
    }
    beyond
}
