//! Taking services, or a whole platform, away again. Every step finds things by their labels and
//! may run twice; volumes are data and stay unless they are named.

use std::time::Duration;

use machine::docker::DockerError;
use spec::ServiceName;

use crate::draft::containers;
use crate::error::{DeployError, is_gone};
use crate::names::{self, Scope};
use crate::release::Event;
use crate::world::World;

/// How long a container gets to end by itself.
const GRACE: Duration = Duration::from_secs(10);

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
}

pub async fn remove_service(world: &World, scope: &Scope, service: &ServiceName) -> Result<(), DeployError> {
    world.clear_serving(scope, service)?;
    world.push_routes().await?;
    for container in containers(world, scope).await? {
        if container.labels.get(names::SERVICE).map(String::as_str) == Some(service.as_ref()) {
            world.talk.say(Some(service), format!("removes {}", container.name));
            remove_container(world, &container.name).await?;
        }
    }
    world.forget_scaled(scope, service)?;
    retire(world, scope, Some(service))
}

/// Takes a whole platform in one environment away.
pub async fn down(world: &World, scope: &Scope, volumes: bool) -> Result<Removed, DeployError> {
    let mut removed = Removed::default();
    for service in world.serving(scope)?.into_keys() {
        world.clear_serving(scope, &service)?;
    }
    for service in world.scaled(scope)?.into_keys() {
        world.forget_scaled(scope, &service)?;
    }
    world.forget_platform(scope)?;
    // A dead edge must not keep a platform from being taken down.
    let _ = world.push_routes().await;
    let all = world.docker.list(&scope.selector(), true).await.map_err(failed("list containers"))?;
    let works = all.iter().map(|container| async {
        world.talk.say(None, format!("removes {}", container.name));
        remove_container(world, &container.name).await.map(|()| container.name.clone())
    });
    for name in futures_util::future::join_all(works).await {
        removed.containers.push(name?);
    }
    for network in world.docker.networks(&scope.selector()).await.map_err(failed("list networks"))? {
        match world.docker.remove_network(&network.name).await {
            // Somebody else's container is on it, or one that Docker only believes to be.
            Err(DockerError::Conflict { message, .. }) => removed.kept_networks.push((network.name, message)),
            result => {
                gone(result, "remove a network")?;
                removed.networks.push(network.name);
            }
        }
    }
    for volume in world.docker.volumes(&scope.selector()).await.map_err(failed("list volumes"))? {
        match volumes {
            true => {
                gone(world.docker.remove_volume(&volume.name).await, "remove a volume")?;
                removed.volumes.push(volume.name);
            }
            false => removed.kept_volumes.push(volume.name),
        }
    }
    retire(world, scope, None)?;
    Ok(removed)
}

async fn remove_container(world: &World, name: &str) -> Result<(), DeployError> {
    gone(world.docker.stop(name, GRACE).await, "stop a container")?;
    gone(world.docker.remove(name, true).await, "remove a container")
}

fn retire(world: &World, scope: &Scope, service: Option<&ServiceName>) -> Result<(), DeployError> {
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
