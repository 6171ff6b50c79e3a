//! What is, told from Docker, the edge and the ledger; pure reading, and quick.

use machine::docker::{Container, Health, State as ContainerState};
use serde::{Deserialize, Serialize};
use spec::{ReleaseId, ServiceName, Strategy};

use crate::canary::Canary;
use crate::draft::containers;
use crate::ends;
use crate::error::DeployError;
use crate::intruders::{self, Intruder};
use crate::keeping::{self, Stopped};
use crate::names::{self, Scope};
use crate::release::{Release, State};
use crate::standing::Standing;
use crate::store::Platform;
use crate::world::World;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    pub platforms: Vec<PlatformStatus>,
    pub edge: EdgeStatus,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlatformStatus {
    pub scope: Scope,
    pub dir: std::path::PathBuf,
    pub addresses: Vec<String>,
    pub services: Vec<ServiceStatus>,
    /// Containers with our labels that belong to no known release.
    pub strays: Vec<String>,
    /// Whether it is paused or locked.
    #[serde(default)]
    pub standing: Standing,
    /// Whether its public routes answer with a page.
    #[serde(default)]
    pub maintenance: bool,
    /// Containers of nobody's that write, or have written, to its data.
    #[serde(default)]
    pub intruders: Vec<Intruder>,
    /// Kept services that somebody has stopped on purpose.
    #[serde(default)]
    pub stopped: Vec<Stopped>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServiceStatus {
    pub service: ServiceName,
    pub strategy: Strategy,
    pub release: ReleaseId,
    pub image: String,
    /// `running`, `unhealthy`, `exited`, `gone`, …; that of a copy that does not run or is not well, where there is one.
    pub state: String,
    /// Docker's verdict on each container of it that runs and has a health check.
    #[serde(default)]
    pub health: Vec<ContainerHealth>,
    /// How many copies it has.
    #[serde(default = "one")]
    pub copies: u32,
    /// How many of them run, whether they are well or not.
    #[serde(default = "one")]
    pub running: u32,
    /// Whether the edge sends its requests to this release, for a service with a route.
    pub routed: Option<bool>,
    pub healthy_after_ms: Option<u64>,
    pub since_ms: Option<i64>,
    pub addresses: Vec<String>,
    pub warm: Vec<ReleaseId>,
    pub failed: Vec<FailedStatus>,
    /// A new release that takes a share of the requests.
    #[serde(default)]
    pub canary: Option<Canary>,
}

/// What Docker makes of a container's health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerHealth {
    pub container: String,
    /// `starting`, `healthy` or `unhealthy`.
    pub health: Health,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FailedStatus {
    pub release: ReleaseId,
    pub container: String,
    pub reason: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum EdgeStatus {
    Serving { epoch: u64, pid: u32, version: String, in_sync: bool },
    Unreachable { reason: String },
}

pub async fn status(world: &World, only: Option<&Scope>) -> Result<Status, DeployError> {
    let edge = world.edge.status().await;
    let mut platforms = Vec::new();
    let wanted = match only {
        Some(scope) => world.platform(scope)?.into_iter().collect(),
        None => world.platforms()?,
    };
    for platform in &wanted {
        platforms.push(platform_status(world, platform, edge.as_ref().ok()).await?);
    }
    let edge = match edge {
        Ok(status) => {
            // Who asks about one platform does not make the others be read: what was pushed last will do.
            let hash = match only {
                Some(_) => world.pushed()?,
                None => None,
            };
            let hash = match hash {
                Some(hash) => hash,
                None => world.wanted_routes()?.hash,
            };
            EdgeStatus::Serving {
                epoch: status.epoch,
                pid: status.pid,
                version: status.version,
                in_sync: status.hash == hash,
            }
        }
        Err(error) => EdgeStatus::Unreachable { reason: error.to_string() },
    };
    Ok(Status { platforms, edge })
}

async fn platform_status(
    world: &World,
    platform: &Platform,
    edge: Option<&edge::Status>,
) -> Result<PlatformStatus, DeployError> {
    let containers = containers(world, &platform.scope).await?;
    let releases = world.releases(&platform.scope, None)?;
    let serving = world.serving(&platform.scope)?;
    let mut services = Vec::new();
    for (service, release) in &serving {
        let (state, running) = state(world, &containers, release).await?;
        let others = || releases.iter().filter(|other| other.service == *service && other.id != release.id);
        let routed = (!release.targets.is_empty()).then(|| {
            let pools = edge.map(|edge| edge.pools.as_slice()).unwrap_or_default();
            pools.iter().any(|pool| pool.name == release.pool() && pool.release == release.id.to_string())
        });
        services.push(ServiceStatus {
            service: service.clone(),
            strategy: release.plan.strategy,
            release: release.id.clone(),
            image: release.image.reference.clone(),
            state,
            health: health(&containers, release),
            copies: release.copies,
            running,
            routed,
            healthy_after_ms: release.healthy_after_ms,
            since_ms: release.switched_ms,
            addresses: addresses(platform, release),
            warm: others().filter(|other| other.state == State::Parked).map(|other| other.id.clone()).collect(),
            failed: others().filter_map(failed_status).collect(),
            canary: world.canary_of(&platform.scope, service)?,
        });
    }
    let known = |name: &str| releases.iter().any(|release| names::is_copy(&release.container, name));
    let strays =
        containers.iter().filter(|c| c.labels.contains_key(names::RELEASE) && !known(&c.name)).map(|c| c.name.clone());
    let mut stopped = keeping::stopped(world, &platform.scope)?;
    stopped.retain(|one| containers.iter().any(|c| c.id == one.id && !c.state.is_up()));
    Ok(PlatformStatus {
        scope: platform.scope.clone(),
        dir: platform.dir.clone(),
        addresses: platform_addresses(platform),
        strays: strays.collect(),
        standing: world.standing(&platform.scope)?,
        maintenance: platform.maintenance.is_some(),
        intruders: intruders::known(world, &platform.scope).await?,
        stopped,
        services,
    })
}

/// Where its shared listeners are.
fn platform_addresses(platform: &Platform) -> Vec<String> {
    let mut addresses: Vec<String> = platform.http.iter().map(|bind| url("http", bind, None, "/")).collect();
    addresses.dedup();
    addresses
}

/// The word for the release's containers, and how many of them run.
async fn state(world: &World, containers: &[Container], release: &Release) -> Result<(String, u32), DeployError> {
    let found = |name: &str| containers.iter().find(|container| container.name == name);
    let word = |found: Option<&Container>| {
        found.map_or_else(
            || "gone".into(),
            |container| match container.health {
                Some(Health::Unhealthy) if container.state == ContainerState::Running => UNHEALTHY.into(),
                _ => format!("{:?}", container.state).to_lowercase(),
            },
        )
    };
    // One that serves has ended well, whatever became of its container since.
    if release.plan.strategy == Strategy::Job {
        let state = word(found(&release.container));
        return Ok((if matches!(state.as_str(), "exited" | "gone") { "done".into() } else { state }, 0));
    }
    let mut words = Vec::new();
    for name in release.containers() {
        let end = ends::still(world, found(&name)).await?.as_ref().and_then(ends::word);
        words.push(end.unwrap_or_else(|| word(found(&name))));
    }
    let running = words.iter().filter(|word| *word == RUNNING || *word == UNHEALTHY).count();
    // What does not run at all is the greater trouble.
    let lies = words.iter().find(|word| *word != RUNNING && *word != UNHEALTHY).cloned();
    let first_trouble = lies.or_else(|| words.into_iter().find(|word| word == UNHEALTHY));
    Ok((first_trouble.unwrap_or_else(|| RUNNING.into()), u32::try_from(running).unwrap_or(u32::MAX)))
}

const RUNNING: &str = "running";
const UNHEALTHY: &str = "unhealthy";

fn health(containers: &[Container], release: &Release) -> Vec<ContainerHealth> {
    let names = release.containers();
    let its = names.iter().filter_map(|name| containers.iter().find(|container| container.name == *name));
    its.filter_map(|one| Some(ContainerHealth { container: one.name.clone(), health: one.health? })).collect()
}

fn one() -> u32 {
    1
}

fn failed_status(release: &Release) -> Option<FailedStatus> {
    match &release.state {
        State::Failed { reason } => Some(FailedStatus {
            release: release.id.clone(),
            container: release.container.clone(),
            reason: reason.clone(),
        }),
        _ => None,
    }
}

/// Where the service answers, from outside.
pub fn addresses(platform: &Platform, release: &Release) -> Vec<String> {
    let bytes = platform.edge.tcp.iter().filter(|port| port.service == release.service);
    let bytes = bytes.map(|port| url("tcp", &port.listen, None, ""));
    let mut addresses: Vec<String> = Vec::new();
    if !release.targets.is_empty() {
        let own = platform.edge.ports.iter().filter(|port| port.service == release.service);
        addresses.extend(own.map(|port| match port.detect {
            Some(spec::Detect::Unknown) => url("tcp", &port.listen, None, ""),
            Some(spec::Detect::Likely) | None => url("http", &port.listen, None, "/"),
        }));
        let shared = platform.http.iter().map(|bind| ("http", bind));
        for (scheme, bind) in shared.chain(platform.https.iter().map(|bind| ("https", bind))) {
            let routes = release.plan.routes.iter();
            addresses.extend(
                routes
                    .map(|route| url(scheme, bind, route.host.as_deref().or(platform.domain.as_deref()), &route.path)),
            );
        }
    }
    let mut known = std::collections::BTreeSet::new();
    addresses.into_iter().chain(bytes).filter(|address| known.insert(address.clone())).collect()
}

/// `0.0.0.0:80` and `[::]:80` open as `http://localhost/`; one address of the host is shown as it is.
fn url(scheme: &str, bind: &str, host: Option<&str>, path: &str) -> String {
    let (address, port) = bind.rsplit_once(':').unwrap_or((bind, "80"));
    let host = host.unwrap_or(match address {
        "0.0.0.0" | "[::]" => "localhost",
        other => other,
    });
    match (scheme, port) {
        ("http", "80") | ("https", "443") => format!("{scheme}://{host}{path}"),
        (_, port) => format!("{scheme}://{host}:{port}{path}"),
    }
}
