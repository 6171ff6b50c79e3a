//! Images: which one a service wants, whether it is here, and how to get it here.

use std::collections::BTreeMap;

use machine::docker::Image;
use machine::process::Stream;
use spec::compose::Service;
use spec::{Project, ServiceName};

use crate::error::DeployError;
use crate::identity::Identity;
use crate::load::{Loaded, with_shell};
use crate::plan::{Fetch, Plan, WantedImage};
use crate::pulling;
use crate::release::Release;
use crate::world::World;

/// What each service's image is called: the one named for this deploy, the one an earlier deploy named (as long as the
/// Compose file has not moved on), or the Compose file's.
pub fn references(
    identity: &Identity,
    project: &Project,
    named: &BTreeMap<ServiceName, String>,
    serving: &BTreeMap<ServiceName, Release>,
) -> BTreeMap<ServiceName, String> {
    let reference = |(name, service): (&ServiceName, &Service)| {
        let written = written(identity, name, service);
        let sticky = serving.get(name).filter(|release| release.image.instead_of.as_deref() == Some(written.as_str()));
        // What was promoted stays what it was, whatever its name means by now.
        let sticky = sticky.map(|release| match release.origin.promoted.is_some() {
            true => release.image.id.clone(),
            false => release.image.reference.clone(),
        });
        (name.clone(), named.get(name).cloned().or(sticky).unwrap_or(written))
    };
    project.services.iter().map(reference).collect()
}

/// The Compose file's name of an image, or the one that Compose gives to what it builds.
pub fn written(identity: &Identity, name: &ServiceName, service: &Service) -> String {
    service.image.clone().unwrap_or_else(|| format!("{}-{name}", identity.project))
}

/// The image each service should run: the one named for this deploy, the one an earlier deploy
/// named (as long as the Compose file has not moved on), or the Compose file's.
pub async fn wanted(
    world: &World,
    loaded: &Loaded,
    named: &BTreeMap<ServiceName, String>,
    serving: &BTreeMap<ServiceName, Release>,
) -> Result<BTreeMap<ServiceName, WantedImage>, DeployError> {
    let mut images = BTreeMap::new();
    for plan in &loaded.platform.services {
        let name = &plan.name;
        let Some(service) = loaded.project.services.get(name) else { continue };
        let written = written(&loaded.identity, name, service);
        let sticky = serving.get(name).filter(|release| release.image.instead_of.as_deref() == Some(written.as_str()));
        let (reference, instead_of) = match (named.get(name), sticky) {
            (Some(named), _) if *named != written => (named.clone(), Some(written)),
            (None, Some(release)) => (release.image.reference.clone(), Some(written)),
            _ => (written, None),
        };
        // What was promoted stays what it was, whatever its name means by now.
        let promoted = sticky.filter(|release| release.origin.promoted.is_some() && !named.contains_key(name));
        let found = promoted.map_or(reference.as_str(), |release| release.image.id.as_str());
        let id = find(world, found).await?.map(|image| image.id);
        let build = service.build && instead_of.is_none();
        let never_pulled = service.pull_policy.as_deref() == Some("never");
        images.insert(name.clone(), WantedImage { reference, id, build, never_pulled, instead_of });
    }
    Ok(images)
}

/// An image that may not be pulled has to be here.
pub fn refuse_unpullable(service: &ServiceName, image: &WantedImage) -> Result<(), DeployError> {
    match image.id.is_none() && image.never_pulled && !image.build {
        false => Ok(()),
        true => Err(DeployError::Refused(format!(
            "`services.{service}.pull_policy: never`: image `{0}` may not be pulled, and it is not on this machine; bring it here (`docker load`, or `docker pull {0}`), or leave `pull_policy` out",
            image.reference
        ))),
    }
}

pub async fn find(world: &World, reference: &str) -> Result<Option<Image>, DeployError> {
    let found = world.docker.image(reference).await;
    found.map_err(|source| DeployError::Docker { operation: format!("look for image `{reference}`"), source })
}

/// Builds and pulls what the plan needs, all builds in one Compose run so that layers are shared.
pub async fn fetch(world: &World, loaded: &Loaded, plan: &Plan, rebuild: bool) -> Result<(), DeployError> {
    let pending: Vec<_> = plan.pending().collect();
    let builds: Vec<String> = pending
        .iter()
        .filter(|change| change.fetch == Some(Fetch::Build) || (rebuild && builds(loaded, &change.service)))
        .map(|change| change.service.to_string())
        .collect();
    if !builds.is_empty() {
        world.talk.say(None, format!("builds {}", builds.join(", ")));
        pulling::build(world, loaded, &builds).await?;
    }
    for change in pending.iter().filter(|change| change.fetch == Some(Fetch::Pull)) {
        world.talk.say(Some(&change.service), format!("pulls {}", change.image));
        pulling::pull(world, loaded, &change.service, &change.image).await?;
    }
    Ok(())
}

pub fn builds(loaded: &Loaded, service: &ServiceName) -> bool {
    loaded.project.services.get(service).is_some_and(|service| service.build)
}

/// Runs a command that is dressed already, and tells its lines.
pub(crate) async fn stream(
    world: &World,
    loaded: &Loaded,
    command: machine::process::Command,
    service: Option<&ServiceName>,
    what: &str,
) -> Result<(), DeployError> {
    let command = with_shell(command, &loaded.shell);
    let mut last: Vec<String> = Vec::new();
    let mut on_line = |_: Stream, line: String| {
        let line = loaded.redactor.redact(&line).into_owned();
        world.talk.passing(service, line.clone());
        if last.len() == 12 {
            last.remove(0);
        }
        last.push(line);
    };
    let status = world.processes.stream(&command, &mut on_line).await;
    let status = status.map_err(|source| DeployError::Process { command: command.to_string(), source })?;
    match (status, service) {
        (0, _) => Ok(()),
        (_, Some(service)) => {
            Err(DeployError::Image { service: service.clone(), image: what.to_owned(), said: last.join("\n") })
        }
        (_, None) => Err(DeployError::Build { services: what.to_owned(), said: last.join("\n") }),
    }
}
