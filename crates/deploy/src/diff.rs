//! What differs between two releases of a service, or between what serves and what the files say now.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use spec::diff::{Change, ChangeKind};
use spec::{HostSize, ReleaseId, ServiceName, ServicePlan};

use crate::error::DeployError;
use crate::names::Scope;
use crate::release::{Release, origin};
use crate::world::World;
use crate::{images, load, shown};

/// Which comparison is meant.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "of")]
pub enum Request {
    /// Two releases; without the first the one that served before, without the second the serving one.
    Releases { scope: Scope, service: ServiceName, from: Option<ReleaseId>, to: Option<ReleaseId> },
    /// What the files say now, beside what serves; all services when none is named.
    Files { source: load::Source, services: Vec<ServiceName> },
}

/// Two states of one service and what lies between them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Difference {
    pub service: ServiceName,
    pub from: String,
    pub to: String,
    pub changes: Vec<Change>,
}

pub async fn diff(world: &World, request: &Request, host: &HostSize) -> Result<Vec<Difference>, DeployError> {
    match request {
        Request::Releases { scope, service, from, to } => {
            between(world, scope, service, from.as_ref(), to.as_ref()).map(|one| vec![one])
        }
        Request::Files { source, services } => with_files(world, source, services, host).await,
    }
}

fn between(
    world: &World,
    scope: &Scope,
    service: &ServiceName,
    from: Option<&ReleaseId>,
    to: Option<&ReleaseId>,
) -> Result<Difference, DeployError> {
    let releases = world.releases(scope, Some(service))?;
    let serving = world.serving_of(scope, service)?;
    let known = || releases.iter().map(|release| release.id.to_string()).collect::<Vec<_>>().join(", ");
    let named = |id: &ReleaseId| {
        let found = releases.iter().find(|release| release.id == *id);
        found.ok_or_else(|| DeployError::Unknown { what: format!("release {id} of `{service}`"), known: known() })
    };
    let to = match (to, &serving) {
        (Some(id), _) => named(id)?,
        (None, Some(serving)) => serving,
        (None, None) => {
            return Err(DeployError::Unknown { what: format!("a serving release of `{service}`"), known: known() });
        }
    };
    let from = match from {
        Some(id) => named(id)?,
        None => previous(&releases, to).ok_or_else(|| DeployError::Unknown {
            what: format!("a release of `{service}` that served before {}", to.id),
            known: known(),
        })?,
    };
    Ok(Difference {
        service: service.clone(),
        from: from.id.to_string(),
        to: to.id.to_string(),
        changes: spec::diff::values(&whole(world, from)?, &whole(world, to)?),
    })
}

/// The one that served last before this one.
fn previous<'a>(releases: &'a [Release], to: &Release) -> Option<&'a Release> {
    let before = releases.iter().filter(|release| release.id != to.id && release.switched_ms.is_some());
    before.filter(|release| release.switched_ms <= to.switched_ms).max_by_key(|release| release.switched_ms)
}

/// Everything that makes a release, in a form that may be shown.
fn whole(world: &World, release: &Release) -> Result<Value, DeployError> {
    let origin = &release.origin;
    Ok(json!({
        "image": { "reference": release.image.reference, "id": release.image.id, "digests": origin.digests },
        "definition": world.shown(release)?,
        "operation": operated(&release.plan),
        "files": origin.files,
        "schema": origin.schema,
        "commit": origin.commit.as_ref().map(origin::Commit::short),
        "mainstay": origin.mainstay,
    }))
}

/// How it is operated, without the sentences.
fn operated(plan: &ServicePlan) -> Value {
    let mut value = serde_json::to_value(plan).unwrap_or_default();
    if let Some(map) = value.as_object_mut() {
        for key in ["name", "reason", "reasons", "warnings"] {
            map.remove(key);
        }
    }
    value
}

async fn with_files(
    world: &World,
    source: &load::Source,
    services: &[ServiceName],
    host: &HostSize,
) -> Result<Vec<Difference>, DeployError> {
    let loaded = load::load(world, source, host).await?;
    let serving = world.serving(&loaded.scope)?;
    let known = || loaded.platform.services.iter().map(|plan| plan.name.to_string()).collect::<Vec<_>>().join(", ");
    for service in services {
        if loaded.platform.service(service.as_ref()).is_none() && !serving.contains_key(service) {
            return Err(DeployError::Unknown { what: format!("service `{service}`"), known: known() });
        }
    }
    let wanted = |name: &ServiceName| services.is_empty() || services.contains(name);
    let images = images::wanted(world, &loaded, &Default::default(), &serving).await?;
    let files = origin::of(world, &loaded, &source.dir).await.files;
    let mut differences = Vec::new();
    for plan in loaded.platform.services.iter().filter(|plan| wanted(&plan.name)) {
        let image = images.get(&plan.name);
        let id = image.and_then(|image| image.id.clone()).unwrap_or_default();
        let source = loaded.source(plan);
        let rendered = source.render(&ReleaseId::new(0), &id, "", world.root.path());
        let new = json!({
            "image": { "reference": image.map(|image| image.reference.clone()), "id": id },
            "definition": shown::of(&rendered.document, &rendered.service, &loaded.known, &world.salt),
            "operation": operated(plan),
            "files": files,
        });
        let release = serving.get(&plan.name);
        let old = match release {
            Some(release) => comparable(whole(world, release)?),
            None => Value::Null,
        };
        differences.push(difference(&plan.name, release, &old, &new));
    }
    for (name, release) in serving.iter().filter(|(name, _)| wanted(name)) {
        if loaded.platform.service(name.as_ref()).is_none() {
            differences.push(difference(name, Some(release), &comparable(whole(world, release)?), &Value::Null));
        }
    }
    Ok(differences)
}

fn difference(service: &ServiceName, release: Option<&Release>, old: &Value, new: &Value) -> Difference {
    Difference {
        service: service.clone(),
        from: release.map_or_else(|| "nothing".into(), |release| release.id.to_string()),
        to: "the files".into(),
        changes: spec::diff::values(old, new),
    }
}

/// Only what the files have a word about.
fn comparable(mut whole: Value) -> Value {
    if let Some(map) = whole.as_object_mut() {
        map.retain(|key, _| ["image", "definition", "operation", "files"].contains(&key.as_str()));
    }
    if let Some(image) = whole.get_mut("image").and_then(Value::as_object_mut) {
        image.remove("digests");
    }
    whole
}

/// As a person reads it: `+` came, `-` went, `~` is something else.
pub fn text(difference: &Difference) -> String {
    let mut out = format!("{}: {} → {}\n", difference.service, difference.from, difference.to);
    if difference.changes.is_empty() {
        out.push_str("  no difference\n");
    }
    for change in &difference.changes {
        let path = if change.path.is_empty() { "the whole service" } else { &change.path };
        let words = match (&change.old, &change.new) {
            (Some(old), Some(new)) => format!("{} → {}", value(old), value(new)),
            (Some(one), None) | (None, Some(one)) if !change.path.is_empty() => value(one),
            _ => String::new(),
        };
        out.push_str(format!("  {} {path}  {words}", sign(change.kind)).trim_end());
        out.push('\n');
    }
    out
}

fn sign(kind: ChangeKind) -> char {
    kind.sign()
}

/// Strings without quotes; ids of images short enough to read.
fn value(value: &Value) -> String {
    match value {
        Value::String(text) => match text.strip_prefix("sha256:") {
            Some(digits) => digits.chars().take(12).collect(),
            None => text.clone(),
        },
        Value::Null => "nothing".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_what_went_and_what_changed_are_told_apart() {
        let old = json!({ "image": { "id": "sha256:0123456789abcdef" }, "definition": { "user": "app" } });
        let new = json!({ "image": { "id": "sha256:fedcba9876543210" }, "definition": { "tty": true } });
        let web = ServiceName::parse("web").unwrap();
        let one =
            Difference { service: web, from: "r1".into(), to: "r2".into(), changes: spec::diff::values(&old, &new) };
        insta::assert_snapshot!(text(&one), @r"
        web: r1 → r2
          + definition.tty  true
          - definition.user  app
          ~ image.id  0123456789ab → fedcba987654
        ");
        insta::assert_snapshot!(text(&Difference { changes: vec![], ..one }), @r"
        web: r1 → r2
          no difference
        ");
    }
}
