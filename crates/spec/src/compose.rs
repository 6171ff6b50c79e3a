//! The Compose project, read from `docker compose config --format json`.
//! Compose has already merged, interpolated and checked it, so this reader is tolerant:
//! keys it does not know are kept in `raw` and never refused.

mod healthcheck;
mod mounts;
mod outline;
mod ports;
mod restart;
mod service;
mod value;
mod volumes_from;

pub(crate) use value::texts;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::ids::ServiceName;
use crate::problem::{Problem, Problems};

pub use healthcheck::Healthcheck;
pub use mounts::{Mount, MountKind};
pub use outline::{Include, Outline};
pub use ports::Port;
pub use restart::Restart;
pub use service::{Condition, Service};

/// The name that problems of the Compose project carry; the JSON has no lines to point at.
pub const FILE: &str = "compose.yaml";

/// A whole Compose project.
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    /// The project's name.
    pub name: String,
    /// The services by name.
    pub services: BTreeMap<ServiceName, Service>,
    /// The networks by their name in the file.
    pub networks: BTreeMap<String, Resource>,
    /// The volumes by their name in the file.
    pub volumes: BTreeMap<String, Resource>,
    /// The secrets by their name in the file.
    pub secrets: BTreeMap<String, Resource>,
    /// The configs by their name in the file.
    pub configs: BTreeMap<String, Resource>,
    /// The project as Compose printed it.
    pub raw: Value,
}

/// A network, volume, secret or config of the project.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// Its name in the file, such as `pgdata`.
    pub key: String,
    /// Its real name in Docker, such as `ytempire_pgdata`.
    pub name: String,
    /// Whether it is made and kept by somebody else.
    pub external: bool,
    /// Everything that Compose says about it.
    pub raw: Value,
}

impl Project {
    /// Reads what Compose printed.
    /// The project should be read with `--profile '*'`: which profiles count is decided by the environment, in `resolve`.
    pub fn from_json(raw: Value) -> Result<Project, Problems> {
        let mut problems = Problems::default();
        let Some(fields) = raw.as_object() else {
            return Err(problem("", value::shown(&raw), "the Compose project is not a mapping").into());
        };
        let name = fields.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let services = services(fields.get("services"), &mut problems);
        let project = Project {
            networks: resources(&name, fields.get("networks")),
            volumes: resources(&name, fields.get("volumes")),
            secrets: resources(&name, fields.get("secrets")),
            configs: resources(&name, fields.get("configs")),
            name,
            services,
            raw,
        };
        problems.or(Some(project))
    }

    /// The services that run with these profiles: those without a profile, and those with one of them.
    pub fn active(&self, profiles: &[String]) -> BTreeMap<&ServiceName, &Service> {
        self.services.iter().filter(|(_, service)| service.is_active(profiles)).collect()
    }
}

fn services(listed: Option<&Value>, problems: &mut Problems) -> BTreeMap<ServiceName, Service> {
    let mut services = BTreeMap::new();
    match listed {
        None | Some(Value::Null) => {}
        Some(Value::Object(listed)) => {
            for (name, raw) in &volumes_from::written_out(listed) {
                match ServiceName::parse(name) {
                    Ok(id) => {
                        services.insert(id, Service::from_raw(raw.clone()));
                    }
                    Err(invalid) => problems.0.push(Problem {
                        allowed: invalid.allowed.to_owned(),
                        ..problem("services", name.clone(), "this name of a service cannot be used")
                    }),
                }
            }
        }
        Some(other) => {
            problems.0.push(problem(
                "services",
                value::shown(other),
                "the services of the Compose project are not a mapping",
            ));
        }
    }
    services
}

fn resources(project: &str, listed: Option<&Value>) -> BTreeMap<String, Resource> {
    let Some(listed) = listed.and_then(Value::as_object) else { return BTreeMap::new() };
    listed.iter().map(|(key, raw)| (key.clone(), Resource::from_raw(project, key, raw))).collect()
}

impl Resource {
    fn from_raw(project: &str, key: &str, raw: &Value) -> Self {
        let written = raw.get("name").and_then(Value::as_str);
        Resource {
            // Compose fills the real name in; what it would be is only needed for hand-made input.
            key: key.to_owned(),
            name: written.map_or_else(|| format!("{project}_{key}"), str::to_owned),
            external: raw.get("external").and_then(Value::as_bool).unwrap_or(false),
            raw: raw.clone(),
        }
    }
}

fn problem(path: &str, found: String, message: &str) -> Problem {
    Problem { file: FILE.to_owned(), path: path.to_owned(), found, message: message.to_owned(), ..Problem::default() }
}
