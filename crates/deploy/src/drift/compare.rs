//! A definition beside a container: pure.

use std::collections::{BTreeMap, BTreeSet};

use machine::docker::{ContainerDetail, Image};
use serde_json::Value;
use spec::Bytes;

/// What a definition asks of its container.
#[derive(Debug, Default)]
pub struct Wanted {
    image: String,
    environment: BTreeMap<String, String>,
    /// Variables that are named without a value: unset, whatever the image says.
    unset: BTreeSet<String>,
    labels: BTreeMap<String, String>,
    /// `None` when the service uses somebody else's network.
    networks: Option<BTreeSet<String>>,
    memory: Option<u64>,
    nano_cpus: Option<u64>,
}

impl Wanted {
    pub fn read(document: &Value, service: &str, image: &str) -> Wanted {
        let own = document.get("services").and_then(|services| services.get(service)).unwrap_or(&Value::Null);
        let limits = own.pointer("/deploy/resources/limits").unwrap_or(&Value::Null);
        Wanted {
            image: image.to_owned(),
            environment: pairs(own.get("environment")),
            unset: unset(own.get("environment")),
            labels: pairs(own.get("labels")),
            networks: own.get("network_mode").is_none().then(|| networks(document, own)),
            memory: limits.get("memory").and_then(number).map(|bytes| bytes as u64),
            nano_cpus: limits.get("cpus").and_then(number).map(|cpus| (cpus * 1e9).round() as u64),
        }
    }
}

pub fn differences(wanted: &Wanted, found: &ContainerDetail, image: Option<&Image>) -> Vec<String> {
    let mut lines = Vec::new();
    if found.image_id != wanted.image {
        lines.push(format!("it runs image {} instead of {}", short(&found.image_id), short(&wanted.image)));
    }
    lines.extend(variables(wanted, found, image));
    for (key, value) in &wanted.labels {
        match found.labels.get(key) {
            Some(now) if now == value => {}
            Some(now) => lines.push(format!("label {key} is `{now}` instead of `{value}`")),
            None => lines.push(format!("label {key} is gone")),
        }
    }
    lines.extend(limits(wanted, found));
    if let Some(networks) = &wanted.networks {
        let now: BTreeSet<String> = found.networks.keys().cloned().collect();
        lines.extend(networks.difference(&now).map(|network| format!("it is not on the network {network}")));
        lines.extend(now.difference(networks).map(|network| format!("it is also on the network {network}")));
    }
    lines
}

fn variables(wanted: &Wanted, found: &ContainerDetail, image: Option<&Image>) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, value) in &wanted.environment {
        match found.env.get(name) {
            Some(now) if now == value => {}
            Some(_) => lines.push(format!("variable {name} has another value")),
            None => lines.push(format!("variable {name} is gone")),
        }
    }
    let Some(image) = image else { return lines };
    let of_image = |name: &str, value: &str| image.env.get(name) == Some(value);
    for (name, value) in found.env.iter().filter(|(name, _)| !wanted.environment.contains_key(*name)) {
        let is_unset = value.is_empty() && wanted.unset.contains(name);
        if !is_unset && !of_image(name, value) {
            lines.push(format!("variable {name} was added or changed"));
        }
    }
    lines
}

fn limits(wanted: &Wanted, found: &ContainerDetail) -> Vec<String> {
    let memory = |bytes: Option<u64>| bytes.map_or_else(|| "unlimited".to_owned(), |bytes| Bytes(bytes).to_string());
    let cpus = |nano: Option<u64>| nano.map_or_else(|| "unlimited".to_owned(), |nano| (nano as f64 / 1e9).to_string());
    let mut lines = Vec::new();
    if found.memory != wanted.memory {
        lines.push(format!("memory limit {} instead of {}", memory(found.memory), memory(wanted.memory)));
    }
    if found.nano_cpus != wanted.nano_cpus {
        lines.push(format!("CPU limit {} instead of {}", cpus(found.nano_cpus), cpus(wanted.nano_cpus)));
    }
    lines
}

/// A mapping or a list of `key=value`; a key without a value is somebody else's to fill.
fn pairs(value: Option<&Value>) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.replace("$$", "$")),
        Value::Null => None,
        other => Some(other.to_string()),
    };
    match value {
        Some(Value::Object(map)) => map.iter().filter_map(|(key, value)| Some((key.clone(), text(value)?))).collect(),
        Some(Value::Array(list)) => list
            .iter()
            .filter_map(|item| item.as_str()?.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.replace("$$", "$")))
            .collect(),
        _ => BTreeMap::new(),
    }
}

fn unset(value: Option<&Value>) -> BTreeSet<String> {
    match value {
        Some(Value::Object(map)) => {
            map.iter().filter(|(_, value)| value.is_null()).map(|(key, _)| key.clone()).collect()
        }
        Some(Value::Array(list)) => {
            list.iter().filter_map(Value::as_str).filter(|item| !item.contains('=')).map(str::to_owned).collect()
        }
        _ => BTreeSet::new(),
    }
}

fn networks(document: &Value, own: &Value) -> BTreeSet<String> {
    let keys: Vec<&str> = match own.get("networks") {
        Some(Value::Object(map)) => map.keys().map(String::as_str).collect(),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let name = |key: &str| {
        let named = document.get("networks").and_then(|networks| networks.get(key)?.get("name")?.as_str());
        named.unwrap_or(key).to_owned()
    };
    keys.into_iter().map(name).collect()
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

fn short(id: &str) -> String {
    id.trim_start_matches("sha256:").chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::docker::{Attachment, Environment, Restart, State};
    use serde_json::json;

    fn wanted() -> Wanted {
        let document = json!({
            "services": { "web-r1": {
                "environment": { "MODE": "fast", "PRICE": "5$$", "FROM_SHELL": null },
                "labels": { "team": "a" },
                "networks": { "default": null },
                "deploy": { "resources": { "limits": { "memory": "67108864", "cpus": 0.5 } } },
            } },
            "networks": { "default": { "external": true, "name": "shop_default" } },
        });
        Wanted::read(&document, "web-r1", "sha256:aaa")
    }

    fn detail() -> ContainerDetail {
        ContainerDetail {
            id: "c".into(),
            name: "web".into(),
            image: "sha256:aaa".into(),
            image_id: "sha256:aaa".into(),
            labels: [("team".to_owned(), "a".to_owned())].into(),
            state: State::Running,
            health: None,
            exit_code: None,
            oom_killed: false,
            restart_count: 0,
            restart: Restart::No,
            created_ms: 0,
            started_ms: None,
            finished_ms: None,
            networks: [("shop_default".to_owned(), Attachment::default())].into(),
            pid: None,
            error: None,
            memory: Some(67_108_864),
            nano_cpus: Some(500_000_000),
            env: Environment::new(["MODE=fast", "PRICE=5$", "PATH=/bin", "FROM_SHELL"]),
            ..ContainerDetail::default()
        }
    }

    fn image() -> Image {
        Image { id: "sha256:aaa".into(), env: Environment::new(["PATH=/bin"]), ..Image::default() }
    }

    #[test]
    fn a_container_that_is_as_its_definition_made_it_differs_in_nothing() {
        assert_eq!(differences(&wanted(), &detail(), Some(&image())), Vec::<String>::new());
    }

    #[test]
    fn every_change_by_hand_is_named_and_no_value_of_a_variable_is() {
        let mut found = detail();
        found.image_id = "sha256:bbb".into();
        found.labels.insert("team".into(), "b".into());
        found.memory = Some(134_217_728);
        found.nano_cpus = None;
        found.networks = [("other".to_owned(), Attachment::default())].into();
        found.env = Environment::new(["MODE=slow-secret", "PATH=/bin", "EXTRA=hidden"]);
        insta::assert_snapshot!(differences(&wanted(), &found, Some(&image())).join("\n"), @r"
        it runs image bbb instead of aaa
        variable MODE has another value
        variable PRICE is gone
        variable EXTRA was added or changed
        label team is `b` instead of `a`
        memory limit 128 MB instead of 64 MB
        CPU limit unlimited instead of 0.5
        it is not on the network shop_default
        it is also on the network other
        ");
    }
}
