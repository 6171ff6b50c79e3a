//! Keys of Compose that would mean something else here, or nothing: each is refused with what to write instead.
//!
//! Every release is a container of its own in a Compose project of its own, so whatever ties a container to another
//! container cannot be carried.

use serde_json::Value;

use super::scene::{Scene, compose_problem};
use crate::ids::ServiceName;
use crate::problem::{Problem, Problems};

/// A key that cannot be carried, why, and what to write instead.
pub struct Refusal {
    /// The key of a service.
    pub key: &'static str,
    /// Whether the value is one that cannot be carried.
    applies: fn(&Value) -> bool,
    /// Why it cannot.
    pub why: &'static str,
    /// What to change.
    pub instead: &'static str,
}

/// Refused wherever they are written.
pub const REFUSED: &[Refusal] = &[
    Refusal {
        key: "network_mode",
        applies: names_a_service,
        why: "each release is a container of its own, so the network of another service's container is gone with its next release",
        instead: "a network that both share, `network_mode: host`, or `container:NAME` of a container that nobody here deploys",
    },
    Refusal {
        key: "ipc",
        applies: names_a_service,
        why: "each release is a container of its own, so the memory of another service's container is gone with its next release",
        instead: "`ipc: shareable` beside a volume for what both use, or one service for both programs",
    },
    Refusal {
        key: "pid",
        applies: names_a_service,
        why: "each release is a container of its own, so the processes of another service's container are gone with its next release",
        instead: "`pid: host`, or one service for both programs",
    },
    Refusal {
        key: "volumes_from",
        applies: is_there,
        why: "a volume without a name, and what a container of nobody here has, cannot be taken from one container to the next",
        instead: "give each volume of the other service a name under `volumes`",
    },
    Refusal {
        key: "provider",
        applies: is_there,
        why: "it is a program that Compose calls and no container, so there is nothing to release",
        instead: "a profile that is off here, and what it provides as variables of the environment file",
    },
    Refusal {
        key: "models",
        applies: is_there,
        why: "it is run by Compose and no container, so there is nothing to release",
        instead: "a service that serves the model, or its address as a variable",
    },
];

/// Everything of one service that cannot be carried.
pub(super) fn check(scene: &Scene<'_>, name: &ServiceName, problems: &mut Problems) {
    let Some(service) = scene.active.get(name) else { return };
    for refusal in REFUSED {
        let Some(value) = service.raw.get(refusal.key).filter(|value| (refusal.applies)(value)) else { continue };
        let problem = compose_problem(&format!("services.{name}.{}", refusal.key), &shown(value), refusal.why);
        problems.0.push(Problem { allowed: refusal.instead.to_owned(), ..problem });
    }
    for (kind, all) in [("secrets", &scene.project.secrets), ("configs", &scene.project.configs)] {
        let used = service.raw.get(kind).and_then(Value::as_array).into_iter().flatten();
        let keys = used.filter_map(|entry| entry.as_str().or(entry.get("source")?.as_str()));
        for key in keys.filter(|key| all.get(*key).is_some_and(|resource| resource.external)) {
            let message = "only Swarm keeps secrets and configs of its own";
            let problem = compose_problem(&format!("{kind}.{key}.external"), "true", message);
            problems.0.push(Problem { allowed: "`file` or `environment`".to_owned(), ..problem });
        }
    }
}

fn is_there(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    }
}

fn names_a_service(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.starts_with("service:"))
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| crate::yaml::shorten(&value.to_string()), str::to_owned)
}
