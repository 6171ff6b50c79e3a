//! Graphics cards: a service that reserves one does not start where there is none.
//!
//! Docker says so only when the container is made, after images were fetched and others have started.

use spec::ServiceName;
use spec::compose::Service;

use crate::error::DeployError;

/// Device files of which one is there as soon as the driver is, also inside a virtual machine.
const NVIDIA: [&str; 3] = ["/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg"];

pub fn refuse_missing(name: &ServiceName, service: &Service) -> Result<(), DeployError> {
    let Some(key) = asks_nvidia(service) else { return Ok(()) };
    match machine::facts::has_device(&NVIDIA) {
        true => Ok(()),
        false => Err(DeployError::Refused(refusal(name, key))),
    }
}

fn refusal(name: &ServiceName, key: &str) -> String {
    format!(
        "`services.{name}.{key}` reserves a graphics card, and this machine has no graphics card that its driver shows ({}); install the driver and nvidia-container-toolkit, or leave the card out here: an override file with `{key}: !reset null` for that service, named in `environments.….compose`, or a profile that is off in this environment",
        NVIDIA.join(", ")
    )
}

/// The key that asks for a card of the one maker whose driver Docker knows by itself; others are Docker's to judge.
fn asks_nvidia(service: &Service) -> Option<&'static str> {
    if service.raw.get("gpus").is_some_and(|gpus| !gpus.is_null()) {
        return Some("gpus");
    }
    let devices = service.raw.pointer("/deploy/resources/reservations/devices")?.as_array()?;
    let is_nvidia = |device: &serde_json::Value| {
        let driver = device.get("driver").and_then(serde_json::Value::as_str);
        driver.is_none_or(|driver| driver.is_empty() || driver == "nvidia")
    };
    (service.gpus && devices.iter().any(is_nvidia)).then_some("deploy.resources.reservations.devices")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asks(raw: serde_json::Value) -> Option<&'static str> {
        let project = spec::Project::from_json(json!({ "name": "p", "services": { "a": raw } })).unwrap();
        asks_nvidia(project.services.values().next().unwrap())
    }

    #[test]
    fn a_card_is_asked_for_in_two_ways_and_other_makers_are_dockers_to_judge() {
        let reserved = |driver: &str| {
            json!({ "deploy": { "resources": { "reservations": { "devices": [
                { "driver": driver, "count": 1, "capabilities": ["gpu"] }
            ] } } } })
        };
        assert_eq!(asks(reserved("nvidia")), Some("deploy.resources.reservations.devices"));
        assert_eq!(asks(reserved("cdi")), None);
        assert_eq!(asks(json!({ "gpus": "all" })), Some("gpus"));
        assert_eq!(asks(json!({})), None);
    }

    #[test]
    fn the_refusal_says_the_key_and_the_ways_out() {
        let said = refusal(&ServiceName::parse("ollama").unwrap(), "gpus");
        for part in ["services.ollama.gpus", "nvidia-container-toolkit", "override file", "profile"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}
