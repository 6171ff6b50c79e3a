//! Addresses that a serving release had and that none of its containers has now.
//!
//! A container's address is the next one's as soon as it has ended. So what ends is taken out of the edge's pools at
//! once, by the engine's word and not at the next turn of the reconciler, and stays out until a container of the release
//! has an address again. The release's record keeps its last word, and its routes stay: who asks is told that the
//! service is away (503), and is never sent to whoever has the address now.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use edge::Snapshot;
use machine::docker::{ContainerDetail, ContainerEvent, State as Is};

use crate::error::DeployError;
use crate::names;
use crate::release::Release;
use crate::world::World;
use crate::{health, tick};

/// By the key of the release: the addresses that are somebody else's, or nobody's.
const ABSENT: &str = "absent";

/// How long a target of a silent engine may take to say that it is still there.
const SIGN_OF_LIFE: Duration = Duration::from_millis(500);

/// Where the copies that run are, and on which ports they listen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Present {
    pub addresses: Vec<IpAddr>,
    pub ports: BTreeSet<u16>,
}

/// Above these the kernel picks ports by itself, for whoever does not mind which.
const PICKED: u16 = 32768;

pub(crate) async fn present(world: &World, release: &Release) -> Result<Present, DeployError> {
    let mut present = Present::default();
    for container in release.containers() {
        let detail = health::inspect(world, &container).await?;
        let Some(detail) = detail.filter(is_up) else { continue };
        present.addresses.extend(health::address(&detail));
        let ports = detail.pid.map(machine::net::listening_ports).unwrap_or_default();
        present.ports.extend(ports.into_iter().filter(|port| *port < PICKED));
    }
    Ok(present)
}

fn is_up(detail: &ContainerDetail) -> bool {
    matches!(detail.state, Is::Running | Is::Restarting | Is::Paused)
}

/// Every address at which the edge may look for the release itself.
fn known(release: &Release) -> Vec<IpAddr> {
    let targets = release.targets.iter().map(std::net::SocketAddr::ip);
    let mut known: Vec<IpAddr> = release.addresses.iter().copied().chain(targets).collect();
    known.sort();
    known.dedup();
    known
}

/// Writes down which of its addresses the release does not have now.
pub(crate) fn note(world: &World, release: &Release, present: &[IpAddr]) -> Result<(), DeployError> {
    let absent: Vec<IpAddr> = known(release).into_iter().filter(|address| !present.contains(address)).collect();
    write(world, release, &absent)
}

fn write(world: &World, release: &Release, absent: &[IpAddr]) -> Result<(), DeployError> {
    let before: Option<Vec<IpAddr>> = world.ledger.get_record(ABSENT, &release.key()).map_err(ledger)?;
    match (before, absent) {
        (None, []) => Ok(()),
        (Some(_), []) => world.ledger.delete_record(ABSENT, &release.key()).map(drop).map_err(ledger),
        (Some(before), absent) if before == absent => Ok(()),
        (_, absent) => world.ledger.put_record(ABSENT, &release.key(), &absent).map_err(ledger),
    }
}

/// Forgets the addresses of releases that do not serve any more.
pub(crate) fn forget(world: &World, followed: &[Release]) -> Result<(), DeployError> {
    for (key, _) in world.ledger.list_records::<Vec<IpAddr>>(ABSENT, "").map_err(ledger)? {
        if !followed.iter().any(|release| release.key() == key) {
            world.ledger.delete_record(ABSENT, &key).map_err(ledger)?;
        }
    }
    Ok(())
}

/// What is written down, by the pool's name and the release.
pub(crate) type Absent = BTreeMap<(String, String), Vec<IpAddr>>;

/// What is written down about these releases.
pub(crate) fn of(world: &World, releases: &[&Release]) -> Result<Absent, DeployError> {
    let written = world.ledger.list_records::<Vec<IpAddr>>(ABSENT, "").map_err(ledger)?;
    let release = |key: &str| releases.iter().find(|release| release.key() == key);
    let named = |(key, absent): (String, Vec<IpAddr>)| {
        release(&key).map(|release| ((release.pool(), release.id.to_string()), absent))
    };
    Ok(written.into_iter().filter_map(named).collect())
}

/// Looks once more at what is written down: an operation that has just started a container again need not wait for the
/// engine's word about it.
pub(crate) async fn confirm(world: &World, releases: &[&Release]) -> Result<(), DeployError> {
    let written = world.ledger.list_records::<Vec<IpAddr>>(ABSENT, "").map_err(ledger)?;
    for release in releases.iter().filter(|release| written.iter().any(|(key, _)| *key == release.key())) {
        // Without the engine the last word stands.
        if let Ok(present) = present(world, release).await {
            note(world, release, &present.addresses)?;
        }
    }
    Ok(())
}

/// Takes these addresses out of the pools of their releases, whatever the port.
pub(crate) fn withdraw(snapshot: &mut Snapshot, absent: &Absent) {
    for ((name, release), addresses) in absent {
        let is_of =
            |pool: &str| pool.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'));
        for pool in snapshot.pools.iter_mut().filter(|pool| pool.release == *release && is_of(&pool.name)) {
            pool.targets.retain(|target| !addresses.contains(&target.ip()));
        }
    }
}

/// A container has ended, begun, or changed its network: the edge goes by that at once.
pub(crate) async fn hear(world: &World, event: &ContainerEvent) -> Result<(), DeployError> {
    let name = match event.action.as_str() {
        "die" | "start" | "destroy" if event.labels.contains_key(names::RELEASE) => event.name.clone(),
        "network-connect" | "network-disconnect" => match health::inspect(world, &event.id).await? {
            Some(detail) if detail.labels.contains_key(names::RELEASE) => detail.name,
            _ => return Ok(()),
        },
        _ => return Ok(()),
    };
    let is_its = |release: &Release| release.containers().contains(&name);
    if tick::follow(world, is_its).await?.is_some() {
        world.sync_routes().await?;
    }
    Ok(())
}

/// The engine is back: everything may have another address.
pub(crate) async fn look(world: &World) -> Result<(), DeployError> {
    tick::follow_addresses(world).await?;
    world.sync_routes().await.map(drop)
}

/// The engine does not answer. Its containers may live on without it, or have ended with it; those would come back with
/// each other's addresses before anybody could look. Who gives no sign of life is taken out until then.
pub(crate) async fn look_without_engine(world: &World) -> Result<(), DeployError> {
    for release in tick::followed(world)? {
        let mut present = Vec::new();
        for target in &release.targets {
            if machine::net::tcp_connect(*target, SIGN_OF_LIFE).await.is_ok() {
                present.push(target.ip());
            }
        }
        if !release.targets.is_empty() {
            note(world, &release, &present)?;
        }
    }
    world.sync_routes().await.map(drop)
}

fn ledger(source: ledger::LedgerError) -> DeployError {
    DeployError::Ledger { operation: "keep the addresses that nobody has", source }
}

#[cfg(test)]
mod tests {
    use edge::Pool;

    use super::*;

    #[test]
    fn an_address_is_taken_out_of_every_pool_of_its_release_and_of_no_other() {
        let pool = |name: &str, release: &str, port: u16| {
            let at = |last: u8| ([10, 0, 0, last], port).into();
            Pool::new(name, release, vec![at(2), at(3)])
        };
        let mut snapshot = Snapshot::new(1);
        snapshot.pools = vec![
            pool("a/b/web", "r1", 80),
            pool("a/b/web:81", "r1", 81),
            pool("a/b/web", "r2", 80),
            pool("a/b/web2", "r1", 80),
        ];
        let absent = Absent::from([(("a/b/web".to_owned(), "r1".to_owned()), vec![[10, 0, 0, 2].into()])]);
        withdraw(&mut snapshot, &absent);
        let left: Vec<usize> = snapshot.pools.iter().map(|pool| pool.targets.len()).collect();
        assert_eq!(left, [1, 1, 2, 2]);
    }
}
