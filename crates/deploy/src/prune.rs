//! Clearing away what Mainstay made and nobody needs any more.
//!
//! What is removed: releases beyond those that are kept, failed ones with their containers, stopped containers that
//! belong to no release, tags and images of releases that are gone, networks that the platform no longer describes.
//! What never is: volumes, running containers, images that a kept release or anybody's container uses, and anything
//! that does not carry our mark.

use std::collections::BTreeSet;

use machine::docker::{Container, Image};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::account::Deed;
use crate::attached;
use crate::error::{DeployError, is_gone};
use crate::names::{self, Scope};
use crate::release::{Release, State};
use crate::shown;
use crate::store::Platform;
use crate::world::World;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    pub scope: Scope,
    /// How many superseded releases of each service stay; the platform file's number when not said.
    #[serde(default)]
    pub keep: Option<u32>,
    pub by: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Container,
    Release,
    Image,
    Network,
}

/// Something that is not needed any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub kind: Kind,
    pub name: String,
    pub why: String,
    /// What removing it frees, layers that others share included.
    pub bytes: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Pruned {
    pub removed: Vec<Item>,
    /// What was to go and is in use after all, with the reason.
    pub kept: Vec<(String, String)>,
    pub bytes: u64,
}

/// What is there, looked at once.
struct Scene {
    platform: Option<Platform>,
    releases: Vec<Release>,
    /// Of all scopes, anybody's.
    containers: Vec<Container>,
    images: Vec<Image>,
    networks: Vec<String>,
    /// Images that releases of any scope need after the clearing.
    needed: BTreeSet<String>,
    doomed: Vec<Release>,
    /// The Compose projects under whose names this platform's images are built.
    built_for: BTreeSet<String>,
}

/// What would be removed.
pub async fn plan(world: &World, request: &Request) -> Result<Vec<Item>, DeployError> {
    Ok(look(world, request).await?.items(&request.scope))
}

pub async fn prune(world: &World, request: &Request) -> Result<Pruned, DeployError> {
    let scene = look(world, request).await?;
    let mut pruned = Pruned::default();
    for item in scene.items(&request.scope) {
        world.talk.say(None, format!("removes {} {}", word(item.kind), item.name));
        match remove(world, &scene, &item).await? {
            None => {
                pruned.bytes += item.bytes;
                pruned.removed.push(item);
            }
            Some(reason) => pruned.kept.push((item.name, reason)),
        }
    }
    let names: Vec<&str> = pruned.removed.iter().map(|item| item.name.as_str()).collect();
    let detail = json!({ "removed": names, "bytes": pruned.bytes });
    world.account(Deed { by: &request.by, action: "prune", scope: &request.scope, detail })?;
    Ok(pruned)
}

pub fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Container => "container",
        Kind::Release => "release",
        Kind::Image => "image",
        Kind::Network => "network",
    }
}

async fn look(world: &World, request: &Request) -> Result<Scene, DeployError> {
    let scope = &request.scope;
    let platform = world.platform(scope)?;
    let releases = world.releases(scope, None)?;
    let described = platform.as_ref().map_or(spec::defaults::KEEP_RELEASES, |platform| platform.keep_releases);
    let keep = request.keep.unwrap_or(described) as usize;
    let mut doomed = crate::tick::beyond_kept(&releases, keep);
    let failed = releases.iter().filter(|release| matches!(release.state, State::Failed { .. }));
    for release in failed {
        if !doomed.iter().any(|one| one.id == release.id) {
            doomed.push(release.clone());
        }
    }
    let all = world.all_releases()?;
    let kept = all.iter().filter(|one| !doomed.iter().any(|gone| gone.scope == one.scope && gone.id == one.id));
    let needed = kept.map(|release| release.image.id.clone()).collect();
    let networks = world.docker.networks(&scope.selector()).await.map_err(docker("list networks"))?;
    Ok(Scene {
        containers: world.docker.list(&[], true).await.map_err(docker("list containers"))?,
        images: world.docker.images(&[], None).await.map_err(docker("list images"))?,
        networks: networks.into_iter().map(|network| network.name).collect(),
        built_for: [scope.project()].into_iter().chain(world.identity(scope)?.map(|known| known.project)).collect(),
        platform,
        releases,
        needed,
        doomed,
    })
}

impl Scene {
    fn items(&self, scope: &Scope) -> Vec<Item> {
        let mut items = self.containers(scope);
        items.extend(self.releases(scope));
        items.extend(self.images(scope));
        items.extend(self.networks(scope));
        items
    }

    /// Ours, stopped, and of no release that lives.
    fn containers(&self, scope: &Scope) -> Vec<Item> {
        let ours = |container: &&Container| machine::docker::labels_match(&container.labels, &scope.selector());
        let living = |name: &str| {
            self.releases
                .iter()
                .any(|release| names::is_copy(&release.container, name) && !self.is_doomed(&release.container))
        };
        let stopped = self.containers.iter().filter(ours).filter(|one| !runs(one) && !living(&one.name));
        let why = |container: &Container| match (container.labels.get(names::ONE_OFF), self.is_doomed(&container.name))
        {
            (Some(job), _) => format!("left over from {job}"),
            (None, true) => "its release goes, too".into(),
            (None, false) => "it belongs to no release".into(),
        };
        let item = |one: &Container| Item { kind: Kind::Container, name: one.name.clone(), why: why(one), bytes: 0 };
        stopped.map(item).collect()
    }

    /// A release goes only while none of its containers runs.
    fn is_doomed(&self, container: &str) -> bool {
        let copies = |release: &Release, name: &str| names::is_copy(&release.container, name);
        let lives = |release: &Release| self.containers.iter().any(|one| copies(release, &one.name) && runs(one));
        self.doomed.iter().any(|release| copies(release, container) && !lives(release))
    }

    fn releases(&self, _: &Scope) -> Vec<Item> {
        let runs = |release: &&Release| {
            self.containers.iter().any(|one| names::is_copy(&release.container, &one.name) && runs(one))
        };
        let why = |release: &Release| match &release.state {
            State::Failed { .. } => "it failed and never served".to_owned(),
            _ => "there are newer ones to go back to".to_owned(),
        };
        let gone = self.doomed.iter().filter(|release| !runs(release));
        let item = |release: &Release| Item {
            kind: Kind::Release,
            name: format!("{} {}", release.service, release.id),
            why: why(release),
            bytes: 0,
        };
        gone.map(item).collect()
    }

    /// Our tags of releases that are gone, and builds of ours that lost their name; the image goes with its last tag.
    fn images(&self, scope: &Scope) -> Vec<Item> {
        let prefix = format!("mainstay/{}/", scope.project());
        let mut items = Vec::new();
        for image in &self.images {
            let used = self.needed.contains(&image.id)
                || self.containers.iter().any(|one| one.image_id == image.id && !self.goes(one));
            let (ours, others): (Vec<&String>, Vec<&String>) =
                image.tags.iter().partition(|tag| tag.starts_with(&prefix));
            let idle: Vec<&String> = ours.into_iter().filter(|tag| !self.keeps(tag, &prefix)).collect();
            let built = image.tags.is_empty()
                && image
                    .labels
                    .get("com.docker.compose.project")
                    .is_some_and(|project| self.built_for.contains(project));
            if built && !used {
                let why = "a newer build has taken its name".to_owned();
                items.push(Item { kind: Kind::Image, name: image.id.clone(), why, bytes: image.size });
            }
            let last = others.is_empty() && idle.len() == image.tags.len() && !used;
            for (index, tag) in idle.iter().enumerate() {
                let bytes = if last && index + 1 == idle.len() { image.size } else { 0 };
                let why = "the release it was kept for is gone".to_owned();
                items.push(Item { kind: Kind::Image, name: (*tag).clone(), why, bytes });
            }
        }
        items
    }

    /// Whether a container is itself cleared away.
    fn goes(&self, container: &Container) -> bool {
        !runs(container) && self.is_doomed(&container.name)
    }

    fn keeps(&self, tag: &str, prefix: &str) -> bool {
        let kept = |release: &&Release| !self.is_doomed(&release.container);
        self.releases.iter().filter(kept).any(|release| {
            let (repository, name) = release.scope.keep_tag(&release.service, &release.id);
            format!("{repository}:{name}") == tag && tag.starts_with(prefix)
        })
    }

    /// Of a platform that is up, those it no longer describes; of one that is down, all. Only when nobody is on them.
    fn networks(&self, _: &Scope) -> Vec<Item> {
        let described = |name: &String| self.platform.as_ref().is_some_and(|platform| platform.networks.contains(name));
        let used = |name: &String| self.containers.iter().any(|one| one.addresses.contains_key(name));
        let idle = self.networks.iter().filter(|name| !described(name) && !used(name));
        let item = |name: &String| Item {
            kind: Kind::Network,
            name: name.clone(),
            why: "the platform no longer has it".into(),
            bytes: 0,
        };
        idle.map(item).collect()
    }
}

fn runs(container: &Container) -> bool {
    use machine::docker::State as Is;
    matches!(container.state, Is::Running | Is::Paused | Is::Restarting)
}

/// `Some` with the reason when it is in use after all: whatever Docker refuses without force stays.
async fn remove(world: &World, scene: &Scene, item: &Item) -> Result<Option<String>, DeployError> {
    let result = match item.kind {
        Kind::Container => world.docker.remove(&item.name, false).await,
        Kind::Image => world.docker.untag(&item.name).await,
        Kind::Network => world.docker.remove_network(&item.name).await,
        Kind::Release => {
            let found = scene.doomed.iter().find(|release| format!("{} {}", release.service, release.id) == item.name);
            return match found {
                Some(release) => forget(world, release).map(|()| None),
                None => Ok(None),
            };
        }
    };
    match result {
        Err(machine::docker::DockerError::Conflict { message, .. }) => Ok(Some(message)),
        Err(error) if !is_gone(&error) => Err(docker("remove something")(error)),
        _ => Ok(None),
    }
}

/// A release's record and files; its container and tag are items of their own.
fn forget(world: &World, release: &Release) -> Result<(), DeployError> {
    for file in [&release.definition.file, &shown::file(&release.definition.file)] {
        let failed =
            |source| DeployError::State { operation: format!("forget the definition of {}", release.id), source };
        world.root.remove(file).map_err(failed)?;
    }
    world.forget_release(release)?;
    attached::sweep(world, &release.scope)
}

fn docker(operation: &'static str) -> impl Fn(machine::docker::DockerError) -> DeployError {
    move |source| DeployError::Docker { operation: operation.to_owned(), source }
}

#[cfg(test)]
mod tests;
