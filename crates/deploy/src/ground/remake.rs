//! A network that differs from the file is made anew, and what is on it is moved to it.
//!
//! What was on it is written down first: between taking the first container off and putting the last one on, nothing
//! but this record knows where they belong. Every part looks at what is there, so doing it again after a crash goes on
//! where it stopped.

use std::net::IpAddr;

use machine::docker::{ContainerDetail, DockerError, Network, NetworkSpec};
use serde::{Deserialize, Serialize};

use super::{compare, docker};
use crate::error::{DeployError, is_gone};
use crate::health;
use crate::names::Scope;
use crate::world::World;

const CHANGE: &str = "network-change";

/// The record of kind `network-change`; it is there while a network is being made anew.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NetworkChange {
    pub name: String,
    pub attachments: Vec<Attached>,
    /// As it was, for the case that it cannot be made as the file has it.
    before: Network,
}

/// A container's place on a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    pub container: String,
    pub name: String,
    #[serde(default)]
    pub aliases: Vec<String>,
    /// The address that was asked for.
    #[serde(default)]
    pub fixed: Option<IpAddr>,
}

fn key(scope: &Scope, name: &str) -> String {
    format!("{}/{name}", scope.key())
}

fn ledger(operation: &'static str) -> impl Fn(ledger::LedgerError) -> DeployError {
    move |source| DeployError::Ledger { operation, source }
}

/// Networks whose change was begun and has not ended.
pub fn unfinished(world: &World, scope: &Scope) -> Result<Vec<NetworkChange>, DeployError> {
    let prefix = format!("{}/", scope.key());
    let all = world.ledger.list_records::<NetworkChange>(CHANGE, &prefix).map_err(ledger("list network changes"))?;
    Ok(all.into_iter().map(|(_, change)| change).collect())
}

/// Makes it as `wanted` says.
pub async fn begin(world: &World, scope: &Scope, wanted: &NetworkSpec, before: Network) -> Result<(), DeployError> {
    let attachments = attached(world, &before.name).await?;
    let change = NetworkChange { name: before.name.clone(), attachments, before };
    world.ledger.put_record(CHANGE, &key(scope, &change.name), &change).map_err(ledger("note a network's change"))?;
    finish(world, scope, &change, Some(wanted), true).await
}

/// Brings a change to its end. Without `wanted` the file has no such network any more, and what is there stays.
/// `differs`: what is there now is still to be replaced.
pub async fn finish(
    world: &World,
    scope: &Scope,
    change: &NetworkChange,
    wanted: Option<&NetworkSpec>,
    differs: bool,
) -> Result<(), DeployError> {
    let name = &change.name;
    let mut there = docker("look for a network", world.docker.network(name).await)?;
    if let (Some(_), true, Some(_)) = (&there, differs, wanted) {
        world.talk.say(None, format!("makes network {name} anew"));
        // Whoever came to it since is moved as well.
        let mut all = change.attachments.clone();
        for one in attached(world, name).await? {
            if !all.iter().any(|known| known.container == one.container) {
                all.push(one);
            }
        }
        let change = NetworkChange { attachments: all, ..change.clone() };
        world.ledger.put_record(CHANGE, &key(scope, name), &change).map_err(ledger("note a network's change"))?;
        for one in &change.attachments {
            leave(world, name, one).await?;
        }
        match world.docker.remove_network(name).await {
            Err(error) if !is_gone(&error) => {
                // It is as it was, and so is everything that was on it.
                put_back(world, scope, &change).await?;
                return Err(DeployError::Docker { operation: format!("remove network `{name}`"), source: error });
            }
            _ => there = None,
        }
        return make(world, scope, &change, wanted, there).await;
    }
    make(world, scope, change, wanted, there).await
}

async fn make(
    world: &World,
    scope: &Scope,
    change: &NetworkChange,
    wanted: Option<&NetworkSpec>,
    there: Option<Network>,
) -> Result<(), DeployError> {
    if let (None, Some(wanted)) = (&there, wanted)
        && let Err(error) = world.docker.create_network(wanted).await
    {
        // Better the network of before than none.
        let again = again(&change.before);
        world.talk.say(None, format!("makes network {} as it was, since it cannot be made anew", change.name));
        docker(&format!("create network `{}`", change.name), world.docker.create_network(&again).await)?;
        put_back(world, scope, change).await?;
        return Err(DeployError::Docker { operation: format!("create network `{}`", change.name), source: error });
    }
    put_back(world, scope, change).await
}

/// Everything that was on it is on it again.
async fn put_back(world: &World, scope: &Scope, change: &NetworkChange) -> Result<(), DeployError> {
    if let Some(network) = docker("look for a network", world.docker.network(&change.name).await)? {
        for one in &change.attachments {
            join(world, &network, one).await?;
        }
    }
    let forgotten = world.ledger.delete_record(CHANGE, &key(scope, &change.name));
    forgotten.map(drop).map_err(ledger("note the end of a network's change"))
}

/// Every container that has a place on it, also one that does not run: without its network it could not start again.
async fn attached(world: &World, network: &str) -> Result<Vec<Attached>, DeployError> {
    let mut all = Vec::new();
    for container in docker("list containers", world.docker.list(&[], true).await)? {
        let Some(detail) = health::inspect(world, &container.id).await? else { continue };
        all.extend(place(&detail, network));
    }
    Ok(all)
}

fn place(detail: &ContainerDetail, network: &str) -> Option<Attached> {
    let at = detail.networks.get(network)?;
    // Docker gives each container the beginning of its id as a name, and does so again.
    let aliases = at.aliases.iter().filter(|alias| !detail.id.starts_with(alias.as_str())).cloned().collect();
    Some(Attached { container: detail.id.clone(), name: detail.name.clone(), aliases, fixed: at.fixed })
}

async fn leave(world: &World, network: &str, one: &Attached) -> Result<(), DeployError> {
    let detail = health::inspect(world, &one.container).await?;
    if !detail.is_some_and(|detail| detail.networks.contains_key(network)) {
        return Ok(());
    }
    match world.docker.disconnect(network, &one.container).await {
        Err(error) if !is_gone(&error) => Err(DeployError::Docker {
            operation: format!("take container `{}` off network `{network}`", one.name),
            source: error,
        }),
        _ => Ok(()),
    }
}

async fn join(world: &World, network: &Network, one: &Attached) -> Result<(), DeployError> {
    let detail = health::inspect(world, &one.container).await?;
    if detail.is_none_or(|detail| detail.networks.contains_key(&network.name)) {
        return Ok(());
    }
    let fixed = one.fixed.filter(|address| compare::lies_in(*address, &network.pools));
    let mut joined = world.docker.connect_at(&network.name, &one.container, &one.aliases, fixed).await;
    if fixed.is_some() && matches!(joined, Err(DockerError::Refused { .. })) {
        joined = world.docker.connect(&network.name, &one.container, &one.aliases).await;
    }
    match joined {
        Err(error) if !is_gone(&error) => Err(DeployError::Docker {
            operation: format!("put container `{}` on network `{}`", one.name, network.name),
            source: error,
        }),
        _ => Ok(()),
    }
}

fn again(before: &Network) -> NetworkSpec {
    NetworkSpec {
        name: before.name.clone(),
        driver: before.driver.clone(),
        internal: before.internal,
        pools: before.pools.clone(),
        attachable: before.attachable,
        ipv6: before.ipv6,
        options: before.options.clone(),
        labels: before.labels.clone(),
    }
}
