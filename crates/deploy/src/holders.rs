//! Address holders: how services behind the edge have names in Docker's own name service.
//!
//! The releases of a service must not have its name, or callers would reach one that is not ready yet. So a tiny
//! container that only waits has the names, as aliases on each network of the service, and the edge listens in its
//! network namespace: whoever asks Docker for `api` gets that container's address, whatever program asks and wherever it
//! came from, and the edge passes on to the release that serves. See `docs/decisions/deploy-internal-calls.md`.
//!
//! A holder can be on a network once, under names that are fixed when it joins; that is a seat. Services share a seat
//! when no port is wanted twice, so most platforms have one holder.

mod arrange;

use std::collections::BTreeMap;
use std::net::IpAddr;

use machine::docker::{ContainerDetail, ContainerSpec, DockerError, Network, Restart, pause};
use serde::{Deserialize, Serialize};

use crate::error::{DeployError, is_gone};
use crate::names::{HOLDER, Scope};
use crate::stopping::remove_holder;
use crate::store::{InternalRecord, Platform};
use crate::world::World;
use arrange::{Move, arrange};

/// The image of all holders; it is made here.
const IMAGE: (&str, &str) = ("mainstay-pause", "1");

/// Programs that read Docker's socket leave it alone.
const UNSEEN: [(&str, &str); 3] =
    [("com.centurylinklabs.watchtower.enable", "false"), ("diun.enable", "false"), ("traefik.enable", "false")];

/// A container that only waits, and where it is found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub container: String,
    /// The file by which its network namespace is entered; each start makes another. Empty while it does not run.
    pub namespace: String,
    pub seats: Vec<Seat>,
}

/// A holder's place on one network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// By its real name.
    pub network: String,
    pub addresses: Vec<IpAddr>,
    /// What it is called there.
    pub names: Vec<String>,
}

impl Seat {
    /// Whether a service is found here.
    pub fn has(&self, service: &spec::ServiceName) -> bool {
        self.names.iter().any(|name| name == service.as_str())
    }
}

/// Whether the names of a platform's services lead somewhere: looked up in what was written down, without Docker.
pub fn are_held(platform: &Platform) -> bool {
    let (moves, _) = arrange(&platform.holders, &platform.internals);
    moves.is_empty() && platform.holders.iter().all(|holder| !holder.namespace.is_empty())
}

/// Every service of the platform has its names. What is there already is left as it is.
pub async fn hold(world: &World, scope: &Scope) -> Result<(), DeployError> {
    let _turn = world.holding.lock().await;
    let Some(platform) = world.platform(scope)? else { return Ok(()) };
    if are_held(&platform) {
        return Ok(());
    }
    bring_about(world, scope, &platform.internals).await?;
    note(world, scope).await.map(drop)
}

/// Starts again what has gone, and writes down where everything is now. Answers whether something had changed.
pub async fn keep(world: &World, scope: &Scope) -> Result<bool, DeployError> {
    let _turn = world.holding.lock().await;
    let Some(platform) = world.platform(scope)? else { return Ok(false) };
    if platform.holders.is_empty() {
        return Ok(false);
    }
    let found = look(world, scope).await?;
    let held: Vec<InternalRecord> = held(&platform);
    if found == platform.holders && arrange(&found, &held).0.is_empty() && are_running(&found) {
        return Ok(false);
    }
    bring_about(world, scope, &held).await?;
    note(world, scope).await
}

/// The services that have had names; one that has not yet gets its first when a container is started.
fn held(platform: &Platform) -> Vec<InternalRecord> {
    let seats = || platform.holders.iter().flat_map(|holder| &holder.seats);
    let is_held = |internal: &&InternalRecord| seats().any(|seat| seat.has(&internal.service));
    platform.internals.iter().filter(is_held).cloned().collect()
}

fn are_running(holders: &[Holder]) -> bool {
    holders.iter().all(|holder| !holder.namespace.is_empty())
}

/// All holders of a platform go.
pub async fn remove_all(world: &World, scope: &Scope) -> Result<(), DeployError> {
    let _turn = world.holding.lock().await;
    for holder in look(world, scope).await? {
        remove_holder(world, &holder.container).await?;
    }
    world.save_holders(scope, &[])
}

async fn bring_about(world: &World, scope: &Scope, wanted: &[InternalRecord]) -> Result<(), DeployError> {
    let found = look(world, scope).await?;
    for holder in found.iter().filter(|holder| holder.namespace.is_empty()) {
        let started = world.docker.start(&holder.container).await;
        started.map_err(failed(format!("start `{}`", holder.container)))?;
    }
    let (moves, fresh) = arrange(&found, wanted);
    let mut names: Vec<String> = found.iter().map(|holder| holder.container.clone()).collect();
    for _ in 0..fresh {
        names.push(free_name(scope, &names));
    }
    for step in moves {
        match step {
            Move::Sit { holder, network, names: aliases } => {
                let Some(container) = names.get(holder) else { continue };
                sit(world, scope, container, &network, &aliases).await?;
            }
            Move::Leave { holder, network } => {
                let Some(container) = names.get(holder) else { continue };
                match world.docker.disconnect(&network, container).await {
                    Err(error) if !is_gone(&error) => {
                        return Err(failed(format!("take `{container}` off network `{network}`"))(error));
                    }
                    _ => {}
                }
            }
            Move::Go { holder } => {
                if let Some(container) = names.get(holder) {
                    remove_holder(world, container).await?;
                }
            }
        }
    }
    Ok(())
}

fn free_name(scope: &Scope, taken: &[String]) -> String {
    let first = format!("{}-names", scope.project());
    let later = (2..).map(|number| format!("{first}-{number}"));
    std::iter::once(first.clone()).chain(later).find(|name| !taken.contains(name)).unwrap_or(first)
}

/// Puts a holder on a network, and makes it where it does not exist.
async fn sit(
    world: &World,
    scope: &Scope,
    container: &str,
    network: &str,
    aliases: &[String],
) -> Result<(), DeployError> {
    let there = crate::health::inspect(world, container).await?;
    let address = match world.docker.network(network).await.map_err(failed(format!("look for network `{network}`")))? {
        Some(found) => out_of_the_way(&found),
        None => None,
    };
    match there {
        Some(detail) if detail.networks.contains_key(network) => return Ok(()),
        Some(_) => {
            let joined = match world.docker.connect_at(network, container, aliases, address).await {
                Err(DockerError::Refused { .. }) if address.is_some() => {
                    world.docker.connect(network, container, aliases).await
                }
                joined => joined,
            };
            joined.map_err(failed(format!("put `{container}` on network `{network}`")))?;
        }
        None => {
            image(world).await?;
            let mut labels: BTreeMap<String, String> =
                UNSEEN.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            labels.insert(HOLDER.to_owned(), scope.key());
            let spec = ContainerSpec {
                name: container.to_owned(),
                image: format!("{}:{}", IMAGE.0, IMAGE.1),
                labels,
                network: Some(network.to_owned()),
                aliases: aliases.to_vec(),
                address,
                restart: Restart::UnlessStopped,
                stop_signal: Some("SIGKILL".to_owned()),
                confined: true,
                ..ContainerSpec::default()
            };
            let begun = match begin(world, &spec).await {
                // A network whose subnet the engine chose gives no address that was asked for.
                Err(DockerError::Refused { .. }) if address.is_some() => {
                    remove_holder(world, container).await?;
                    begin(world, &ContainerSpec { address: None, ..spec }).await
                }
                begun => begun,
            };
            return begun.map_err(failed(format!("start `{container}`")));
        }
    }
    world.docker.start(container).await.map_err(failed(format!("start `{container}`")))
}

/// Which of the two refuses an address depends on the engine's version.
async fn begin(world: &World, spec: &ContainerSpec) -> Result<(), DockerError> {
    world.docker.create(spec).await?;
    world.docker.start(&spec.name).await
}

/// How far from the end of a subnet is looked for an address.
const NEAR_THE_END: usize = 64;

/// An address near the end of a subnet that the file chose: one at its beginning may be another service's, which is not
/// there yet.
fn out_of_the_way(network: &Network) -> Option<IpAddr> {
    let taken: Vec<IpAddr> = network.containers.iter().filter_map(|member| member.address).collect();
    network.pools.iter().find_map(|pool| {
        let subnet: ipnet::Ipv4Net = pool.subnet.parse().ok()?;
        let reserved = |address: &IpAddr| {
            Some(*address) == network.gateway || pool.reserved.values().any(|one| one.parse() == Ok(*address))
        };
        let last = u32::from(subnet.broadcast());
        // The very last ones are often a router's.
        (6..).map(|back| last.saturating_sub(back)).take(NEAR_THE_END).map(|bits| IpAddr::V4(bits.into())).find(
            |address| {
                let inside = matches!(address, IpAddr::V4(v4) if subnet.contains(v4) && *v4 > subnet.network());
                inside && !taken.contains(address) && !reserved(address)
            },
        )
    })
}

async fn image(world: &World) -> Result<(), DeployError> {
    let name = format!("{}:{}", IMAGE.0, IMAGE.1);
    let known = world.docker.image(&name).await.map_err(failed(format!("look for image `{name}`")))?;
    if known.is_some() {
        return Ok(());
    }
    let made = world.docker.import(pause::archive(), IMAGE.0, IMAGE.1, &pause::LINES).await;
    made.map_err(failed(format!("make image `{name}`")))
}

/// Writes down where the holders are. Answers whether that is news.
async fn note(world: &World, scope: &Scope) -> Result<bool, DeployError> {
    let holders = look(world, scope).await?;
    let is_news = world.platform(scope)?.is_some_and(|platform| platform.holders != holders);
    if is_news {
        world.save_holders(scope, &holders)?;
    }
    Ok(is_news)
}

/// The holders that exist, in the order of their names.
async fn look(world: &World, scope: &Scope) -> Result<Vec<Holder>, DeployError> {
    let label = [(HOLDER.to_owned(), scope.key())];
    let mut found = world.docker.list(&label, true).await.map_err(failed("list address holders".to_owned()))?;
    found.sort_by(|one, other| (one.name.len(), &one.name).cmp(&(other.name.len(), &other.name)));
    let mut holders = Vec::new();
    for container in found {
        holders.extend(crate::health::inspect(world, &container.id).await?.map(holder));
    }
    Ok(holders)
}

fn holder(detail: ContainerDetail) -> Holder {
    let seat = |(network, at): (String, machine::docker::Attachment)| Seat {
        network,
        addresses: at.address.into_iter().chain(at.address_v6).collect(),
        names: at.aliases,
    };
    Holder {
        container: detail.name,
        namespace: detail.sandbox.unwrap_or_default(),
        seats: detail.networks.into_iter().map(seat).collect(),
    }
}

fn failed(operation: String) -> impl Fn(DockerError) -> DeployError {
    move |source| DeployError::Docker { operation: operation.clone(), source }
}

#[cfg(test)]
mod tests {
    use machine::docker::{AddressPool, NetworkMember};

    use super::*;

    #[test]
    fn a_holder_sits_where_no_service_is_likely_to_be() {
        let member =
            |address: [u8; 4]| NetworkMember { id: String::new(), name: String::new(), address: Some(address.into()) };
        let mut network = Network { pools: vec![AddressPool::subnet("172.28.0.0/24")], ..Network::default() };
        assert_eq!(out_of_the_way(&network), Some([172, 28, 0, 249].into()));
        network.containers = vec![member([172, 28, 0, 249])];
        network.pools[0].reserved = [("printer".to_owned(), "172.28.0.248".to_owned())].into();
        assert_eq!(out_of_the_way(&network), Some([172, 28, 0, 247].into()));
        network.pools[0].subnet = "172.28.0.0/29".into();
        assert_eq!(out_of_the_way(&network), Some([172, 28, 0, 1].into()));
        network.gateway = Some([172, 28, 0, 1].into());
        assert_eq!(out_of_the_way(&network), None, "the engine picks one");
        assert_eq!(out_of_the_way(&Network::default()), None);
    }
}
