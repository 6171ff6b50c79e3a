//! One service of the Compose project.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::{Healthcheck, Mount, Port, Restart, ports, value};
use crate::ids::ServiceName;
use crate::units::Bytes;

/// One service: typed look-ups for what Mainstay decides on, and everything else in `raw`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Service {
    /// The image it runs.
    pub image: Option<String>,
    /// Whether the image is built here.
    pub build: bool,
    /// The words of its command; empty when the image's own is used.
    pub command: Vec<String>,
    /// The words of its entrypoint; empty when the image's own is used.
    pub entrypoint: Vec<String>,
    /// What must be there before it starts.
    pub depends_on: BTreeMap<ServiceName, Condition>,
    /// Those of `depends_on` that may be missing.
    pub optional: BTreeSet<ServiceName>,
    /// Those of `depends_on` after whose restart it is restarted, too.
    pub restart_with: BTreeSet<ServiceName>,
    /// The networks it is on, by their name in the file.
    pub networks: Vec<String>,
    /// The ports it publishes on the host.
    pub ports: Vec<Port>,
    /// The TCP ports it offers to other containers.
    pub expose: Vec<u16>,
    /// What is mounted into it.
    pub volumes: Vec<Mount>,
    /// The health check it declares.
    pub healthcheck: Option<Healthcheck>,
    /// How many copies of it run.
    pub replicas: u32,
    /// Its CPU limit.
    pub cpus: Option<f64>,
    /// Its memory limit.
    pub memory: Option<Bytes>,
    /// A fixed name for its container.
    pub container_name: Option<String>,
    /// `host`, `service:name` and the like.
    pub network_mode: Option<String>,
    /// The profiles it belongs to; without any it always runs.
    pub profiles: Vec<String>,
    /// When Docker restarts it.
    pub restart: Restart,
    /// How long it may take to stop.
    pub stop_grace_period: Option<Duration>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What others call it beside its own name: a fixed container name, and the aliases of its networks.
    pub other_names: BTreeSet<String>,
    /// What it calls others: their names by the names that it has for them.
    pub links: BTreeMap<String, ServiceName>,
    /// An address or a hardware address of its own, as it is written.
    pub fixed_address: Option<String>,
    /// When its image is pulled.
    pub pull_policy: Option<String>,
    /// The names of its environment variables; the values are not kept apart, they may be secret.
    pub environment: Vec<String>,
    /// Whether it asks for a graphics card.
    pub gpus: bool,
    /// Everything that Compose says about it.
    pub raw: Value,
}

/// What a dependency must have reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It has been started.
    Started,
    /// Its health check passes.
    Healthy,
    /// It has ended well.
    CompletedSuccessfully,
}

impl Service {
    /// Whether it runs with these profiles; `*` switches every profile on.
    /// One of which there are to be no copies does not.
    pub fn is_active(&self, profiles: &[String]) -> bool {
        self.replicas > 0 && self.has_profile(profiles)
    }

    fn has_profile(&self, profiles: &[String]) -> bool {
        self.profiles.is_empty() || profiles.iter().any(|on| on == "*" || self.profiles.contains(on))
    }

    pub(super) fn from_raw(raw: Value) -> Service {
        let get = |key: &str| raw.get(key);
        let at = |path: &str| raw.pointer(path);
        Service {
            image: get("image").and_then(value::text),
            build: get("build").is_some_and(|build| !build.is_null()),
            command: words(get("command")),
            entrypoint: words(get("entrypoint")),
            depends_on: depends_on(get("depends_on")),
            optional: told(get("depends_on"), "required", false),
            restart_with: told(get("depends_on"), "restart", true),
            networks: value::texts(get("networks")),
            ports: Port::all(get("ports")),
            expose: ports::exposed(get("expose")),
            volumes: Mount::all(get("volumes")),
            healthcheck: Healthcheck::read(get("healthcheck")),
            replicas: at("/deploy/replicas").or(get("scale")).and_then(value::whole).map_or(1, |n| n.min(1000) as u32),
            cpus: at("/deploy/resources/limits/cpus")
                .or(get("cpus"))
                .and_then(value::number)
                .filter(|cpus| *cpus > 0.0),
            memory: at("/deploy/resources/limits/memory").or(get("mem_limit")).and_then(value::bytes),
            container_name: get("container_name").and_then(value::text),
            network_mode: get("network_mode").and_then(value::text),
            profiles: value::texts(get("profiles")),
            restart: Restart::read(&raw),
            stop_grace_period: get("stop_grace_period").and_then(value::duration),
            labels: labels(get("labels")),
            other_names: other_names(&raw),
            links: links(get("links")),
            fixed_address: fixed_address(&raw),
            pull_policy: get("pull_policy").and_then(value::text),
            environment: value::texts(get("environment")).iter().map(|entry| name_of(entry)).collect(),
            gpus: wants_gpu(&raw),
            raw,
        }
    }
}

/// A command as words; a text is split at spaces, which is enough to recognise a program.
fn words(command: Option<&Value>) -> Vec<String> {
    match command {
        Some(Value::String(line)) => line.split_whitespace().map(str::to_owned).collect(),
        other => value::texts(other),
    }
}

fn depends_on(listed: Option<&Value>) -> BTreeMap<ServiceName, Condition> {
    let condition = |name: &str| match listed?.get(name)?.get("condition")?.as_str()? {
        "service_healthy" => Some(Condition::Healthy),
        "service_completed_successfully" => Some(Condition::CompletedSuccessfully),
        _ => None,
    };
    let read = |name: &String| Some((ServiceName::parse(name).ok()?, condition(name).unwrap_or(Condition::Started)));
    value::texts(listed).iter().filter_map(read).collect()
}

/// Those of `depends_on` at which this key has this value.
fn told(listed: Option<&Value>, key: &str, wanted: bool) -> BTreeSet<ServiceName> {
    let Some(listed) = listed.and_then(Value::as_object) else { return BTreeSet::new() };
    let says = |entry: &Value| entry.get(key).and_then(Value::as_bool) == Some(wanted);
    listed.iter().filter(|(_, entry)| says(entry)).filter_map(|(name, _)| ServiceName::parse(name).ok()).collect()
}

fn labels(listed: Option<&Value>) -> BTreeMap<String, String> {
    match listed {
        Some(Value::Object(fields)) => {
            fields.iter().map(|(key, text)| (key.clone(), value::text(text).unwrap_or_default())).collect()
        }
        other => value::texts(other)
            .iter()
            .map(|entry| entry.split_once('=').unwrap_or((entry, "")))
            .map(|(key, text)| (key.to_owned(), text.to_owned()))
            .collect(),
    }
}

fn name_of(entry: &str) -> String {
    entry.split('=').next().unwrap_or(entry).to_owned()
}

fn other_names(raw: &Value) -> BTreeSet<String> {
    let networks = raw.get("networks").and_then(Value::as_object).into_iter().flatten();
    let aliases = networks.flat_map(|(_, network)| value::texts(network.get("aliases")));
    raw.get("container_name").and_then(value::text).into_iter().chain(aliases).collect()
}

/// `service` or `service:alias`.
fn links(listed: Option<&Value>) -> BTreeMap<String, ServiceName> {
    let texts = value::texts(listed);
    let pair = |text: &String| {
        let (service, alias) = text.split_once(':').unwrap_or((text, text));
        Some((alias.to_owned(), ServiceName::parse(service).ok()?))
    };
    texts.iter().filter_map(pair).collect()
}

fn fixed_address(raw: &Value) -> Option<String> {
    let of = |fields: &Value, keys: &[&str]| {
        keys.iter().find_map(|key| Some(format!("{key}: {}", value::text(fields.get(key)?)?)))
    };
    let networks = raw.get("networks").and_then(Value::as_object).into_iter().flatten();
    let on_network = networks
        .map(|(_, network)| network)
        .find_map(|network| of(network, &["ipv4_address", "ipv6_address", "mac_address"]));
    on_network.or_else(|| of(raw, &["mac_address"]))
}

fn wants_gpu(raw: &Value) -> bool {
    let asked = raw.get("gpus").is_some_and(|gpus| !gpus.is_null());
    let reserved =
        raw.pointer("/deploy/resources/reservations/devices").and_then(Value::as_array).is_some_and(|devices| {
            devices.iter().any(|device| value::texts(device.get("capabilities")).iter().any(|c| c == "gpu"))
        });
    asked || reserved
}
