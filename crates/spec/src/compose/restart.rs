//! What Docker does when a container has ended.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The restart policy, as Compose gives it to Docker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// An end is the end.
    #[default]
    No,
    /// Only an end with another code than 0 is followed by another start.
    OnFailure,
    /// Every end is followed by another start.
    Always,
    /// The same, unless somebody stopped it.
    UnlessStopped,
}

impl Restart {
    /// `deploy.restart_policy` counts before `restart`, also where it names no condition, which is no policy at all.
    pub(super) fn read(service: &Value) -> Restart {
        let word = match service.pointer("/deploy/restart_policy").filter(|policy| !policy.is_null()) {
            Some(policy) => policy.get("condition"),
            None => service.get("restart"),
        };
        let word = word.and_then(Value::as_str).unwrap_or_default();
        match word.split(':').next().unwrap_or_default() {
            "always" | "any" => Restart::Always,
            "unless-stopped" => Restart::UnlessStopped,
            "on-failure" => Restart::OnFailure,
            _ => Restart::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_read_as_compose_gives_it_to_docker() {
        for (service, restart) in [
            (json!({}), Restart::No),
            (json!({ "restart": "no" }), Restart::No),
            (json!({ "restart": "always" }), Restart::Always),
            (json!({ "restart": "unless-stopped" }), Restart::UnlessStopped),
            (json!({ "restart": "on-failure" }), Restart::OnFailure),
            (json!({ "restart": "on-failure:3" }), Restart::OnFailure),
            (json!({ "deploy": { "restart_policy": { "condition": "on-failure" } } }), Restart::OnFailure),
            (json!({ "deploy": { "restart_policy": { "condition": "any" } } }), Restart::Always),
            (json!({ "restart": "always", "deploy": { "restart_policy": { "condition": "none" } } }), Restart::No),
            (json!({ "restart": "always", "deploy": { "restart_policy": { "max_attempts": 3 } } }), Restart::No),
            (json!({ "restart": "always", "deploy": { "restart_policy": null } }), Restart::Always),
        ] {
            assert_eq!(Restart::read(&service), restart, "{service}");
        }
    }
}
