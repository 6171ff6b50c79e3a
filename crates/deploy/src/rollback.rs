//! Back to an earlier release: a routing change when its container is still warm, the ordinary
//! roll-out with the stored definition when it is not. One code path for both.

use machine::docker::State as ContainerState;
use serde::{Deserialize, Serialize};
use spec::{ReleaseId, ServiceName};

use crate::error::DeployError;
use crate::health;
use crate::names::Scope;
use crate::release::{Release, State};
use crate::report::{Report, ServiceReport};
use crate::roll_out::{Params, after};
use crate::world::World;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    pub scope: Scope,
    pub service: ServiceName,
    /// The previous good release when not said.
    pub to: Option<ReleaseId>,
    pub by: String,
    #[serde(default)]
    pub why: String,
}

/// What a rollback would do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Way {
    pub service: ServiceName,
    pub from: Option<ReleaseId>,
    pub to: ReleaseId,
    pub image: String,
    /// Its container still runs, so that traffic can go back at once.
    pub warm: bool,
    pub why: String,
}

/// Chooses the release and proves that it can be had, before anything is touched.
pub async fn way(world: &World, request: &Request) -> Result<Way, DeployError> {
    let releases = world.releases(&request.scope, Some(&request.service))?;
    let serving = world.serving_of(&request.scope, &request.service)?;
    let to = choose(&releases, serving.as_ref(), request)?;
    let warm = is_warm(world, to).await?;
    if !warm {
        preflight(world, to).await?;
    }
    Ok(Way {
        service: request.service.clone(),
        from: serving.map(|serving| serving.id),
        to: to.id.clone(),
        image: to.image.reference.clone(),
        warm,
        why: match warm {
            true => format!("{} is still warm: traffic goes back with one routing change", to.id),
            false => format!("{} is started again from its stored definition", to.id),
        },
    })
}

pub async fn rollback(world: &World, operation: &str, request: &Request) -> Result<Report, DeployError> {
    let began = world.clock.monotonic();
    let way = way(world, request).await?;
    let stored = world.release(&request.scope, &request.service, &way.to)?;
    let unknown = || DeployError::Unknown { what: format!("release {}", way.to), known: String::new() };
    let mut release = stored.ok_or_else(unknown)?;
    release.by.clone_from(&request.by);
    let operation = format!("{operation}.rollback");
    let params = Params { operation, release, previous: way.from, start: !way.warm, migrate: false };
    let report: ServiceReport = after::run(world, params, began).await?;
    let took = world.clock.monotonic().saturating_sub(began);
    Ok(Report::new(request.scope.clone(), vec![report], u64::try_from(took.as_millis()).unwrap_or(u64::MAX)))
}

/// The newest release before the serving one that has ever served.
fn choose<'a>(releases: &'a [Release], serving: Option<&Release>, request: &Request) -> Result<&'a Release, DeployError> {
    let known = || releases.iter().map(|release| release.id.to_string()).collect::<Vec<_>>().join(", ");
    if let Some(wanted) = &request.to {
        let found = releases.iter().find(|release| release.id == *wanted);
        let found = found.ok_or_else(|| DeployError::Unknown { what: format!("release {wanted} of `{}`", request.service), known: known() })?;
        if serving.is_some_and(|serving| serving.id == found.id) {
            return Err(DeployError::Refused(format!("{wanted} serves already")));
        }
        return Ok(found);
    }
    let limit = serving.map_or(u64::MAX, |serving| serving.id.number());
    let good = |release: &&Release| {
        release.id.number() < limit && release.switched_ms.is_some() && !matches!(release.state, State::Failed { .. })
    };
    releases.iter().rev().find(good).ok_or_else(|| {
        DeployError::Refused(format!("`{}` has no earlier good release to go back to (known: {})", request.service, known()))
    })
}

async fn is_warm(world: &World, release: &Release) -> Result<bool, DeployError> {
    if release.state != State::Parked {
        return Ok(false);
    }
    let detail = health::inspect(world, &release.container).await?;
    Ok(detail.is_some_and(|detail| detail.state == ContainerState::Running))
}

/// A rollback that finds its image gone halfway would be worse than none.
async fn preflight(world: &World, release: &Release) -> Result<(), DeployError> {
    if crate::images::find(world, &release.image.id).await?.is_none() {
        return Err(DeployError::Refused(format!(
            "{} cannot be started again: its image {} is no longer on this machine",
            release.id, release.image.reference
        )));
    }
    let definition = world.root.read(&release.definition.file);
    let definition = definition.map_err(|source| DeployError::State { operation: format!("read the definition of {}", release.id), source })?;
    match definition {
        Some(_) => Ok(()),
        None => Err(DeployError::Refused(format!("{} cannot be started again: its definition is gone", release.id))),
    }
}
