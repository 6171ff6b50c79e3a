//! What becomes of a service's own part of the Compose file.

use serde_json::{Map, Value, json};
use spec::ServicePlan;

/// The edge carries TCP; whatever else is published stays Docker's.
pub(super) fn leave_to_the_edge(service: &mut Map<String, Value>) {
    let Some(Value::Array(mut ports)) = service.remove("ports") else { return };
    ports.retain(|port| port.get("protocol").and_then(Value::as_str).is_some_and(|protocol| protocol != "tcp"));
    if !ports.is_empty() {
        service.insert("ports".into(), Value::Array(ports));
    }
}

/// What releases from before have where the file is silent, which Compose means as no policy at all.
pub(super) fn silent_before(service: &Map<String, Value>) -> Option<Map<String, Value>> {
    let policy = service.get("deploy").and_then(|deploy| deploy.get("restart_policy"));
    let is_said = service.contains_key("restart") || policy.is_some();
    (!is_said).then(|| {
        let mut service = service.clone();
        service.insert("restart".into(), json!("unless-stopped"));
        service
    })
}

/// A job that Docker starts again after it has ended well would never end. One that it tries again after a failure may.
pub(super) fn end_once(service: &mut Map<String, Value>) {
    if service.get("restart").and_then(Value::as_str).is_some_and(|word| matches!(word, "always" | "unless-stopped")) {
        service.insert("restart".into(), json!("no"));
    }
    let Some(deploy) = service.get_mut("deploy").and_then(Value::as_object_mut) else { return };
    let condition = deploy.get("restart_policy").and_then(|policy| policy.get("condition")).and_then(Value::as_str);
    if condition.is_none_or(|condition| condition == "any") {
        deploy.remove("restart_policy");
    }
}

/// The limits of the plan, which may be scaled to the host, replace those of the file.
pub(super) fn limits(service: &mut Map<String, Value>, plan: &ServicePlan) {
    let deploy = service.entry("deploy").or_insert_with(|| json!({}));
    let Some(deploy) = deploy.as_object_mut() else { return };
    deploy.remove("replicas");
    if plan.limits.cpus.is_none() && plan.limits.memory.is_none() {
        if deploy.is_empty() {
            service.remove("deploy");
        }
        return;
    }
    // Compose takes the old keys for these only where `deploy` says nothing about them.
    let pids = service.remove("pids_limit");
    let reserved = service.remove("mem_reservation");
    let Some(deploy) = service.get_mut("deploy").and_then(Value::as_object_mut) else { return };
    let resources = deploy.entry("resources").or_insert_with(|| json!({}));
    let Some(resources) = resources.as_object_mut() else { return };
    if let Some(reserved) = reserved {
        let reservations = resources.entry("reservations").or_insert_with(|| json!({}));
        if let Some(reservations) = reservations.as_object_mut() {
            reservations.entry("memory").or_insert(json!(text(&reserved)));
        }
    }
    let mut wanted = Map::new();
    if let Some(cpus) = plan.limits.cpus {
        wanted.insert("cpus".into(), json!(cpus));
    }
    if let Some(memory) = plan.limits.memory {
        wanted.insert("memory".into(), json!(memory.0.to_string()));
    }
    if let Some(pids) = resources.get("limits").and_then(|limits| limits.get("pids")).cloned().or(pids) {
        wanted.insert("pids".into(), pids);
    }
    resources.insert("limits".into(), Value::Object(wanted));
    cap_reservations(resources, plan);
}

/// Compose fills `deploy` up with empty mappings as soon as one key of it is written, also when that is only the number
/// of copies, which is no part of a definition.
pub(super) fn without_emptiness(service: &mut Map<String, Value>) {
    let is_empty = |value: &Value| value.is_null() || value.as_object().is_some_and(Map::is_empty);
    if service.get("deploy").and_then(Value::as_object).is_some_and(|deploy| deploy.values().all(is_empty)) {
        service.remove("deploy");
    }
}

/// Docker refuses a reservation above its limit, so a scaled limit takes the reservation along.
fn cap_reservations(resources: &mut Map<String, Value>, plan: &ServicePlan) {
    let Some(reservations) = resources.get_mut("reservations").and_then(Value::as_object_mut) else { return };
    let reserved = reservations.get("memory").and_then(|value| value.as_str()?.parse::<u64>().ok());
    if let (Some(limit), Some(reserved)) = (plan.limits.memory, reserved)
        && reserved > limit.0
    {
        reservations.insert("memory".into(), json!(limit.0.to_string()));
    }
    let reserved = reservations.get("cpus").and_then(|value| value.as_f64().or_else(|| value.as_str()?.parse().ok()));
    if let (Some(limit), Some(reserved)) = (plan.limits.cpus, reserved)
        && reserved > limit
    {
        reservations.insert("cpus".into(), json!(limit));
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// With `always`, Docker starts a container that was stopped for its successor when the engine is restarted: both would
/// run. `unless-stopped` is the same but for that.
pub(super) fn stay_stopped(service: &mut Map<String, Value>) {
    let condition = service.get("deploy").and_then(|deploy| deploy.get("restart_policy")?.get("condition")?.as_str());
    if condition == Some("any") {
        if let Some(deploy) = service.get_mut("deploy").and_then(Value::as_object_mut) {
            deploy.remove("restart_policy");
        }
        service.insert("restart".into(), json!("unless-stopped"));
    } else if condition.is_none() && service.get("restart").and_then(Value::as_str) == Some("always") {
        service.insert("restart".into(), json!("unless-stopped"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_was_stopped_for_its_successor_stays_so_when_the_engine_comes_back() {
        let restart = |service: Value| {
            let mut service = service.as_object().cloned().unwrap();
            stay_stopped(&mut service);
            service.get("restart").and_then(Value::as_str).map(str::to_owned)
        };
        assert_eq!(restart(json!({ "restart": "always" })).unwrap(), "unless-stopped");
        assert_eq!(
            restart(json!({ "deploy": { "restart_policy": { "condition": "any" } } })).unwrap(),
            "unless-stopped"
        );
        assert_eq!(restart(json!({ "restart": "on-failure:3" })).unwrap(), "on-failure:3");
        assert_eq!(restart(json!({})), None);
    }

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn only_a_service_whose_file_is_silent_had_a_policy_before() {
        let before = silent_before(&object(json!({ "image": "shop/api" }))).unwrap();
        assert_eq!(before["restart"], "unless-stopped");
        assert_eq!(silent_before(&object(json!({ "restart": "no" }))), None);
        let swarm = json!({ "deploy": { "restart_policy": { "condition": "on-failure" } } });
        assert_eq!(silent_before(&object(swarm)), None);
    }

    #[test]
    fn a_number_of_copies_leaves_nothing_behind_and_other_words_about_deploying_stay() {
        let left = |deploy: Value| {
            let mut service = json!({ "image": "a", "deploy": deploy }).as_object().cloned().unwrap();
            without_emptiness(&mut service);
            service.get("deploy").cloned()
        };
        assert_eq!(left(json!({ "resources": {}, "placement": {} })), None);
        let mode = json!({ "mode": "global", "placement": {} });
        assert_eq!(left(mode.clone()), Some(mode));
    }

    #[test]
    fn a_job_is_not_started_again_after_it_has_ended_well() {
        for (written, became) in [("always", "no"), ("on-failure:3", "on-failure:3")] {
            let mut service = object(json!({ "restart": written }));
            end_once(&mut service);
            assert_eq!(service["restart"], became);
        }
        let mut any = json!({ "deploy": { "restart_policy": { "condition": "any" } } }).as_object().cloned().unwrap();
        end_once(&mut any);
        assert_eq!(any["deploy"], json!({}));
    }
}
