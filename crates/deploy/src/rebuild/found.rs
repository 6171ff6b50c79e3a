//! What is left without a ledger: the files, the containers, the edge.

use std::collections::BTreeMap;
use std::time::Duration;

use machine::docker::{Container, State as ContainerState};
use spec::ReleaseId;

use super::fate::{Fate, of};
use super::is_written_anew;
use crate::error::DeployError;
use crate::kept::Kept;
use crate::names::{self, Scope};
use crate::release::{Release, State};
use crate::store::{PLATFORM, Platform, RELEASE, SERVING};
use crate::world::World;

/// An edge that was started with the agent is there by then.
const PATIENCE: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_millis(100);

pub(super) struct Found {
    pub platforms: Vec<Platform>,
    pub releases: Vec<Release>,
    /// Records that are taken over as they are.
    pub others: Vec<Kept>,
    /// All of the platforms' containers, with those that are not a release's own.
    pub containers: Vec<Container>,
    /// By service, the key of the release that serves.
    serving: BTreeMap<String, String>,
}

impl Found {
    pub async fn look(world: &World, kept: &[Kept], unreadable: Vec<String>) -> Result<Found, DeployError> {
        let platforms: Vec<Platform> = decoded(kept, PLATFORM)?.into_iter().map(|(_, platform)| platform).collect();
        let releases: Vec<Release> = decoded(kept, RELEASE)?.into_iter().map(|(_, release)| release).collect();
        let pointers: BTreeMap<String, String> = decoded(kept, SERVING)?.into_iter().collect();
        let routed = routed(world, !kept.is_empty()).await?;
        let known = |pool: &str, id: &str| releases.iter().any(|one| one.pool() == pool && one.id.as_ref() == id);
        let platform_known = |pool: &str| platforms.iter().any(|one| is_under(pool, &one.scope));
        let unknown: Vec<String> = routed
            .iter()
            .filter(|(pool, id)| !known(pool, id) || !platform_known(pool))
            .map(|(pool, id)| format!("{id} of {pool}"))
            .collect();
        if !unknown.is_empty() {
            return Err(DeployError::Unrebuildable { routed: unknown.join(", "), unreadable: unreadable.join(", ") });
        }
        let mut containers = Vec::new();
        for platform in &platforms {
            let listed = world.docker.list(&platform.scope.selector(), true).await;
            containers.extend(listed.map_err(|source| DeployError::Docker {
                operation: format!("list the containers of {}", platform.scope),
                source,
            })?);
        }
        let others = kept.iter().filter(|kept| !is_written_anew(kept)).cloned().collect();
        let mut found = Found { platforms, releases, others, containers, serving: BTreeMap::new() };
        found.serving = found.decide(&routed, pointers);
        Ok(found)
    }

    /// Which release of each service serves: the one the edge sends requests to; where the edge knows none, the one that
    /// was written down last; where that is nothing either, the newest that runs.
    fn decide(&self, routed: &[(String, String)], pointers: BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut serving = BTreeMap::new();
        for release in &self.releases {
            let pool = release.pool();
            if serving.contains_key(&pool) {
                continue;
            }
            let of_it = || self.releases.iter().filter(|one| one.pool() == pool);
            let by_edge = routed.iter().find(|(name, _)| *name == pool);
            let by_edge = by_edge.and_then(|(_, id)| of_it().find(|one| one.id.as_ref() == *id));
            let by_file = || pointers.get(&pool).and_then(|key| of_it().find(|one| one.key() == *key));
            let by_docker = || {
                let proved = of_it().filter(|one| matches!(one.state, State::Serving | State::Parked));
                proved.filter(|one| self.runs(one)).max_by_key(|one| one.id.number())
            };
            if let Some(serves) = by_edge.or_else(by_file).or_else(by_docker) {
                serving.insert(pool, serves.key());
            }
        }
        serving
    }

    pub fn fate(&self, release: &Release) -> Fate {
        let serves = self.serving.get(&release.pool()) == Some(&release.key());
        of(release, serves, self.runs(release))
    }

    /// Whether all of its copies run.
    pub fn runs(&self, release: &Release) -> bool {
        release.containers().iter().all(|name| self.state(name) == Some(ContainerState::Running))
    }

    pub fn state(&self, name: &str) -> Option<ContainerState> {
        self.containers.iter().find(|container| container.name == name).map(|container| container.state)
    }

    /// The highest number that a release of this scope has had.
    pub fn highest(&self, scope: &Scope) -> u64 {
        let recorded =
            self.releases.iter().filter(|release| release.scope == *scope).map(|release| release.id.number());
        let is_of = |container: &&Container| {
            scope.selector().iter().all(|(key, value)| container.labels.get(key) == Some(value))
        };
        let labels = self.containers.iter().filter(is_of).filter_map(|container| container.labels.get(names::RELEASE));
        let labelled = labels.filter_map(|label| ReleaseId::parse(label).ok()).map(|id| id.number());
        recorded.chain(labelled).max().unwrap_or_default()
    }
}

fn is_under(pool: &str, scope: &Scope) -> bool {
    pool.strip_prefix(&scope.key()).is_some_and(|rest| rest.starts_with('/'))
}

/// Pools and their releases as the edge serves them, a TCP port's pool by its service's name.
/// Of two releases under one name the first is the one that serves; the other is a canary.
async fn routed(world: &World, is_expected: bool) -> Result<Vec<(String, String)>, DeployError> {
    let until = tokio::time::Instant::now() + PATIENCE;
    let status = loop {
        match world.edge.status().await {
            Ok(status) => break status,
            // On an empty machine there need not be an edge yet, and it would have nothing to say.
            Err(_) if !is_expected => return Ok(Vec::new()),
            Err(source) if tokio::time::Instant::now() > until => {
                return Err(DeployError::Edge { operation: "ask which releases are served".into(), source });
            }
            Err(_) => tokio::time::sleep(LOOK).await,
        }
    };
    let mut routed: Vec<(String, String)> = Vec::new();
    for pool in status.pools {
        let name = pool.name.split(':').next().unwrap_or_default().to_owned();
        if !routed.iter().any(|(known, _)| *known == name) {
            routed.push((name, pool.release));
        }
    }
    Ok(routed)
}

fn decoded<T: serde::de::DeserializeOwned>(kept: &[Kept], kind: &str) -> Result<Vec<(String, T)>, DeployError> {
    let of_kind = kept.iter().filter(|kept| kept.kind == kind);
    let read = |kept: &Kept| match kept.record() {
        Ok(record) => Ok((kept.key.clone(), record)),
        Err(error) => {
            Err(DeployError::Refused(format!("the kept {kind} `{}` is of another version: {error}", kept.key)))
        }
    };
    of_kind.map(read).collect()
}
