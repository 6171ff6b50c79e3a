//! What `down` does to each volume: what the file declares goes with `--volumes`, everything else only by its name.

use std::collections::BTreeMap;

use machine::docker::{Volume, labels_match};
use serde::{Deserialize, Serialize};

use super::{Request, failed};
use crate::error::DeployError;
use crate::identity::{COMPOSE_PROJECT, Identity};
use crate::names;
use crate::names::Scope;
use crate::world::World;

const COMPOSE_VOLUME: &str = "com.docker.compose.volume";
/// Where a database is not removed by a yes alone.
const PRODUCTION: &str = "production";

/// A volume of a platform, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeFate {
    pub name: String,
    /// What the file calls it, or called it.
    #[serde(default)]
    pub key: Option<String>,
    /// `None` where it was not measured, or cannot be.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// Services that have written to it.
    #[serde(default)]
    pub services: Vec<String>,
    /// Which database keeps its files there.
    #[serde(default)]
    pub database: Option<String>,
    pub goes: bool,
    /// It was given by its name.
    #[serde(default)]
    pub is_named: bool,
    /// Why it stays although volumes are removed.
    #[serde(default)]
    pub stays_because: Option<String>,
}

/// Every volume of the platform, those that go first.
pub async fn fates(world: &World, request: &Request) -> Result<Vec<VolumeFate>, DeployError> {
    let scope = &request.scope;
    let identity = world.identity(scope)?;
    let others: Vec<Identity> = world.identities()?.into_iter().filter(|other| other.scope != *scope).collect();
    let declared = match (world.platform(scope)?, &identity) {
        (Some(platform), _) => platform.volumes,
        (None, Some(identity)) => identity.declared.clone(),
        (None, None) => Vec::new(),
    };
    let all = world.docker.volumes(&[]).await.map_err(failed("list volumes"))?;
    let view = View { request, identity: identity.as_ref(), declared: &declared, others: &others };
    let mut fates: Vec<VolumeFate> = all.iter().filter_map(|volume| view.fate(volume)).collect();
    fates.sort_by(|one, other| (!one.goes, &one.name).cmp(&(!other.goes, &other.name)));
    Ok(fates)
}

/// The same for a person who is to be asked: with sizes, and a name that nothing has is refused.
pub async fn shown(world: &World, request: &Request) -> Result<Vec<VolumeFate>, DeployError> {
    let mut fates = fates(world, request).await?;
    refuse_foreign(world, request, &fates, true).await?;
    // Telling how much goes is worth a wait, and no reason to stop.
    let sizes: BTreeMap<String, u64> = world.docker.volume_sizes().await.unwrap_or_default();
    for fate in &mut fates {
        fate.bytes = sizes.get(&fate.name).copied();
    }
    Ok(fates)
}

struct View<'a> {
    request: &'a Request,
    identity: Option<&'a Identity>,
    declared: &'a [String],
    others: &'a [Identity],
}

impl View<'_> {
    /// `None` for a volume that is not of this platform.
    fn fate(&self, volume: &Volume) -> Option<VolumeFate> {
        let name = &volume.name;
        let label = |key: &str| volume.labels.get(key).map(String::as_str);
        let own = self.identity.and_then(|identity| identity.own.iter().find(|(_, own)| *own == name));
        let own = own.and_then(|(key, _)| key.split('/').next());
        let project = self.identity.map(|identity| identity.project.as_str());
        let is_declared = self.declared.contains(name);
        let is_ours = labels_match(&volume.labels, &self.request.scope.selector());
        let is_of_compose = label(names::PLATFORM).is_none() && project.is_some() && label(COMPOSE_PROJECT) == project;
        let is_external = self.identity.is_some_and(|identity| identity.external.contains(name));
        if is_external || !(is_declared || is_ours || is_of_compose || own.is_some()) {
            return None;
        }
        let service = own.or_else(|| label(names::SERVICE));
        let is_in_file = |service: &str| {
            self.identity.is_some_and(|identity| identity.services.iter().any(|known| known == service))
        };
        let known = self.identity.and_then(|identity| identity.volumes.get(name));
        let mut services = known.map(|known| known.services.clone()).unwrap_or_default();
        if services.is_empty() {
            services.extend(service.map(str::to_owned));
        }
        let other = self.others.iter().find(|other| other.volumes.contains_key(name) || other.declared.contains(name));
        let is_of_project = project.is_some() && label(COMPOSE_PROJECT) == project;
        let key = label(COMPOSE_VOLUME).filter(|_| is_of_project).map(str::to_owned);
        let is_named = self.request.named.iter().any(|named| named == name || Some(named) == key.as_ref());
        let goes_with_all = is_declared || service.is_some_and(is_in_file);
        let goes = is_named || (self.request.volumes && goes_with_all && other.is_none());
        let stays_because = (!goes && (self.request.volumes || !self.request.named.is_empty())).then(|| match other {
            Some(other) => format!("{} has it, too", other.scope),
            None if goes_with_all => "its data stays".to_owned(),
            None if !services.is_empty() && !services.iter().any(|service| is_in_file(service)) => {
                let services: Vec<String> = services.iter().map(|service| format!("`{service}`")).collect();
                format!("of {}, which the file no longer has", services.join(", "))
            }
            None => "the file no longer has it".to_owned(),
        });
        Some(VolumeFate {
            name: name.clone(),
            key,
            bytes: None,
            services,
            database: known.and_then(|known| known.database.clone()),
            goes,
            is_named,
            stays_because,
        })
    }
}

/// A volume that was named and is somebody else's. One that is not there at all has gone already, unless a person has
/// just typed its name.
pub async fn refuse_foreign(
    world: &World,
    request: &Request,
    fates: &[VolumeFate],
    is_typed: bool,
) -> Result<(), DeployError> {
    let is_known = |named: &String| fates.iter().any(|fate| fate.name == *named || fate.key.as_ref() == Some(named));
    for named in request.named.iter().filter(|named| !is_known(named)) {
        let there = world.docker.volume(named).await.map_err(failed("look for a volume"))?.is_some();
        if there {
            return Err(DeployError::Refused(format!(
                "volume {named} is not one that {} has made, and `down` leaves it; remove it with `docker volume rm {named}`",
                request.scope
            )));
        }
        if is_typed {
            let known = fates.iter().map(|fate| fate.name.clone()).collect::<Vec<_>>().join(", ");
            return Err(DeployError::Unknown { what: format!("volume `{named}`"), known });
        }
    }
    Ok(())
}

/// A database of production is removed by its name alone.
pub fn refuse_unnamed(scope: &Scope, request: &Request, fates: &[VolumeFate]) -> Result<(), DeployError> {
    let databases = fates.iter().filter(|fate| fate.goes && fate.database.is_some());
    let unnamed: Vec<&VolumeFate> = databases.filter(|fate| !fate.is_named).collect();
    if scope.environment.as_ref() != PRODUCTION || unnamed.is_empty() {
        return Ok(());
    }
    let told = |fate: &&VolumeFate| {
        let database = fate.database.clone().unwrap_or_default();
        format!("{} ({database})", fate.name)
    };
    let told: Vec<String> = unnamed.iter().map(told).collect();
    let names = request.named.iter().chain(unnamed.iter().map(|fate| &fate.name));
    let flags: String = names.map(|name| format!(" --volume {name}")).collect();
    Err(DeployError::Refused(format!(
        "a database of {PRODUCTION} is removed only by the name of its volume: {}; `mainstay down --volumes --yes{flags}` removes it for good",
        told.join(", ")
    )))
}
