//! Volumes hold data: one that differs is kept, one that is gone is not replaced by an empty one, unless a person says so.

use machine::docker::{Container, MountKind};
use spec::Place;
use spec::compose::Resource;

use super::docker;
use crate::error::{DeployError, is_gone};
use crate::identity::{Identity, KnownVolume};
use crate::load::Loaded;
use crate::removal;
use crate::world::World;

/// A volume that a person names, by its real name or its key in the file.
pub fn is_meant(loaded: &Loaded, volume: &str, named: &[String]) -> bool {
    let key = loaded.project.volumes.values().find(|resource| resource.name == volume).map(|resource| &resource.key);
    named.iter().any(|name| name == volume || Some(name) == key)
}

/// Every volume that the services of the file write to, by real name.
pub fn written(loaded: &Loaded) -> Vec<String> {
    let data = loaded.platform.services.iter().flat_map(|plan| plan.data.iter().flatten());
    let mut names: Vec<String> = data
        .flat_map(|mount| &mount.places)
        .filter_map(|place| match place {
            Place::Volume(name) => Some(name.clone()),
            _ => None,
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Which database keeps its files there, where one does.
pub fn database(loaded: &Loaded, identity: Option<&Identity>, volume: &str) -> Option<String> {
    let known = identity.and_then(|identity| identity.volumes.get(volume)?.database.clone());
    let is_here = |place: &Place| matches!(place, Place::Volume(name) if name == volume);
    let written = || {
        let services = loaded.platform.services.iter();
        services
            .flat_map(|plan| plan.data.iter().flatten())
            .find(|mount| mount.places.iter().any(is_here) && mount.database.is_some())
            .and_then(|mount| mount.database.clone())
    };
    known.or_else(written)
}

/// Whether making it anew loses what is in it: what lies on a device or a share stays there.
pub fn loses_data(driver: &str, options: &std::collections::BTreeMap<String, String>) -> bool {
    driver == "local" && options.get("device").is_none_or(|device| device.is_empty() || device == "tmpfs")
}

/// What a person reads of a volume that was there and is not any more.
pub fn gone(volume: &str, known: &KnownVolume) -> String {
    let services: Vec<String> = known.services.iter().map(|service| format!("`{service}`")).collect();
    let who = if services.is_empty() { "this platform".to_owned() } else { services.join(", ") };
    let since = jiff::Timestamp::from_millisecond(known.since_ms);
    let since = since.map(|since| since.strftime("%Y-%m-%d").to_string()).unwrap_or_default();
    format!(
        "volume {volume} is gone, and {who} kept its data there since {since}. Bring it back (is its disk mounted?), restore it, or begin with an empty one: `mainstay up --new-volume {volume}`"
    )
}

/// Containers that refer to a volume, running or not.
pub async fn users(world: &World, volume: &str) -> Result<Vec<Container>, DeployError> {
    let all = docker("list containers", world.docker.list(&[], true).await)?;
    let uses = |one: &Container| {
        one.mounts.iter().any(|mount| mount.kind == MountKind::Volume && mount.name.as_deref() == Some(volume))
    };
    Ok(all.into_iter().filter(uses).collect())
}

/// Those of them that are not of this platform.
pub async fn strangers(world: &World, loaded: &Loaded, volume: &str) -> Result<Vec<String>, DeployError> {
    let selector = loaded.scope.selector();
    let is_strange = |one: &Container| !machine::docker::labels_match(&one.labels, &selector);
    Ok(users(world, volume).await?.into_iter().filter(is_strange).map(|one| one.name).collect())
}

/// Stops and removes the containers that use it, those that need others first, and then the volume.
pub async fn remove(world: &World, loaded: &Loaded, volume: &Resource) -> Result<(), DeployError> {
    let name = &volume.name;
    let strangers = strangers(world, loaded, name).await?;
    if !strangers.is_empty() {
        return Err(DeployError::Refused(used_by_others(name, &strangers)));
    }
    let found = users(world, name).await?;
    let releases = world.releases(&loaded.scope, None)?;
    removal::end_all(world, &loaded.scope, &found, &releases).await?;
    world.talk.say(None, format!("removes volume {name}, to make it anew"));
    match world.docker.remove_volume(name).await {
        Err(error) if !is_gone(&error) => {
            Err(DeployError::Docker { operation: format!("remove volume `{name}`"), source: error })
        }
        _ => Ok(()),
    }
}

pub fn used_by_others(volume: &str, containers: &[String]) -> String {
    format!(
        "volume {volume} cannot be made anew while containers that are not of this platform use it: {}; remove them first",
        containers.join(", ")
    )
}
