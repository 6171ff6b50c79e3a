//! What releases stand on: the platform's networks and volumes, made once and shared.
//!
//! Everything here is found by name first, so running it twice makes nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use machine::docker::{AddressPool, NetworkSpec, VolumeSpec};
use serde_json::Value;
use spec::compose::{MountKind, Resource, Service};
use spec::resolve::speaks_http;
use spec::{Place, ServiceName, Strategy};

use crate::certificates;
use crate::error::DeployError;
use crate::identity;
use crate::identity::{Identity, KnownVolume};
use crate::load::Loaded;
use crate::names;
use crate::render::definition::{Internal, other_names};
use crate::store::Platform;
use crate::world::World;

/// The networks and volumes that are still missing, in words.
pub async fn missing(world: &World, loaded: &Loaded) -> Result<Vec<String>, DeployError> {
    let mut lines = Vec::new();
    for network in used_networks(loaded) {
        if docker("look for a network", world.docker.network(&network.name).await)?.is_none() {
            lines.push(format!("network {}", network.name));
        }
    }
    for volume in used_volumes(loaded) {
        if docker("look for a volume", world.docker.volume(&volume.name).await)?.is_none() {
            lines.push(format!("volume {}", volume.name));
        }
    }
    Ok(lines)
}

/// Makes what is missing and records the platform.
pub async fn lay(
    world: &World,
    loaded: &Loaded,
    dir: &std::path::Path,
    closed: &[String],
) -> Result<Platform, DeployError> {
    let mut gateways = BTreeMap::new();
    for network in used_networks(loaded) {
        if let Some(gateway) = network_of(world, loaded, network).await? {
            gateways.insert(network.name.clone(), gateway);
        }
    }
    for volume in used_volumes(loaded) {
        volume_of(world, loaded, volume).await?;
    }
    let known = world.identity(&loaded.scope)?;
    let mut identity = known.unwrap_or_else(|| loaded.identity.clone());
    identity.dir = dir.to_owned();
    identity.with_compose = false;
    identity.own.extend(loaded.own.adopted.iter().map(|(key, volume, _)| (key.clone(), volume.clone())));
    remember_volumes(world, loaded, &mut identity);
    world.save_identity(&identity)?;
    let platform = Platform {
        https: loaded.platform.https.clone(),
        edge: loaded.platform.edge.clone(),
        certificates: certificates::all(world, dir, &loaded.platform)?,
        // What operators have set stays through deploys: it is taken over when this is saved.
        maintenance: None,
        scope: loaded.scope.clone(),
        dir: dir.to_owned(),
        domain: loaded.platform.domain.clone(),
        http: loaded.platform.http.clone(),
        internals: internals(loaded).iter().map(Into::into).collect(),
        gateways,
        networks: used_networks(loaded).filter(|n| !n.external).map(|n| n.name.clone()).collect(),
        volumes: used_volumes(loaded).filter(|v| !v.external).map(|v| v.name.clone()).collect(),
        keep_releases: loaded.platform.keep_releases,
        hooks: loaded.platform.hooks.clone(),
        closed: closed.to_vec(),
        files: loaded.files.clone(),
    };
    world.save_described_platform(&platform)
}

/// What holds data of this platform from now on.
fn remember_volumes(world: &World, loaded: &Loaded, identity: &mut Identity) {
    for plan in &loaded.platform.services {
        for mount in plan.data.iter().flatten() {
            for place in &mount.places {
                let Place::Volume(name) = place else { continue };
                let since_ms = world.clock.now_ms();
                let known = identity
                    .volumes
                    .entry(name.clone())
                    .or_insert_with(|| KnownVolume { since_ms, ..KnownVolume::default() });
                if !known.services.iter().any(|service| service == plan.name.as_str()) {
                    known.services.push(plan.name.to_string());
                }
                known.database = mount.database.clone().or(known.database.take());
            }
        }
    }
}

/// Services that others reach through the edge, on each of the ports that the file tells of.
pub fn internals(loaded: &Loaded) -> Vec<Internal> {
    let routed = loaded.platform.services.iter().filter(|plan| plan.strategy != Strategy::Keep);
    let mut internals: Vec<Internal> = Vec::new();
    for plan in routed {
        let Some(service) = loaded.project.services.get(&plan.name) else { continue };
        let Some(port) = plan.port else { continue };
        let networks = service.networks.iter().filter_map(|key| loaded.project.networks.get(key));
        let networks: Vec<String> = networks.map(|network| network.name.clone()).collect();
        let names: Vec<String> = other_names(&loaded.project, &plan.name).into_iter().collect();
        let at = |port: u16, tcp: bool| Internal {
            service: plan.name.clone(),
            port,
            tcp,
            networks: networks.clone(),
            names: names.clone(),
        };
        internals.push(at(port, plan.carries_bytes()));
        internals.extend(more_ports(service, port).into_iter().map(|port| at(port, !speaks_http(port))));
    }
    let main: Vec<(ServiceName, u16)> =
        loaded.platform.services.iter().filter_map(|plan| Some((plan.name.clone(), plan.port?))).collect();
    told_apart(internals, &main)
}

/// What else the file says that it listens on.
fn more_ports(service: &Service, main: u16) -> BTreeSet<u16> {
    let published = service.ports.iter().filter(|port| port.protocol == "tcp").map(|port| port.target);
    published.chain(service.expose.iter().copied()).filter(|port| *port != main).collect()
}

/// Where a gateway's port carries bytes it leads to one service: to the one whose main port it is, else to the first.
fn told_apart(internals: Vec<Internal>, main: &[(ServiceName, u16)]) -> Vec<Internal> {
    let is_main = |one: &Internal| main.iter().any(|(service, port)| *service == one.service && *port == one.port);
    let meet = |one: &Internal, other: &Internal| {
        one.port == other.port && one.networks.iter().any(|network| other.networks.contains(network))
    };
    let mut kept: Vec<Internal> = internals.iter().filter(|one| is_main(one)).cloned().collect();
    for one in internals.into_iter().filter(|one| !is_main(one)) {
        if !kept.iter().any(|other| meet(&one, other) && (one.tcp || other.tcp)) {
            kept.push(one);
        }
    }
    kept
}

fn used_networks(loaded: &Loaded) -> impl Iterator<Item = &Resource> {
    used(loaded, &loaded.project.networks, |service, key| service.networks.iter().any(|network| network == key))
}

fn used_volumes(loaded: &Loaded) -> impl Iterator<Item = &Resource> {
    used(loaded, &loaded.project.volumes, |service, key| named_volumes(service).iter().any(|volume| volume == key))
}

/// The named volumes a service mounts, by their key in the file.
pub fn named_volumes(service: &Service) -> Vec<String> {
    let named = service.volumes.iter().filter(|mount| mount.kind == MountKind::Volume);
    named.filter_map(|mount| mount.source.clone()).collect()
}

fn used<'a>(
    loaded: &'a Loaded,
    all: &'a BTreeMap<String, Resource>,
    uses: impl Fn(&Service, &str) -> bool + 'a,
) -> impl Iterator<Item = &'a Resource> {
    let active = move |key: &str| {
        let services = loaded.platform.services.iter().filter_map(|plan| loaded.project.services.get(&plan.name));
        services.into_iter().any(|service| uses(service, key))
    };
    all.iter().filter(move |(key, _)| active(key)).map(|(_, resource)| resource)
}

async fn network_of(world: &World, loaded: &Loaded, network: &Resource) -> Result<Option<IpAddr>, DeployError> {
    let known = docker("look for a network", world.docker.network(&network.name).await)?;
    if let Some(known) = known {
        return Ok(known.gateway);
    }
    refuse_missing_external("network", network)?;
    world.talk.say(None, format!("creates network {}", network.name));
    docker(
        &format!("create network `{}`", network.name),
        world.docker.create_network(&network_spec(loaded, network)).await,
    )?;
    let made = docker("look for a network", world.docker.network(&network.name).await)?;
    Ok(made.and_then(|made| made.gateway))
}

async fn volume_of(world: &World, loaded: &Loaded, volume: &Resource) -> Result<(), DeployError> {
    if docker("look for a volume", world.docker.volume(&volume.name).await)?.is_some() {
        return Ok(());
    }
    refuse_missing_external("volume", volume)?;
    world.talk.say(None, format!("creates volume {}", volume.name));
    docker(&format!("create volume `{}`", volume.name), world.docker.create_volume(&volume_spec(loaded, volume)).await)
        .map(drop)
}

fn refuse_missing_external(kind: &str, resource: &Resource) -> Result<(), DeployError> {
    match resource.external {
        true => Err(DeployError::Refused(format!(
            "the Compose file says that {kind} `{0}` exists already (`external: true`), but it does not; create it with `docker {kind} create {0}`",
            resource.name
        ))),
        false => Ok(()),
    }
}

fn network_spec(loaded: &Loaded, network: &Resource) -> NetworkSpec {
    let raw = &network.raw;
    NetworkSpec {
        name: network.name.clone(),
        driver: text(raw.get("driver")).unwrap_or_else(|| "bridge".into()),
        internal: flag(raw, "internal"),
        pools: raw.pointer("/ipam/config").and_then(Value::as_array).into_iter().flatten().filter_map(pool).collect(),
        attachable: flag(raw, "attachable"),
        ipv6: flag(raw, "enable_ipv6"),
        options: strings(raw.get("driver_opts")),
        labels: labels(loaded, network, NETWORK_LABEL),
    }
}

/// A block without a subnet says nothing.
fn pool(ipam: &Value) -> Option<AddressPool> {
    Some(AddressPool {
        subnet: text(ipam.get("subnet"))?,
        gateway: text(ipam.get("gateway")),
        range: text(ipam.get("ip_range")),
        reserved: strings(ipam.get("aux_addresses")),
    })
}

fn volume_spec(loaded: &Loaded, volume: &Resource) -> VolumeSpec {
    VolumeSpec {
        name: volume.name.clone(),
        driver: text(volume.raw.get("driver")),
        options: strings(volume.raw.get("driver_opts")),
        labels: labels(loaded, volume, VOLUME_LABEL),
    }
}

/// What Compose calls a network and a volume in its own labels. It refuses a network of its name without them, so what
/// is made here carries them: a stack can go back to plain Compose.
const NETWORK_LABEL: &str = "com.docker.compose.network";
const VOLUME_LABEL: &str = "com.docker.compose.volume";

fn labels(loaded: &Loaded, resource: &Resource, of_compose: &str) -> BTreeMap<String, String> {
    let mut labels = strings(resource.raw.get("labels"));
    let project = &loaded.identity.project;
    let key = resource.key.clone();
    labels.insert(identity::COMPOSE_PROJECT.into(), project.clone());
    labels.insert(of_compose.into(), key);
    labels.insert(names::PLATFORM.into(), loaded.scope.platform.to_string());
    labels.insert(names::ENVIRONMENT.into(), loaded.scope.environment.to_string());
    labels
}

fn flag(raw: &Value, key: &str) -> bool {
    raw.get(key).and_then(Value::as_bool).unwrap_or(false)
}

fn text(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).map(str::to_owned)
}

fn strings(value: Option<&Value>) -> BTreeMap<String, String> {
    let map = value.and_then(Value::as_object);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    map.into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect()
}

fn docker<T>(operation: &str, result: Result<T, machine::docker::DockerError>) -> Result<T, DeployError> {
    result.map_err(|source| DeployError::Docker { operation: operation.to_owned(), source })
}
