//! The same again: a new release with the image and definition of the serving one.
//!
//! It goes through the same saga as a deploy, so a service that runs side by side is never away, and requests to one
//! that does not wait until it is back.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use spec::{ReleaseId, ServiceName, Strategy};

use crate::account::Deed;
use crate::error::DeployError;
use crate::names::{self, Scope};
use crate::release::{Release, State};
use crate::render::hosts;
use crate::report::{Outcome, Report, ServiceReport};
use crate::roll_out::{Params, after, must_be_alone};
use crate::rollback::preflight;
use crate::shown;
use crate::world::World;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    pub scope: Scope,
    pub service: ServiceName,
    pub by: String,
    #[serde(default)]
    pub why: String,
}

/// What a restart would do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Way {
    pub service: ServiceName,
    pub from: ReleaseId,
    pub strategy: Strategy,
    /// Whether the old container serves until the new one does.
    pub side_by_side: bool,
    /// Those that are restarted after it, because their `depends_on` says `restart: true`.
    #[serde(default)]
    pub then: Vec<ServiceName>,
}

/// Finds what serves and proves that it can be had once more, before anything is touched.
pub async fn way(world: &World, request: &Request) -> Result<Way, DeployError> {
    let serving = serving(world, request)?;
    preflight::check(world, &serving).await?;
    Ok(Way {
        service: serving.service.clone(),
        strategy: serving.plan.strategy,
        side_by_side: serving.side_by_side(),
        then: then(world, request)?,
        from: serving.id,
    })
}

pub async fn restart(world: &World, operation: &str, request: &Request) -> Result<Report, DeployError> {
    let began = world.clock.monotonic();
    let way = way(world, request).await?;
    let mut reports = vec![one(world, operation, request, began).await?];
    for service in way.then {
        if reports.iter().any(|report| report.result != Outcome::Done) {
            break;
        }
        let why = format!("`{}` was restarted, and `depends_on` says `restart: true`", request.service);
        let request = Request { service, why, ..request.clone() };
        reports.push(one(world, operation, &request, began).await?);
    }
    let took = world.clock.monotonic().saturating_sub(began);
    Ok(Report::new(request.scope.clone(), reports, u64::try_from(took.as_millis()).unwrap_or(u64::MAX)))
}

async fn one(
    world: &World,
    operation: &str,
    request: &Request,
    began: std::time::Duration,
) -> Result<ServiceReport, DeployError> {
    let serving = serving(world, request)?;
    let release = again(world, &serving, request)?;
    let detail = json!({ "service": request.service, "from": serving.id, "to": release.id, "why": request.why });
    world.account(Deed { by: &request.by, action: "restart", scope: &request.scope, detail })?;
    let alone = must_be_alone(&release, Some(&serving));
    let params = Params {
        operation: operation.to_owned(),
        release,
        previous: Some(serving.id),
        previous_copies: serving.copies,
        start: true,
        migrate: false,
        // The same image and definition: there is nothing new to judge.
        soak: false,
        canary: None,
        alone,
        leaving: Vec::new(),
    };
    after::run(world, params, began).await
}

/// Who is restarted after it, and after those in turn.
fn then(world: &World, request: &Request) -> Result<Vec<ServiceName>, DeployError> {
    let serving = world.serving(&request.scope)?;
    let mut all = vec![request.service.clone()];
    let mut at = 0;
    while let Some(service) = all.get(at).cloned() {
        let follows = serving.values().filter(|release| release.plan.restart_with.contains(&service));
        let new: Vec<ServiceName> =
            follows.map(|release| release.service.clone()).filter(|name| !all.contains(name)).collect();
        all.extend(new);
        at += 1;
    }
    Ok(all.split_off(1))
}

fn serving(world: &World, request: &Request) -> Result<Release, DeployError> {
    let known = || world.serving(&request.scope).map(|all| names::list(all.keys()));
    match world.serving_of(&request.scope, &request.service)? {
        Some(serving) => Ok(serving),
        None => Err(DeployError::Unknown { what: format!("a running service `{}`", request.service), known: known()? }),
    }
}

/// A release of its own, whose definition differs from the old one's in nothing but its names.
pub(crate) fn again(world: &World, old: &Release, request: &Request) -> Result<Release, DeployError> {
    let failed = |operation: String| move |source| DeployError::State { operation, source };
    let read = |file: &str| {
        let content = world.root.read(file).map_err(failed(format!("read the definition of {}", old.id)))?;
        Ok::<_, DeployError>(content.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()))
    };
    let gone = || DeployError::Refused(format!("the definition of {} is gone; `mainstay up` makes a new one", old.id));
    let document = read(&old.definition.file)?.ok_or_else(gone)?;
    let id = world.next_release(&old.scope)?;
    let container = old.scope.container(&old.service, &id);
    let is_called_through_the_edge =
        old.plan.port.is_some() && !matches!(old.plan.strategy, Strategy::Keep | Strategy::Job);
    let has_own = old.definition.service == format!("{}-{}", old.service, old.id);
    let key = match has_own || is_called_through_the_edge {
        true => format!("{}-{id}", old.service),
        false => old.definition.service.clone(),
    };
    let document =
        renamed(document, &old.definition.service, &Names { key: &key, container: &container, release: &id });
    let platform = world.platform(&old.scope)?;
    let internals = platform.map(|platform| platform.internals).unwrap_or_default();
    let document = hosts::without(document, &key, &old.service, &internals);
    let file = format!("releases/{}/{container}.json", old.scope.project());
    let view = read(&shown::file(&old.definition.file))?;
    for (file, document) in [(file.clone(), Some(document)), (shown::file(&file), view)] {
        let Some(document) = document else { continue };
        let text = serde_json::to_vec_pretty(&document).unwrap_or_default();
        world.root.write_atomic(&file, &text, 0o600).map_err(failed(format!("write the definition of {container}")))?;
    }
    let mut release = old.clone();
    (release.definition.file, release.definition.service) = (file, key);
    (release.id, release.container, release.state) = (id, container, State::Prepared);
    release.targets.clear();
    release.addresses.clear();
    (release.making_way_for, release.guests) = (None, None);
    release.gateway_names = false;
    (release.switched_ms, release.parked_until_ms, release.healthy_after_ms) = (None, None, None);
    release.created_ms = world.clock.now_ms();
    release.by.clone_from(&request.by);
    release.why = if request.why.is_empty() { format!("restart of {}", old.id) } else { request.why.clone() };
    world.save_release(&release)?;
    Ok(release)
}

struct Names<'a> {
    key: &'a str,
    container: &'a str,
    release: &'a ReleaseId,
}

fn renamed(mut document: Value, old: &str, new: &Names<'_>) -> Value {
    if let Some(name) = document.get_mut("name") {
        *name = json!(new.container);
    }
    let Some(services) = document.get_mut("services").and_then(Value::as_object_mut) else { return document };
    let Some(mut service) = services.remove(old) else { return document };
    if let Some(map) = service.as_object_mut() {
        map.insert("container_name".into(), json!(new.container));
        match map.get_mut("labels") {
            Some(Value::Object(labels)) => drop(labels.insert(names::RELEASE.into(), json!(new.release))),
            Some(Value::Array(labels)) => {
                labels.retain(|label| !label.as_str().is_some_and(|text| text.starts_with(names::RELEASE)));
                labels.push(json!(format!("{}={}", names::RELEASE, new.release)));
            }
            _ => {}
        }
    }
    // Further copies are described again when they start.
    services.clear();
    services.insert(new.key.to_owned(), service);
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_made_again_differs_in_its_names_alone() {
        let old = json!({
            "name": "shop-production-web-r1",
            "services": { "web-r1": {
                "container_name": "shop-production-web-r1", "user": "app",
                "labels": { "dev.mainstay.release": "r1", "dev.mainstay.definition": "h" },
            }, "web-r1-2": { "container_name": "shop-production-web-r1-2" } },
            "networks": { "default": { "external": true } },
        });
        let release = ReleaseId::new(2);
        let new =
            renamed(old, "web-r1", &Names { key: "web-r2", container: "shop-production-web-r2", release: &release });
        assert_eq!(
            new,
            json!({
                "name": "shop-production-web-r2",
                "services": { "web-r2": {
                    "container_name": "shop-production-web-r2", "user": "app",
                    "labels": { "dev.mainstay.release": "r2", "dev.mainstay.definition": "h" },
                } },
                "networks": { "default": { "external": true } },
            })
        );
    }
}
