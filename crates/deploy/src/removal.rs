//! Taking services, or a whole platform, away again. Every step finds things by their labels and
//! may run twice; volumes are data and stay unless they are asked for.

pub mod volumes;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use machine::docker::{Container, DockerError};
use parking_lot::Mutex;
use saga::Abort;
use spec::ServiceName;
use spec::units::human_duration;

use crate::draft::containers;
use crate::error::{DeployError, is_gone};
use crate::holders;
use crate::identity::COMPOSE_PROJECT;
use crate::names::{self, Scope};
use crate::release::{Event, Release};
use crate::stopping::order::Needs;
use crate::stopping::{self, StopPlan};
use crate::world::World;

/// A stop that took longer has its time told.
const WORTH_TELLING: Duration = Duration::from_secs(2);

/// What `down` took away.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct Removed {
    pub containers: Vec<String>,
    pub networks: Vec<String>,
    pub volumes: Vec<String>,
    /// Networks that are still used, each with what Docker says of it.
    #[serde(default)]
    pub kept_networks: Vec<(String, String)>,
    /// Volumes that were left, with the data in them.
    pub kept_volumes: Vec<String>,
    /// Volumes that were to go and are used by somebody else, each with what Docker says of it.
    #[serde(default)]
    pub used_volumes: Vec<(String, String)>,
}

/// What is to be taken away.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Request {
    pub scope: Scope,
    /// Everything that the file declares, with its data.
    #[serde(default)]
    pub volumes: bool,
    /// Volumes that go by their name, whoever had them.
    #[serde(default)]
    pub named: Vec<String>,
}

impl Request {
    /// Containers and networks alone.
    pub fn of(scope: &Scope) -> Request {
        Request { scope: scope.clone(), volumes: false, named: Vec::new() }
    }
}

pub async fn remove_service(world: &World, scope: &Scope, service: &ServiceName) -> Result<(), DeployError> {
    remove_services(world, scope, std::slice::from_ref(service)).await
}

/// Takes several services away, those that need others before these.
pub async fn remove_services(world: &World, scope: &Scope, services: &[ServiceName]) -> Result<(), DeployError> {
    for service in services {
        world.clear_serving(scope, service)?;
    }
    world.push_routes().await?;
    let mut found = containers(world, scope).await?;
    let is_named = |name: &String| services.iter().any(|service| service.as_ref() == name);
    found.retain(|container| container.labels.get(names::SERVICE).is_some_and(is_named));
    let releases = world.releases(scope, None)?;
    // It is part of something larger, which decides itself what giving up means.
    stop_in_order(world, scope, &found, &releases, None).await.map_err(|failure| failure.error)?;
    for service in services {
        world.forget_scaled(scope, service)?;
        retire(world, scope, Some(service))?;
    }
    Ok(())
}

/// Takes a whole platform in one environment away.
///
/// No request reaches it any more before the first container is stopped. What could not be stopped, because of an error
/// or because somebody gave up, serves again as before.
pub async fn down(world: &World, request: &Request) -> Result<Removed, DeployError> {
    let scope = &request.scope;
    let fates = volumes::fates(world, request).await?;
    volumes::refuse_foreign(world, request, &fates, false).await?;
    volumes::refuse_unnamed(scope, request, &fates)?;
    let mut removed = Removed { containers: stop_all(world, scope).await?, ..Removed::default() };
    for network in networks(world, scope).await? {
        match world.docker.remove_network(&network).await {
            // Somebody else's container is on it, or one that Docker only believes to be.
            Err(DockerError::Conflict { message, .. }) => removed.kept_networks.push((network, message)),
            result => {
                gone(result, "remove a network")?;
                removed.networks.push(network);
            }
        }
    }
    remove_volumes(world, scope, fates, &mut removed).await?;
    retire(world, scope, None)?;
    Ok(removed)
}

/// Stops and removes every container of a platform, and forgets the platform; networks and volumes stay.
pub(crate) async fn stop_all(world: &World, scope: &Scope) -> Result<Vec<String>, DeployError> {
    let (serving, platform) = (world.serving(scope)?, world.platform(scope)?);
    let all = world.docker.list(&scope.selector(), true).await.map_err(failed("list containers"))?;
    let releases = world.releases(scope, None)?;
    for service in serving.keys() {
        world.clear_serving(scope, service)?;
    }
    world.forget_platform(scope)?;
    // A dead edge must not keep a platform from being taken down.
    let _ = world.push_routes().await;
    if let Err(failure) = stop_in_order(world, scope, &all, &releases, Some(&world.abort)).await {
        if let Some(platform) = platform {
            world.save_platform(&platform)?;
        }
        for release in serving.values() {
            match failure.stopped.contains(&release.pool()) {
                true => retire(world, scope, Some(&release.service))?,
                false => world.move_serving(release, None, None)?,
            }
        }
        let _ = world.push_routes().await;
        return Err(failure.error);
    }
    // Last of all: until here somebody may have asked for a name.
    holders::remove_all(world, scope).await?;
    for service in world.scaled(scope)?.into_keys() {
        world.forget_scaled(scope, &service)?;
    }
    Ok(all.into_iter().map(|container| container.name).collect())
}

/// What Mainstay or Compose has made for this platform; what the file calls external is somebody else's.
async fn networks(world: &World, scope: &Scope) -> Result<Vec<String>, DeployError> {
    let mut found = world.docker.networks(&scope.selector()).await.map_err(failed("list networks"))?;
    if let Some(identity) = world.identity(scope)? {
        let of_compose = [(COMPOSE_PROJECT.to_owned(), identity.project.clone())];
        let of_compose = world.docker.networks(&of_compose).await.map_err(failed("list networks"))?;
        found.extend(of_compose.into_iter().filter(|network| !network.labels.contains_key(names::PLATFORM)));
        found.retain(|network| !identity.external.contains(&network.name));
    }
    Ok(found.into_iter().map(|network| network.name).collect())
}

/// Removes those that go, and forgets them, with what was done to databases in them.
async fn remove_volumes(
    world: &World,
    scope: &Scope,
    fates: Vec<volumes::VolumeFate>,
    removed: &mut Removed,
) -> Result<(), DeployError> {
    // Before they are gone: nobody would know afterwards.
    if fates.iter().any(|fate| fate.goes && fate.database.is_some()) {
        world.forget_migrations(scope)?;
    }
    for fate in fates {
        if !fate.goes {
            removed.kept_volumes.push(fate.name);
            continue;
        }
        match world.docker.remove_volume(&fate.name).await {
            Err(DockerError::Conflict { message, .. }) => removed.used_volumes.push((fate.name, message)),
            result => {
                gone(result, "remove a volume")?;
                removed.volumes.push(fate.name);
            }
        }
    }
    let gone = &removed.volumes;
    world.change_identity(scope, |identity| {
        identity.volumes.retain(|name, _| !gone.contains(name));
        identity.own.retain(|_, name| !gone.contains(name));
        identity.declared.retain(|name| !gone.contains(name));
    })
}

/// Stops and removes these containers of a platform, those that need others first.
pub(crate) async fn end_all(
    world: &World,
    scope: &Scope,
    found: &[Container],
    releases: &[Release],
) -> Result<(), DeployError> {
    stop_in_order(world, scope, found, releases, None).await.map_err(|failure| failure.error)
}

/// What could not be stopped.
struct Unstopped {
    error: DeployError,
    /// The pools of the services whose containers are gone.
    stopped: Vec<String>,
}

/// Stops and removes these containers, a service only when those that need it have ended.
async fn stop_in_order(
    world: &World,
    scope: &Scope,
    found: &[Container],
    releases: &[Release],
    abort: Option<&Abort>,
) -> Result<(), Unstopped> {
    let groups: BTreeMap<String, Vec<&Container>> = stopping::by_service(found)
        .into_iter()
        .map(|(service, containers)| (format!("{}/{}", scope.key(), service.unwrap_or_default()), containers))
        .collect();
    let pools: Vec<String> = groups.keys().cloned().collect();
    let stopped = Mutex::new(Vec::new());
    let (groups, noted, needs) = (&groups, &stopped, Needs::of(releases));
    let ended = needs.stop(&pools, |pool| async move {
        if abort.is_some_and(Abort::is_requested) {
            let text = "given up; what was not stopped yet serves again, and `mainstay down` goes on";
            return Err(DeployError::Refused(text.to_owned()));
        }
        let removals = groups.get(&pool).into_iter().flatten().map(|container| end(world, container, releases));
        join_all(removals).await.into_iter().collect::<Result<(), _>>()?;
        noted.lock().push(pool);
        Ok(())
    });
    ended.await.map_err(|error| Unstopped { error, stopped: stopped.lock().clone() })
}

/// Says what it does, since it may take minutes.
async fn end(world: &World, container: &Container, releases: &[Release]) -> Result<(), DeployError> {
    let plan = StopPlan::of_found(world, container, releases);
    let service = container.labels.get(names::SERVICE).and_then(|name| ServiceName::parse(name).ok());
    let name = &container.name;
    let text = match container.state.is_up() {
        true => format!("stops and removes {name}; it has {} to end", human_duration(plan.grace)),
        false => format!("removes {name}"),
    };
    world.talk.say(service.as_ref(), text);
    let began = world.clock.monotonic();
    stopping::remove(world, name, &plan).await?;
    let took = world.clock.monotonic().saturating_sub(began);
    if took >= WORTH_TELLING {
        world.talk.say(service.as_ref(), format!("{name} has ended after {:.0} s", took.as_secs_f64()));
    }
    Ok(())
}

pub(crate) fn retire(world: &World, scope: &Scope, service: Option<&ServiceName>) -> Result<(), DeployError> {
    for mut release in world.releases(scope, service)? {
        world.advance(&mut release, &Event::TakenDown)?;
        release.targets.clear();
        release.addresses.clear();
        release.making_way_for = None;
        release.guests = None;
        release.parked_until_ms = None;
        world.save_release(&release)?;
    }
    Ok(())
}

fn gone(result: Result<(), DockerError>, operation: &str) -> Result<(), DeployError> {
    match result {
        Err(error) if !is_gone(&error) => Err(failed(operation)(error)),
        _ => Ok(()),
    }
}

fn failed(operation: &str) -> impl Fn(DockerError) -> DeployError {
    move |source| DeployError::Docker { operation: operation.to_owned(), source }
}
