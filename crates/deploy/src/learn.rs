//! Records of the version before learn what this one knows: under which names their platforms' volumes are, and what
//! their releases write. Nothing is redeployed for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;
use spec::{Project, ServiceName, Strategy};

use crate::error::DeployError;
use crate::facts;
use crate::identity::{Identity, KnownVolume};
use crate::names::Scope;
use crate::places;
use crate::release::Release;
use crate::world::World;

/// Why a release has another strategy than it was made with; the key in its plan's reasons.
pub const STRATEGY_BEFORE: &str = "strategy before";

/// Done once after an upgrade, before anybody is answered; later it finds nothing to do.
pub async fn learn(world: &World) -> Result<(), DeployError> {
    identities(world)?;
    for release in world.all_releases()?.into_iter().filter(|release| release.plan.data.is_none()) {
        writes(world, release).await?;
    }
    close_routes(world)
}

/// The version before gave a route for everybody to what is published on one address of the host, such as the loopback.
fn close_routes(world: &World) -> Result<(), DeployError> {
    for platform in world.platforms()? {
        for (_, mut release) in world.serving(&platform.scope)? {
            let own: Vec<_> = platform.edge.ports.iter().filter(|port| port.service == release.service).collect();
            let is_derived =
                release.plan.reasons.get("routes").is_some_and(|reason| reason.starts_with("no routes are written"));
            if is_derived && !own.is_empty() && own.iter().all(|port| is_for_one_address(&port.listen)) {
                release.plan.routes.clear();
                release.plan.reasons.remove("routes");
                world.save_release(&release)?;
            }
        }
    }
    Ok(())
}

fn is_for_one_address(listen: &str) -> bool {
    listen.parse::<std::net::SocketAddr>().is_ok_and(|bind| !bind.ip().is_unspecified())
}

/// The version before named everything after platform and environment.
fn identities(world: &World) -> Result<(), DeployError> {
    let known: BTreeSet<Scope> = world.identities()?.into_iter().map(|identity| identity.scope).collect();
    let mut missing: BTreeMap<Scope, (PathBuf, Vec<String>)> = BTreeMap::new();
    for release in world.all_releases()?.into_iter().filter(|release| !known.contains(&release.scope)) {
        missing.entry(release.scope).or_default();
    }
    for platform in world.platforms()?.into_iter().filter(|platform| !known.contains(&platform.scope)) {
        missing.insert(platform.scope, (platform.dir, platform.volumes));
    }
    for (scope, (dir, volumes)) in missing {
        let since = KnownVolume { since_ms: world.clock.now_ms(), ..KnownVolume::default() };
        let project = scope.project();
        let declared = volumes.clone();
        let services = world.serving(&scope)?.keys().map(ToString::to_string).collect();
        let volumes = volumes.into_iter().map(|volume| (volume, since.clone())).collect();
        let (own, external) = (BTreeMap::new(), Vec::new());
        world.save_identity(&Identity {
            scope,
            dir,
            project,
            volumes,
            own,
            declared,
            external,
            services,
            with_compose: false,
        })?;
    }
    Ok(())
}

/// What a release writes, by its stored definition. One that may not run twice is not replaced side by side any more.
async fn writes(world: &World, mut release: Release) -> Result<(), DeployError> {
    let service = ServiceName::parse(&release.definition.service).ok();
    let project = places::definition(world, &release)?.and_then(|document| plain(document).ok());
    let (data, database) = match (service, project) {
        (Some(service), Some(project)) => {
            let images = [(service.clone(), release.image.id.clone())].into();
            let facts = facts::look(world, &project, &images).await?;
            spec::resolve::data_of(&project, &service, &facts)
        }
        _ => (Vec::new(), None),
    };
    release.plan.data = Some(data);
    release.plan.database = database;
    let strategy = release.plan.strategy;
    if strategy.runs_two() && release.plan.replicas <= 1 && !release.plan.guarded().is_empty() {
        release.plan.reasons.insert(STRATEGY_BEFORE.to_owned(), strategy.to_string());
        release.plan.strategy = Strategy::Exclusive;
    }
    world.save_release(&release)
}

/// A definition as a project; dollars in it were doubled for Compose.
fn plain(document: Value) -> Result<Project, spec::Problems> {
    fn single(value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(text.replace("$$", "$")),
            Value::Array(items) => items.into_iter().map(single).collect(),
            Value::Object(fields) => {
                Value::Object(fields.into_iter().map(|(key, value)| (key, single(value))).collect())
            }
            other => other,
        }
    }
    Project::from_json(single(document))
}
