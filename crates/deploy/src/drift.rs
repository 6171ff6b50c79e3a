//! What was changed by hand: containers that are not as their release's definition made them.
//!
//! Compared are the container itself, its image, variables, labels, limits and networks. Values of variables are never
//! told, only their names.

mod compare;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use machine::docker::{Container, Health as ContainerHealth, State as ContainerState};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spec::{ServiceName, Strategy};

use crate::ends;
use crate::error::{DeployError, stamp};
use crate::names::{self, Scope};
use crate::release::{Release, State};
use crate::store::Platform;
use crate::world::World;
use crate::{health, intruders, keeping};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    pub scope: Scope,
    pub findings: Vec<Finding>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub service: Option<ServiceName>,
    /// The container, network or volume.
    pub thing: String,
    /// What is found, and what should be.
    pub found: String,
    /// How it is mended.
    pub mend: String,
}

const UP: &str = "`mainstay up` replaces it";
const UNHEALTHY: &str = "`mainstay logs` shows what it says; `mainstay restart` starts it anew";
const STARTS: &str = "`mainstay up` starts it as it was";

/// Looks at everything of one platform.
pub async fn drift(world: &World, scope: &Scope) -> Result<Drift, DeployError> {
    let Some(platform) = world.platform(scope)? else {
        return Err(DeployError::Unknown { what: format!("a running {scope}"), known: String::new() });
    };
    let containers = world.docker.list(&[], true).await.map_err(docker("list containers"))?;
    let serving = world.serving(scope)?;
    let looks = serving.values().map(|release| of_release(world, release, &containers));
    let mut findings: Vec<Finding> =
        join_all(looks).await.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    findings.extend(warm(world, scope, &containers)?);
    findings.extend(strangers(&platform, &containers));
    for intruder in intruders::known(world, scope).await?.into_iter().filter(|intruder| intruder.runs) {
        findings.push(Finding {
            found: format!("an unknown container writes to {}", intruder.what),
            mend: intruder.advice(),
            service: Some(intruder.service),
            thing: intruder.container,
        });
    }
    findings.extend(ground(world, &platform).await?);
    Ok(Drift { scope: scope.clone(), findings })
}

/// The containers of a release by the names they should have, and where they are, under whatever name.
fn copies<'a>(release: &Release, containers: &'a [Container]) -> Vec<(String, Option<&'a Container>)> {
    let names = release.containers();
    let named = |name: &String| containers.iter().find(|one| one.name == *name);
    let labels = [
        (names::PLATFORM, release.scope.platform.as_ref()),
        (names::ENVIRONMENT, release.scope.environment.as_ref()),
        (names::SERVICE, release.service.as_ref()),
        (names::RELEASE, release.id.as_ref()),
    ];
    let is_its = |one: &&Container| {
        !one.labels.contains_key(names::ONE_OFF)
            && labels.iter().all(|(key, value)| one.labels.get(*key).map(String::as_str) == Some(*value))
    };
    // Which copy a renamed one was cannot be told: the missing names are given out in their order.
    let mut renamed = containers.iter().filter(is_its).filter(|one| !names.contains(&one.name));
    let found = |name: &String| named(name).or_else(|| renamed.next());
    let places: Vec<Option<&Container>> = names.iter().map(found).collect();
    names.into_iter().zip(places).collect()
}

async fn of_release(world: &World, release: &Release, containers: &[Container]) -> Result<Vec<Finding>, DeployError> {
    let mut findings = Vec::new();
    // A job has ended; what became of its container since does not undo that.
    if release.plan.strategy == Strategy::Job {
        return Ok(findings);
    }
    for (name, container) in copies(release, containers) {
        let finding = |found: String, mend: &str| Finding {
            service: Some(release.service.clone()),
            thing: name.clone(),
            found,
            mend: mend.to_owned(),
        };
        let Some(container) = container else {
            findings.push(finding("the container is gone".into(), STARTS));
            continue;
        };
        if container.name != name {
            let found = format!("the container was renamed to `{}`", container.name);
            findings.push(finding(found, "`mainstay up` gives it its name back"));
        }
        let still = ends::still(world, Some(container)).await?;
        let by_hand = match &still {
            Some(detail) => keeping::by_hand(world, release, detail, None)?,
            None => None,
        };
        if by_hand.is_none() && still.is_some_and(|detail| ends::trouble(release, &detail).is_none()) {
            // It has done its work.
        } else if !matches!(
            container.state,
            ContainerState::Running | ContainerState::Restarting | ContainerState::Paused
        ) {
            let state = format!("{:?}", container.state).to_lowercase();
            let found = match by_hand {
                Some(stopped) => format!("the container was stopped by hand at {}", stamp(stopped.at_ms)),
                None => format!("the container is {state}"),
            };
            findings.push(finding(found, STARTS));
        } else if container.state == ContainerState::Running && container.health == Some(ContainerHealth::Unhealthy) {
            findings.push(finding(unhealthy(world, release, &container.id).await?, UNHEALTHY));
        }
        let changed = changed_by_hand(world, release, &container.id).await?;
        findings.extend(changed.into_iter().map(|found| finding(found, UP)));
    }
    Ok(findings)
}

/// What of its health check has made Docker call a container unhealthy.
async fn unhealthy(world: &World, release: &Release, id: &str) -> Result<String, DeployError> {
    let detail = health::inspect(world, id).await?;
    let text = detail.map(|detail| health::Wording::of(world, release, &detail).unhealthy(&detail));
    Ok(text.unwrap_or_else(|| "the container is gone".into()))
}

/// What was changed by hand at the containers of a release, for a plan.
pub async fn of_copies(world: &World, release: &Release, containers: &[Container]) -> Result<Vec<String>, DeployError> {
    let mut changed = Vec::new();
    if release.plan.strategy != Strategy::Job {
        for container in copies(release, containers).into_iter().filter_map(|(_, container)| container) {
            changed.extend(changed_by_hand(world, release, &container.id).await?);
        }
    }
    changed.dedup();
    Ok(changed)
}

/// In which respects a container is not what its definition made; empty when the definition cannot be read.
pub async fn changed_by_hand(world: &World, release: &Release, id: &str) -> Result<Vec<String>, DeployError> {
    let definition = world.root.read(&release.definition.file);
    let definition = definition
        .map_err(|source| DeployError::State { operation: format!("read the definition of {}", release.id), source })?;
    let Some(document) = definition.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()) else {
        return Ok(Vec::new());
    };
    let detail = world.docker.inspect(id).await.map_err(docker("inspect a container"))?;
    let Some(detail) = detail else { return Ok(Vec::new()) };
    let image = world.docker.image(&detail.image_id).await.map_err(docker("look for an image"))?;
    let wanted = compare::Wanted::read(&document, &release.definition.service, &release.image.id);
    Ok(compare::differences(&wanted, &detail, image.as_ref()))
}

/// A warm release that does not run is no harm, but a rollback takes longer than promised.
fn warm(world: &World, scope: &Scope, containers: &[Container]) -> Result<Vec<Finding>, DeployError> {
    let parked = world.releases(scope, None)?.into_iter().filter(|release| release.state == State::Parked);
    let runs = |container: Option<&Container>| container.is_some_and(|one| one.state == ContainerState::Running);
    let findings = parked.flat_map(|release| {
        let cold = copies(&release, containers).into_iter().filter(|(_, container)| !runs(*container));
        let finding = |(name, _)| Finding {
            found: format!("{} should be warm and does not run", release.id),
            mend: "a rollback starts it again".into(),
            service: Some(release.service.clone()),
            thing: name,
        };
        cold.map(finding).collect::<Vec<_>>()
    });
    Ok(findings.collect())
}

/// Containers on our networks that nobody here has made.
fn strangers(platform: &Platform, containers: &[Container]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_ours =
        |one: &Container| [names::PLATFORM, names::HOLDER].iter().any(|label| one.labels.contains_key(*label));
    for container in containers.iter().filter(|container| !is_ours(container)) {
        for network in container.addresses.keys().filter(|network| platform.networks.contains(network)) {
            findings.push(Finding {
                service: None,
                thing: container.name.clone(),
                found: format!("an unknown container is on the network {network}"),
                mend: format!("docker network disconnect {network} {}", container.name),
            });
        }
    }
    findings
}

async fn ground(world: &World, platform: &Platform) -> Result<Vec<Finding>, DeployError> {
    let mut findings = Vec::new();
    let gone = |thing: &String, kind: &str| Finding {
        service: None,
        thing: thing.clone(),
        found: format!("the {kind} is gone"),
        mend: "`mainstay up` makes it again".into(),
    };
    for network in &platform.networks {
        if world.docker.network(network).await.map_err(docker("look for a network"))?.is_none() {
            findings.push(gone(network, "network"));
        }
    }
    let identity = world.identity(&platform.scope)?;
    let known = |volume: &String| identity.as_ref().is_some_and(|identity| identity.volumes.contains_key(volume));
    for volume in &platform.volumes {
        if world.docker.volume(volume).await.map_err(docker("look for a volume"))?.is_none() {
            findings.push(match known(volume) {
                false => gone(volume, "volume"),
                true => Finding {
                    found: "the volume is gone, and its data is lost or elsewhere".into(),
                    mend: format!(
                        "bring it back (is its disk mounted?) or restore it; `mainstay up --new-volume {volume}` begins with an empty one"
                    ),
                    ..gone(volume, "volume")
                },
            });
        }
    }
    Ok(findings)
}

/// Containers that run under another name than their release's, with the name they should have.
pub async fn renamed(world: &World, scope: &Scope) -> Result<BTreeMap<String, String>, DeployError> {
    let containers = world.docker.list(&scope.selector(), true).await.map_err(docker("list containers"))?;
    let taken: BTreeSet<&str> = containers.iter().map(|container| container.name.as_str()).collect();
    let living = world.releases(scope, None)?.into_iter();
    let living = living.filter(|release| matches!(release.state, State::Serving | State::Parked));
    let wrong = living.flat_map(|release| {
        let copies = copies(&release, &containers).into_iter();
        let wrong = copies.filter_map(|(name, container)| {
            let now = container?.name.clone();
            (now != name && !taken.contains(name.as_str())).then_some((now, name))
        });
        wrong.collect::<Vec<_>>()
    });
    Ok(wrong.collect())
}

/// Gives every container the name of its release back.
pub async fn mend_names(world: &World, scope: &Scope) -> Result<(), DeployError> {
    for (now, then) in renamed(world, scope).await? {
        world.talk.say(None, format!("gives {now} its name {then} back"));
        world.docker.rename(&now, &then).await.map_err(docker("rename a container"))?;
    }
    Ok(())
}

fn docker(operation: &'static str) -> impl Fn(machine::docker::DockerError) -> DeployError {
    move |source| DeployError::Docker { operation: operation.to_owned(), source }
}
