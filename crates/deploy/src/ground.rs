//! What releases stand on: the platform's networks and volumes, made once and shared.
//!
//! Everything here is found by name first, so running it twice makes nothing twice. What exists is compared with the
//! file: a network that differs is made anew, a volume only when a person names it.

pub mod compare;
mod raw;
pub mod remake;
pub mod volumes;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use machine::docker::{AddressPool, NetworkSpec, VolumeSpec};
use serde_json::Value;
use spec::compose::{MountKind, Resource, Service};
use spec::resolve::speaks_http;
use spec::{Place, ServicePlan, Strategy};

use self::raw::{flag, strings, text};
use crate::certificates;
use crate::error::DeployError;
use crate::identity;
use crate::identity::{Identity, KnownVolume};
use crate::load::Loaded;
use crate::names;
use crate::render::definition::other_names;
use crate::store::{InternalRecord, Platform};
use crate::up::Request;
use crate::world::World;

/// How what the file declares stands beside what is there.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// What does not exist yet, in words.
    pub missing: Vec<String>,
    /// Networks and volumes that are made anew, by real name.
    pub networks: BTreeSet<String>,
    pub volumes: BTreeSet<String>,
    /// Both in words.
    pub remade: Vec<String>,
    /// What differs and stays as it is.
    pub kept: Vec<String>,
    /// What a person has to decide first.
    pub refused: Vec<String>,
    /// Whether a volume that holds a database begins empty.
    pub new_database: bool,
    /// Where each network has the host now; those that are made anew are left out.
    pub gateways: BTreeMap<String, IpAddr>,
}

/// Compares networks and volumes with the file.
pub async fn look(world: &World, loaded: &Loaded, request: &Request) -> Result<Found, DeployError> {
    let mut found = Found::default();
    let unfinished = remake::unfinished(world, &loaded.scope)?;
    for network in used_networks(loaded) {
        let name = &network.name;
        let Some(known) = docker("look for a network", world.docker.network(name).await)? else {
            found.missing.push(format!("network {name}"));
            continue;
        };
        let mut differs = match network.external {
            true => Vec::new(),
            false => compare::network(&network_spec(loaded, network), &network.raw, &known),
        };
        if unfinished.iter().any(|change| change.name == *name) && differs.is_empty() {
            differs.push("its change was interrupted".into());
        }
        if differs.is_empty() {
            found.gateways.extend(known.gateway.map(|gateway| (name.clone(), gateway)));
        } else if request.selection.services.is_empty() {
            found.networks.insert(name.clone());
            found
                .remade
                .push(format!("network {name}  {}; made anew, and what is on it is moved to it", differs.join("; ")));
        } else {
            found.kept.push(format!(
                "network {name}  {}: kept as it is; `mainstay up` without naming services makes it anew",
                differs.join("; ")
            ));
        }
    }
    look_at_volumes(world, loaded, request, &mut found).await?;
    Ok(found)
}

async fn look_at_volumes(
    world: &World,
    loaded: &Loaded,
    request: &Request,
    found: &mut Found,
) -> Result<(), DeployError> {
    let identity = world.identity(&loaded.scope)?;
    let known = |name: &str| identity.as_ref().and_then(|identity| identity.volumes.get(name).cloned());
    let used: Vec<&Resource> = used_volumes(loaded).collect();
    let all = used.iter().map(|volume| volume.name.clone()).chain(volumes::written(loaded)).collect::<BTreeSet<_>>();
    for name in request.new_volumes.iter().chain(&request.recreate_volumes) {
        let is_known = all.iter().any(|volume| volumes::is_meant(loaded, volume, std::slice::from_ref(name)));
        if !is_known {
            let known = all.iter().cloned().collect::<Vec<_>>().join(", ");
            return Err(DeployError::Unknown { what: format!("volume `{name}`"), known });
        }
    }
    for name in &all {
        let resource = used.iter().find(|volume| volume.name == *name);
        let Some(volume) = docker("look for a volume", world.docker.volume(name).await)? else {
            let spec = resource.map(|volume| volume_spec(loaded, volume)).unwrap_or_default();
            let was_ours = resource.is_none_or(|volume| !volume.external);
            let loses = volumes::loses_data(spec.driver.as_deref().unwrap_or("local"), &spec.options);
            let lost = known(name).filter(|_| was_ours && loses);
            let is_meant = volumes::is_meant(loaded, name, &request.new_volumes);
            if let Some(known) = lost.as_ref().filter(|_| !is_meant) {
                found.kept.push(format!("volume {name}  is gone"));
                found.refused.push(volumes::gone(name, known));
                continue;
            }
            if lost.is_some() {
                found.new_database |= volumes::database(loaded, identity.as_ref(), name).is_some();
            }
            match (resource, lost.is_some()) {
                (Some(_), false) => found.missing.push(format!("volume {name}")),
                (_, true) => found.missing.push(format!("volume {name}  begins empty, as --new-volume says")),
                (None, false) => {}
            }
            continue;
        };
        if volumes::is_meant(loaded, name, &request.new_volumes) {
            found.kept.push(format!("volume {name}  is there, and is kept with its data"));
        }
        let Some(resource) = resource.filter(|resource| !resource.external) else { continue };
        let spec = volume_spec(loaded, resource);
        let labels = strings(resource.raw.get("labels"));
        let differs = compare::volume(&spec, &labels, &volume, is_made_here(loaded, &volume.labels));
        if !differs.labels.is_empty() {
            found.kept.push(format!("volume {name}  {}: kept as it is", differs.labels.join("; ")));
        }
        if differs.data.is_empty() {
            continue;
        }
        let (what, loses) = (differs.data.join("; "), volumes::loses_data(&volume.driver, &volume.options));
        let fate = if loses { "all its data is lost" } else { "what lies on the device stays" };
        if !volumes::is_meant(loaded, name, &request.recreate_volumes) {
            found.kept.push(format!("volume {name}  {what}: kept as it is"));
            found.refused.push(format!(
                "volume {name} differs from the file ({what}), and no volume is made anew by itself. Change the file back, give it another key or another `name`, or make it anew ({fate}): `mainstay up --recreate-volume {name}`"
            ));
            continue;
        }
        let strangers = volumes::strangers(world, loaded, name).await?;
        if !strangers.is_empty() {
            found.refused.push(volumes::used_by_others(name, &strangers));
        } else if !request.selection.services.is_empty() {
            found.refused.push(format!(
                "volume {name} cannot be made anew for some services alone; give --recreate-volume without naming services"
            ));
        } else {
            found.new_database |= volumes::database(loaded, identity.as_ref(), name).is_some();
            found.remade.push(format!("volume {name}  {what}; made anew, {fate}; what uses it is stopped first"));
            found.volumes.insert(name.clone());
        }
    }
    renamed(world, loaded, &used, found).await
}

/// A volume that has got another name in the file leaves its data where it was.
async fn renamed(world: &World, loaded: &Loaded, used: &[&Resource], found: &mut Found) -> Result<(), DeployError> {
    for volume in used.iter().filter(|volume| found.missing.contains(&format!("volume {}", volume.name))) {
        let labels = [
            (identity::COMPOSE_PROJECT.to_owned(), loaded.identity.project.clone()),
            (VOLUME_LABEL.to_owned(), volume.key.clone()),
        ];
        for before in docker("list volumes", world.docker.volumes(&labels).await)? {
            found.kept.push(format!(
                "volume {}  name {} → {}: it begins empty, and its data stays in {1}",
                volume.key, before.name, volume.name
            ));
        }
    }
    Ok(())
}

/// Whether Compose or Mainstay made it from this platform's file.
fn is_made_here(loaded: &Loaded, labels: &BTreeMap<String, String>) -> bool {
    labels.get(identity::COMPOSE_PROJECT) == Some(&loaded.identity.project)
        || machine::docker::labels_match(labels, &loaded.scope.selector())
}

/// Makes what is missing or to be made anew, and records the platform.
pub async fn lay(
    world: &World,
    loaded: &Loaded,
    dir: &std::path::Path,
    closed: &[String],
    request: &Request,
    found: &Found,
) -> Result<Platform, DeployError> {
    finish_networks(world, loaded).await?;
    let mut gateways = BTreeMap::new();
    for network in used_networks(loaded) {
        if let Some(gateway) = network_of(world, loaded, network, found).await? {
            gateways.insert(network.name.clone(), gateway);
        }
    }
    begin_empty(world, loaded, request).await?;
    for volume in used_volumes(loaded) {
        volume_of(world, loaded, volume, found).await?;
    }
    let known = world.identity(&loaded.scope)?;
    let mut identity = known.unwrap_or_else(|| loaded.identity.clone());
    identity.dir = dir.to_owned();
    identity.with_compose = false;
    identity.own.extend(loaded.own.adopted.iter().map(|(key, volume, _)| (key.clone(), volume.clone())));
    remember_volumes(world, loaded, &mut identity).await?;
    let names = |all: &mut dyn Iterator<Item = &Resource>, external: bool| -> Vec<String> {
        all.filter(|one| one.external == external).map(|one| one.name.clone()).collect()
    };
    identity.declared = names(&mut used_volumes(loaded), false);
    identity.external = names(&mut used_volumes(loaded), true);
    identity.external.extend(names(&mut used_networks(loaded), true));
    identity.services = loaded.project.services.keys().map(ToString::to_string).collect();
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
        internals: internals(loaded),
        // Where its services are found stays what it is: it is taken over when this is saved.
        holders: Vec::new(),
        gateways,
        networks: names(&mut used_networks(loaded), false),
        volumes: names(&mut used_volumes(loaded), false),
        keep_releases: loaded.platform.keep_releases,
        hooks: loaded.platform.hooks.clone(),
        closed: closed.to_vec(),
        intruders: loaded.platform.intruders,
        files: loaded.files.clone(),
    };
    world.save_described_platform(&platform)
}

/// What an `up` before this one has begun and not ended.
async fn finish_networks(world: &World, loaded: &Loaded) -> Result<(), DeployError> {
    for change in remake::unfinished(world, &loaded.scope)? {
        let resource = used_networks(loaded).find(|network| network.name == change.name && !network.external);
        let spec = resource.map(|network| network_spec(loaded, network));
        let there = docker("look for a network", world.docker.network(&change.name).await)?;
        let differs = match (resource, &spec, &there) {
            (Some(resource), Some(spec), Some(there)) => !compare::network(spec, &resource.raw, there).is_empty(),
            _ => false,
        };
        remake::finish(world, &loaded.scope, &change, spec.as_ref(), differs).await?;
    }
    Ok(())
}

/// A person has said that what is gone begins empty.
async fn begin_empty(world: &World, loaded: &Loaded, request: &Request) -> Result<(), DeployError> {
    if request.new_volumes.is_empty() {
        return Ok(());
    }
    let identity = world.identity(&loaded.scope)?;
    let known: Vec<String> = identity.iter().flat_map(|identity| identity.volumes.keys().cloned()).collect();
    let mut gone = Vec::new();
    for volume in known.into_iter().filter(|volume| volumes::is_meant(loaded, volume, &request.new_volumes)) {
        if docker("look for a volume", world.docker.volume(&volume).await)?.is_none() {
            gone.push(volume);
        }
    }
    if gone.iter().any(|volume| volumes::database(loaded, identity.as_ref(), volume).is_some()) {
        world.forget_migrations(&loaded.scope)?;
    }
    world.change_identity(&loaded.scope, |identity| identity.volumes.retain(|volume, _| !gone.contains(volume)))
}

/// What holds data of this platform from now on.
async fn remember_volumes(world: &World, loaded: &Loaded, identity: &mut Identity) -> Result<(), DeployError> {
    let mut there = BTreeSet::new();
    for name in volumes::written(loaded) {
        // Those that no file names are made by the roll-out, and remembered then.
        if docker("look for a volume", world.docker.volume(&name).await)?.is_some() {
            there.insert(name);
        }
    }
    for plan in &loaded.platform.services {
        for mount in plan.data.iter().flatten() {
            for place in &mount.places {
                let Place::Volume(name) = place else { continue };
                if !there.contains(name) {
                    continue;
                }
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
    Ok(())
}

/// Services that others reach through the edge, on each of the ports that the file tells of.
pub fn internals(loaded: &Loaded) -> Vec<InternalRecord> {
    let is_called = |plan: &&ServicePlan| !matches!(plan.strategy, Strategy::Keep | Strategy::Job);
    let routed = loaded.platform.services.iter().filter(is_called);
    let mut internals: Vec<InternalRecord> = Vec::new();
    for plan in routed {
        let Some(service) = loaded.project.services.get(&plan.name) else { continue };
        let Some(port) = plan.port else { continue };
        let networks = service.networks.iter().filter_map(|key| loaded.project.networks.get(key));
        let networks: Vec<String> = networks.map(|network| network.name.clone()).collect();
        let names: Vec<String> = other_names(&loaded.project, &plan.name).into_iter().collect();
        let at = |port: u16, tcp: bool| InternalRecord {
            service: plan.name.clone(),
            port,
            tcp,
            networks: networks.clone(),
            names: names.clone(),
        };
        internals.push(at(port, plan.carries_bytes()));
        internals.extend(more_ports(service, port).into_iter().map(|port| at(port, !speaks_http(port))));
    }
    internals
}

/// What else the file says that it listens on.
fn more_ports(service: &Service, main: u16) -> BTreeSet<u16> {
    let published = service.ports.iter().filter(|port| port.protocol == "tcp").map(|port| port.target);
    published.chain(service.expose.iter().copied()).filter(|port| *port != main).collect()
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

async fn network_of(
    world: &World,
    loaded: &Loaded,
    network: &Resource,
    found: &Found,
) -> Result<Option<IpAddr>, DeployError> {
    let known = docker("look for a network", world.docker.network(&network.name).await)?;
    if let Some(known) = known {
        let spec = network_spec(loaded, network);
        // Looked at again: what an earlier life has begun may have ended just now.
        let differs = found.networks.contains(&network.name)
            && !network.external
            && !compare::network(&spec, &network.raw, &known).is_empty();
        if !differs {
            return Ok(known.gateway);
        }
        remake::begin(world, &loaded.scope, &spec, known).await?;
    } else {
        refuse_missing_external("network", network)?;
        world.talk.say(None, format!("creates network {}", network.name));
        docker(
            &format!("create network `{}`", network.name),
            world.docker.create_network(&network_spec(loaded, network)).await,
        )?;
    }
    let made = docker("look for a network", world.docker.network(&network.name).await)?;
    Ok(made.and_then(|made| made.gateway))
}

async fn volume_of(world: &World, loaded: &Loaded, volume: &Resource, found: &Found) -> Result<(), DeployError> {
    let spec = volume_spec(loaded, volume);
    if let Some(known) = docker("look for a volume", world.docker.volume(&volume.name).await)? {
        let differs = || {
            let difference = compare::volume(&spec, &BTreeMap::new(), &known, is_made_here(loaded, &known.labels));
            !difference.data.is_empty()
        };
        if !found.volumes.contains(&volume.name) || volume.external || !differs() {
            return Ok(());
        }
        volumes::remove(world, loaded, volume).await?;
    } else {
        refuse_missing_external("volume", volume)?;
    }
    // Before it is there: nobody would know afterwards that it has begun anew.
    if volumes::database(loaded, world.identity(&loaded.scope)?.as_ref(), &volume.name).is_some() {
        world.forget_migrations(&loaded.scope)?;
    }
    world.talk.say(None, format!("creates volume {}", volume.name));
    docker(&format!("create volume `{}`", volume.name), world.docker.create_volume(&spec).await).map(drop)
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

fn docker<T>(operation: &str, result: Result<T, machine::docker::DockerError>) -> Result<T, DeployError> {
    result.map_err(|source| DeployError::Docker { operation: operation.to_owned(), source })
}
