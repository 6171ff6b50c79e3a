//! Whether a release can be started again: a rollback that finds something gone halfway would be worse than none.

use std::path::Path;

use serde_json::{Map, Value};

use crate::error::DeployError;
use crate::release::Release;
use crate::world::World;

/// Looks for everything the release needs, and names all that is missing at once.
pub async fn check(world: &World, release: &Release) -> Result<(), DeployError> {
    let mut missing = Vec::new();
    if crate::images::find(world, &release.image.id).await?.is_none() {
        missing.push(format!("image {} is no longer on this machine", release.image.reference));
    }
    let definition = world.root.read(&release.definition.file);
    let definition = definition
        .map_err(|source| DeployError::State { operation: format!("read the definition of {}", release.id), source })?;
    let document = definition.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    match document {
        Some(document) => missing.extend(outside(world, release, &document).await?),
        None => missing.push("its definition is gone".into()),
    }
    match missing.is_empty() {
        true => Ok(()),
        false => Err(DeployError::Refused(format!(
            "{} cannot be started again: {}; `mainstay up` makes what the files say, or says what is lost",
            release.id,
            missing.join("; ")
        ))),
    }
}

/// What the definition expects to be there already.
async fn outside(world: &World, release: &Release, document: &Value) -> Result<Vec<String>, DeployError> {
    let mut missing = Vec::new();
    let failed = |what: String| move |source| DeployError::Docker { operation: format!("look for {what}"), source };
    for name in names(document, "networks") {
        if world.docker.network(&name).await.map_err(failed(format!("network `{name}`")))?.is_none() {
            missing.push(format!("network {name} is gone"));
        }
    }
    for name in names(document, "volumes") {
        if world.docker.volume(&name).await.map_err(failed(format!("volume `{name}`")))?.is_none() {
            missing.push(format!("volume {name} is gone"));
        }
    }
    for (path, what) in paths(document, &release.definition.service) {
        if !Path::new(&path).exists() {
            missing.push(format!("{what} `{path}` is gone"));
        }
    }
    Ok(missing)
}

/// Real names of what the document refers to; the default network of a host needs no looking for.
pub(crate) fn names(document: &Value, kind: &str) -> Vec<String> {
    let entries = section(document, kind).into_iter().flatten();
    entries.filter_map(|(_, entry)| entry.get("name").and_then(Value::as_str).map(str::to_owned)).collect()
}

/// Files and folders of the host: mounts, and what Compose calls secrets and configs.
fn paths(document: &Value, service: &str) -> Vec<(String, String)> {
    let mut paths = Vec::new();
    let own = document.get("services").and_then(|services| services.get(service));
    let used = |kind: &str, name: &str| {
        let list = own.and_then(|own| own.get(kind)).and_then(Value::as_array);
        let names =
            |item: &Value| item.as_str() == Some(name) || item.get("source").and_then(Value::as_str) == Some(name);
        list.is_some_and(|list| list.iter().any(names))
    };
    for (kind, word) in [("secrets", "secret file"), ("configs", "config file")] {
        for (name, entry) in section(document, kind).into_iter().flatten() {
            if let Some(file) = entry.get("file").and_then(Value::as_str).filter(|_| used(kind, name)) {
                paths.push((file.replace("$$", "$"), word.to_owned()));
            }
        }
    }
    let mounts = own.and_then(|own| own.get("volumes")).and_then(Value::as_array);
    for mount in mounts.into_iter().flatten().filter(|mount| mount.get("type").and_then(Value::as_str) == Some("bind"))
    {
        if let Some(source) = mount.get("source").and_then(Value::as_str) {
            paths.push((source.replace("$$", "$"), "mounted path".to_owned()));
        }
    }
    paths
}

fn section<'a>(document: &'a Value, kind: &str) -> Option<&'a Map<String, Value>> {
    document.get(kind).and_then(Value::as_object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_definition_expects_from_its_host_is_found_and_what_others_use_is_not() {
        let document = json!({
            "services": { "web-r1": {
                "secrets": [{ "source": "key" }],
                "volumes": [{ "type": "bind", "source": "/srv/a$$b", "target": "/a" }, { "type": "volume", "source": "data" }],
            } },
            "networks": { "default": { "external": true, "name": "shop-production_default" } },
            "volumes": { "data": { "external": true, "name": "shop-production_data" } },
            "secrets": { "key": { "file": "/srv/key" }, "other": { "file": "/srv/other" } },
        });
        assert_eq!(names(&document, "networks"), ["shop-production_default"]);
        assert_eq!(names(&document, "volumes"), ["shop-production_data"]);
        let paths: Vec<String> = paths(&document, "web-r1").into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["/srv/key", "/srv/a$b"]);
    }
}
