//! Programs outside of this platform that read the Docker socket, such as a Traefik for all of a machine's stacks.

use std::collections::BTreeSet;

use machine::docker::{ContainerDetail, labels_match};
use spec::Project;
use spec::compose::Service;
use spec::resolve::{reader, speaks_to};

use crate::error::DeployError;
use crate::health;
use crate::names::Scope;
use crate::world::World;

/// What the machine tells of a project that other programs may act on; nobody is asked where no label says anything.
pub async fn of_machine(world: &World, scope: &Scope, project: &Project) -> Result<BTreeSet<String>, DeployError> {
    let mut readers = BTreeSet::new();
    let selector = scope.selector();
    let is_meant = |name: &str| project.services.values().any(|service| speaks_to(service, name));
    if !project.services.values().any(may_be_read) {
        return Ok(readers);
    }
    let running = world.docker.list(&[], false).await.map_err(|source| DeployError::Docker {
        operation: "list the containers that may read the labels of this platform".into(),
        source,
    })?;
    for container in running.iter().filter(|container| !labels_match(&container.labels, &selector)) {
        let Some(name) = reader(&container.image).filter(|name| is_meant(name)) else { continue };
        let detail = health::inspect(world, &container.id).await?;
        if detail.is_some_and(|detail| reaches(&detail, project)) {
            readers.insert(name.to_owned());
        }
    }
    Ok(readers)
}

/// Whether a label or variable could be meant for a program that is not known by its labels alone.
fn may_be_read(service: &Service) -> bool {
    service.labels.iter().any(|(label, value)| spec::resolve::is_read(label, value))
        || service.environment.iter().any(|name| name.starts_with("SERVICE_"))
}

/// A proxy serves only what it can reach: from the host's own network everything, else what shares a network with it.
fn reaches(reader: &ContainerDetail, project: &Project) -> bool {
    let ours: BTreeSet<&str> = project.networks.values().map(|network| network.name.as_str()).collect();
    reader.networks.keys().any(|network| network == "host" || ours.contains(network.as_str()))
}
