//! The Compose definition of one release.
//!
//! The service is taken as `docker compose config` printed it, so that limits, GPU reservations,
//! secrets, health checks, ulimits and networks go on meaning exactly what Compose says.
//! Only what a release must own is changed: the image is pinned, the container is named after the
//! release, published ports are left to the edge, and networks and volumes are the platform's.

mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use spec::resolve::{is_read, is_read_variable};
use spec::{ReleaseId, ServiceName, ServicePlan, Strategy, compose::Project};

use crate::attached::Attached;
use crate::ground::named_volumes;
use crate::names::{self, Scope};
use crate::own::{self, OwnVolumes};
use crate::places::{self, Claims};
use crate::release::side_by_side;
use crate::stopping;
use service::{end_once, leave_to_the_edge, limits, silent_before, stay_stopped, without_emptiness};

/// What a definition is rendered from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    pub scope: &'a Scope,
    pub project: &'a Project,
    pub attached: &'a Attached,
    pub own: &'a OwnVolumes,
    pub plan: &'a ServicePlan,
}

/// A rendered definition, ready to be written.
#[derive(Debug, Clone)]
pub struct Rendered {
    pub service: String,
    pub document: Value,
}

/// Keys that belong to the build, to other services or to names that a release must own.
const LEFT_OUT: [&str; 9] =
    ["build", "depends_on", "container_name", "profiles", "links", "scale", "cpus", "mem_limit", "develop"];

impl Source<'_> {
    /// The service's own part, without anything that changes from one release to the next.
    fn neutral(&self) -> Map<String, Value> {
        let raw = self.project.services.get(&self.plan.name).map(|service| service.raw.clone());
        let mut service = raw.and_then(|raw| raw.as_object().cloned()).unwrap_or_default();
        for key in LEFT_OUT {
            service.remove(key);
        }
        service.remove("image");
        if self.routed() {
            leave_to_the_edge(&mut service);
        }
        limits(&mut service, self.plan);
        without_emptiness(&mut service);
        stopping::keep_hooks(&mut service);
        if self.plan.strategy == Strategy::Job {
            end_once(&mut service);
        }
        service
    }

    /// What of this machine only one service can have.
    pub fn claims(&self) -> Claims {
        places::claims(&Value::Object(self.neutral()))
    }

    /// Whether the edge stands before this service, so that its ports need not be published.
    pub fn routed(&self) -> bool {
        self.plan.port.is_some() && !matches!(self.plan.strategy, Strategy::Keep | Strategy::Job)
    }

    /// Real names of the networks the service is attached to.
    pub fn networks(&self) -> Vec<String> {
        let Some(service) = self.project.services.get(&self.plan.name) else { return Vec::new() };
        service
            .networks
            .iter()
            .map(|key| real_name(self.project.networks.get(key).map(|n| n.name.as_str()), key))
            .collect()
    }

    /// The keyed hash by which "nothing changed" is told.
    pub fn hash(&self, image_id: &str, salt: &[u8]) -> String {
        self.hash_of(self.neutral(), image_id, salt)
    }

    /// The same as releases from before have it: in some the number of copies left an empty `deploy` behind, and in some
    /// a service whose file says nothing about restarts was given a policy.
    pub fn hashes_before(&self, image_id: &str, salt: &[u8]) -> Vec<String> {
        let now = self.neutral();
        let restarted = match self.plan.strategy {
            Strategy::Job => None,
            _ => silent_before(&now),
        };
        let forms = [self.with_empty_deploy(&now), restarted.clone()];
        let both = restarted.and_then(|service| self.with_empty_deploy(&service));
        forms.into_iter().chain([both]).flatten().map(|service| self.hash_of(service, image_id, salt)).collect()
    }

    fn with_empty_deploy(&self, service: &Map<String, Value>) -> Option<Map<String, Value>> {
        let raw = self.project.services.get(&self.plan.name).and_then(|service| service.raw.get("deploy").cloned());
        let Some(Value::Object(mut deploy)) = raw.filter(|_| !service.contains_key("deploy")) else { return None };
        deploy.remove("replicas");
        let mut service = service.clone();
        (!deploy.is_empty()).then(|| {
            service.insert("deploy".into(), Value::Object(deploy));
            service
        })
    }

    fn hash_of(&self, service: Map<String, Value>, image_id: &str, salt: &[u8]) -> String {
        let mut hasher = Sha256::new();
        hasher.update(salt);
        let mut neutral = json!({
            "image": image_id,
            "service": sorted(&Value::Object(service)),
            "networks": self.networks(),
        });
        let contents = self.project.services.get(&self.plan.name).and_then(|service| self.attached.digests(service));
        if let (Some(contents), Some(fields)) = (contents, neutral.as_object_mut()) {
            fields.insert("contents".into(), contents);
        }
        hasher.update(neutral.to_string().as_bytes());
        let digest = hasher.finalize();
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The whole document for `docker compose -f`.
    ///
    /// `root`: the state folder, where the files of secrets and configs lie.
    pub fn render(&self, release: &ReleaseId, image_id: &str, hash: &str, root: &Path) -> Rendered {
        let container = self.scope.container(&self.plan.name, release);
        let key = self.service_key(release);
        let mut service = self.neutral();
        stay_stopped(&mut service);
        service.insert("image".into(), json!(image_id));
        service.insert("pull_policy".into(), json!("never"));
        service.insert("container_name".into(), json!(container));
        self.label(&mut service, release, hash);
        self.answer_to_other_names(&mut service);
        let mut document = Map::new();
        document.insert("name".into(), json!(container));
        document.insert("services".into(), json!({ key.as_str(): service }));
        self.resources(&mut document, root);
        own::render(&mut document, &key, &self.own.of_service(self.plan));
        Rendered { service: key, document: escaped(Value::Object(document)) }
    }

    /// Compose gives a container its service name as a network alias.
    /// The releases of a service behind the edge must not have its name, or callers would reach one that is not ready:
    /// an address holder has it instead.
    fn service_key(&self, release: &ReleaseId) -> String {
        match self.is_called_through_the_edge() {
            true => format!("{}-{release}", self.plan.name),
            false => self.plan.name.to_string(),
        }
    }

    fn label(&self, service: &mut Map<String, Value>, release: &ReleaseId, hash: &str) {
        let ours = [
            (names::PLATFORM, self.scope.platform.to_string()),
            (names::ENVIRONMENT, self.scope.environment.to_string()),
            (names::SERVICE, self.plan.name.to_string()),
            (names::RELEASE, release.to_string()),
            (names::HASH, hash.to_owned()),
            (names::STRATEGY, self.plan.strategy.to_string()),
        ];
        let labels = service.entry("labels").or_insert_with(|| json!({}));
        match labels {
            Value::Object(map) => map.extend(ours.into_iter().map(|(key, value)| (key.to_owned(), json!(value)))),
            Value::Array(list) => list.extend(ours.into_iter().map(|(key, value)| json!(format!("{key}={value}")))),
            other => {
                *other =
                    ours.into_iter().map(|(key, value)| (key.to_owned(), json!(value))).collect::<Map<_, _>>().into()
            }
        }
    }

    fn is_called_through_the_edge(&self) -> bool {
        self.routed() || side_by_side(self.plan.strategy)
    }

    /// What others call it is an alias on its networks, unless it is called through the edge.
    fn answer_to_other_names(&self, service: &mut Map<String, Value>) {
        for name in self.other_names() {
            match self.is_called_through_the_edge() {
                true => leave_alias(service, &name),
                false => answer_to(service, &name),
            }
        }
    }

    /// Fixed names, aliases, and what others link it as.
    fn other_names(&self) -> BTreeSet<String> {
        other_names(self.project, &self.plan.name)
    }

    /// Networks and volumes are made once for the platform, so every release refers to them as external.
    fn resources(&self, document: &mut Map<String, Value>, root: &Path) {
        let Some(service) = self.project.services.get(&self.plan.name) else { return };
        let networks: Map<String, Value> = service
            .networks
            .iter()
            .map(|key| {
                let name = real_name(self.project.networks.get(key).map(|n| n.name.as_str()), key);
                (key.clone(), json!({ "external": true, "name": name }))
            })
            .collect();
        let volumes: Map<String, Value> = named_volumes(service)
            .into_iter()
            .map(|key| {
                let name = real_name(self.project.volumes.get(&key).map(|v| v.name.as_str()), &key);
                (key, json!({ "external": true, "name": name }))
            })
            .collect();
        for (key, value) in [("networks", networks), ("volumes", volumes)] {
            if !value.is_empty() {
                document.insert(key.into(), Value::Object(value));
            }
        }
        for key in ["secrets", "configs"] {
            let section = self.attached.section(root, self.project, service, key);
            if !section.is_empty() {
                document.insert(key.into(), Value::Object(section));
            }
        }
    }
}

/// The definition with so many copies of its service in it, each under a key and a container name of its own.
/// Copies that are there already stay as they are, so that Compose leaves their containers alone.
pub fn with_copies(mut document: Value, key: &str, container: &str, copies: u32) -> Value {
    let own = own::read(&document);
    let Some(fields) = document.as_object_mut() else { return document };
    for number in 2..=copies {
        let Some(services) = fields.get_mut("services").and_then(Value::as_object_mut) else { break };
        let name = copy_key(key, number);
        if services.contains_key(&name) {
            continue;
        }
        let Some(mut copy) = services.get(key).cloned() else { break };
        if let Some(copy) = copy.as_object_mut() {
            copy.insert("container_name".into(), json!(names::copy(container, number)));
            answer_to(copy, key);
        }
        services.insert(name.clone(), copy);
        if !own.is_empty() {
            own::mount(fields, &name, number, &own);
        }
    }
    document
}

/// The same without what programs on the Docker socket act on.
pub fn unread(mut document: Value, key: &str) -> Value {
    let service = document.get_mut("services").and_then(|services| services.get_mut(key));
    let Some(service) = service.and_then(Value::as_object_mut) else { return document };
    keep(service.get_mut("labels"), |label, value| !is_read(label, value));
    keep(service.get_mut("environment"), |name, _| !is_read_variable(name));
    document
}

/// The pairs of a mapping or of a list of `key=value` that are wanted.
fn keep(pairs: Option<&mut Value>, is_wanted: impl Fn(&str, &str) -> bool) {
    match pairs {
        Some(Value::Object(map)) => map.retain(|key, value| is_wanted(key, value.as_str().unwrap_or_default())),
        Some(Value::Array(list)) => list.retain(|pair| {
            let (key, value) = pair.as_str().map(|pair| pair.split_once('=').unwrap_or((pair, ""))).unwrap_or_default();
            is_wanted(key, value)
        }),
        _ => {}
    }
}

/// The name of one copy's service in the definition.
pub fn copy_key(key: &str, number: u32) -> String {
    names::copy(key, number)
}

/// Compose gives a container the name of its service as an alias; every copy has that of the first.
fn answer_to(service: &mut Map<String, Value>, alias: &str) {
    let Some(Value::Object(networks)) = service.get_mut("networks") else { return };
    for network in networks.values_mut() {
        if network.is_null() {
            *network = json!({});
        }
        let Some(network) = network.as_object_mut() else { continue };
        let aliases = network.entry("aliases").or_insert_with(|| json!([]));
        if let Some(aliases) = aliases.as_array_mut()
            && !aliases.iter().any(|known| known == alias)
        {
            aliases.push(json!(alias));
        }
    }
}

/// All that a service is called beside its own name.
pub fn other_names(project: &Project, service: &ServiceName) -> BTreeSet<String> {
    let own = project.services.get(service).into_iter().flat_map(|found| found.other_names.iter().cloned());
    let links = project.services.values().flat_map(|other| &other.links);
    let linked = links.filter(|(_, linked)| *linked == service).map(|(alias, _)| alias.clone());
    // A name that is another service's own leads there.
    let is_free = |name: &String| !project.services.keys().any(|known| known.as_str() == name);
    own.chain(linked).filter(is_free).collect()
}

fn leave_alias(service: &mut Map<String, Value>, alias: &str) {
    let networks = service.get_mut("networks").and_then(Value::as_object_mut);
    for network in networks.into_iter().flat_map(Map::values_mut) {
        if let Some(aliases) = network.get_mut("aliases").and_then(Value::as_array_mut) {
            aliases.retain(|known| known != alias);
        }
    }
}

fn real_name(name: Option<&str>, key: &str) -> String {
    name.unwrap_or(key).to_owned()
}

/// Compose interpolates what it reads, so each dollar is written twice.
fn escaped(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains('$') => Value::String(text.replace('$', "$$")),
        Value::Array(items) => items.into_iter().map(escaped).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(key, value)| (key, escaped(value))).collect::<Map<_, _>>().into()
        }
        other => other,
    }
}

/// Key order must not change the hash.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let ordered: BTreeMap<&String, Value> = map.iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Object(ordered.into_iter().map(|(key, value)| (key.clone(), value)).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_copy_has_a_key_and_a_container_of_its_own_and_answers_to_the_services_name() {
        let service = json!({ "image": "i", "container_name": "shop-r1", "networks": { "back": null } });
        let one = json!({ "name": "shop-r1", "services": { "worker": service } });
        let three = with_copies(one.clone(), "worker", "shop-r1", 3);
        let name = |key: &str| three["services"][key]["container_name"].as_str().unwrap().to_owned();
        assert_eq!(["worker", "worker-2", "worker-3"].map(name), ["shop-r1", "shop-r1-2", "shop-r1-3"]);
        assert_eq!(three["services"]["worker"], one["services"]["worker"], "the first stays as it is");
        assert_eq!(three["services"]["worker-2"]["networks"]["back"]["aliases"], json!(["worker"]));
        assert_eq!(with_copies(three.clone(), "worker", "shop-r1", 2), three, "a copy that is there stays as it is");
    }

    #[test]
    fn a_container_that_runs_once_carries_nothing_that_programs_on_the_socket_act_on() {
        let of = |labels: Value, environment: Value| json!({ "services": { "shop": { "image": "i", "labels": labels, "environment": environment } } });
        let labels = json!({ "traefik.enable": "true", "ofelia.enabled": "true", "owner": "shop" });
        let variables = json!({ "VIRTUAL_HOST": "shop.example.com", "SERVICE_NAME": "shop" });
        let left = of(json!({ "owner": "shop" }), json!({ "SERVICE_NAME": "shop" }));
        assert_eq!(unread(of(labels, variables), "shop"), left);
        let listed = of(json!(["caddy=shop", "owner=shop"]), json!(["VIRTUAL_HOST=shop", "A=b"]));
        assert_eq!(unread(listed, "shop"), of(json!(["owner=shop"]), json!(["A=b"])));
        assert_eq!(unread(left.clone(), "shop"), left);
    }

    /// The hash as the version before made it, which gave a silent service a policy.
    #[test]
    fn releases_from_before_count_as_unchanged_and_a_silent_service_gets_no_policy() {
        let name = |text: &str| ServiceName::parse(text).unwrap();
        let scope = Scope {
            platform: spec::PlatformName::parse("shop").unwrap(),
            environment: spec::EnvironmentName::parse("production").unwrap(),
        };
        let attached = Attached::default();
        let hashes = |raw: Value, strategy| {
            let project = Project::from_json(json!({ "name": "shop", "services": { "bot": raw } })).unwrap();
            let plan = ServicePlan::new(name("bot"), strategy);
            let own = OwnVolumes::default();
            let source = Source { scope: &scope, project: &project, attached: &attached, own: &own, plan: &plan };
            let written = source.neutral().get("restart").cloned();
            (source.hash("sha256:a", b"salt"), source.hashes_before("sha256:a", b"salt"), written)
        };
        let (now, before, written) = hashes(json!({ "image": "a" }), Strategy::Exclusive);
        let (restarted, none, kept) = hashes(json!({ "image": "a", "restart": "unless-stopped" }), Strategy::Exclusive);
        assert_eq!((&written, &kept), (&None, &Some(json!("unless-stopped"))));
        assert!(before.contains(&restarted) && !before.contains(&now), "{before:?}");
        assert!(none.is_empty(), "what the file says was always kept");
        let (_, jobs, _) = hashes(json!({ "image": "a" }), Strategy::Job);
        assert!(jobs.is_empty(), "a job never had one");
        let copies = json!({ "image": "a", "deploy": { "replicas": 2, "resources": {} } });
        let (_, before, _) = hashes(copies, Strategy::Exclusive);
        assert_eq!(before.len(), 3, "with an empty `deploy`, with a policy, and with both");
    }
}
