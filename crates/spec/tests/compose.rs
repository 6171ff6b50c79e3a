//! Reading what Docker Compose prints: everything that decisions need is found, and nothing else is refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop with the cause"
)]

mod support;

use std::time::Duration;

use spec::Bytes;
use spec::compose::{Condition, MountKind, Project};
use support::{project, projects};

#[test]
fn every_printed_project_is_read_and_kept_whole() {
    for (name, text) in support::folder("samples/compose", "json") {
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let read = Project::from_json(json.clone()).unwrap_or_else(|problems| panic!("{name}: {problems}"));
        assert_eq!(read.raw, json, "{name}");
        for (service, found) in &read.services {
            assert_eq!(found.raw, json["services"][service.as_str()], "{name}: {service}");
        }
    }
}

#[test]
fn every_compose_file_of_the_samples_has_what_compose_made_of_it() {
    let printed: Vec<String> = projects().into_iter().map(|(name, _)| name).collect();
    let written = support::folder("samples/compose", "yaml").into_iter().map(|(name, _)| name);
    let written: Vec<String> = written.filter(|name| !name.contains('.')).collect();
    assert_eq!(printed, written);
}

#[test]
fn limits_are_found_in_the_new_place_and_in_the_old_one() {
    let celery = project("celery_with_beat");
    let api = &celery.services["api"];
    assert_eq!((api.cpus, api.memory), (Some(1.5), Some(Bytes::mib(512))));
    let beat = &celery.services["beat"];
    assert_eq!((beat.cpus, beat.memory), (Some(0.25), Some(Bytes::mib(128))));
}

#[test]
fn dependencies_carry_their_condition_and_whether_they_are_needed() {
    let rails = project("rails_with_sidekiq");
    let web = &rails.services["web"];
    let conditions: Vec<_> = web.depends_on.iter().map(|(name, condition)| (name.as_str(), *condition)).collect();
    assert_eq!(conditions, [("migrate", Condition::CompletedSuccessfully), ("mysql", Condition::Started)]);
    let app = &project("profiles").services["app"];
    assert!(app.optional.contains("mailhog"));
}

#[test]
fn volumes_have_their_real_names_and_mounts_their_kind() {
    let rails = project("rails_with_sidekiq");
    assert_eq!(rails.volumes["mysql"].name, "shop-mysql");
    assert!(rails.volumes["mysql"].external);
    let uploads = project("shared_uploads");
    assert_eq!(uploads.volumes["uploads"].name, "shared_uploads_uploads");
    let api = &uploads.services["api"];
    let kinds: Vec<_> = api.volumes.iter().map(|mount| (mount.kind, mount.read_only)).collect();
    assert_eq!(kinds, [(MountKind::Volume, false), (MountKind::Bind, true)]);
    assert_eq!(api.volumes[0].written_volume(), Some("uploads"));
}

#[test]
fn published_ports_keep_their_protocol_and_address() {
    let app = &project("secrets_configs_and_networks").services["app"];
    assert_eq!((app.ports[0].target, app.ports[0].host_ip.as_deref()), (8443, Some("127.0.0.1")));
    assert!(app.ports[1..].iter().all(|port| port.protocol == "udp"));
    assert_eq!(app.networks, ["back", "front"]);
}

#[test]
fn a_health_check_keeps_its_words_and_times() {
    let celery = project("celery_with_beat");
    let check = celery.services["api"].healthcheck.clone().expect("a health check");
    assert_eq!(check.test, ["CMD-SHELL", "curl -fsS http://localhost:8000/health/ready || exit 1"]);
    assert_eq!((check.interval, check.retries), (Some(Duration::from_secs(10)), Some(5)));
    assert!(project("monitoring").services["cadvisor"].healthcheck.as_ref().is_some_and(|check| check.disabled));
}

#[test]
fn a_wish_for_a_graphics_card_is_seen_in_both_spellings() {
    let cards = project("graphics_card");
    assert!(cards.services["render"].gpus && cards.services["tts"].gpus);
    assert!(!project("one_web_server").services["web"].gpus);
}

#[test]
fn hand_made_short_forms_are_read_too() {
    let json = serde_json::json!({ "name": "p", "services": { "a": {
        "image": 7, "command": "run it", "ports": ["127.0.0.1:8080:80/tcp", 9000], "volumes": ["data:/data:ro", "./x:/x"],
        "environment": ["A=1", "B"], "depends_on": ["b"], "labels": ["x=y"], "scale": "3", "new_key": [{}],
    }, "b": null } });
    let read = Project::from_json(json).expect("a project");
    let a = &read.services["a"];
    assert_eq!((a.ports[0].published, a.ports[0].target, a.ports[1].target), (Some(8080), 80, 9000));
    assert_eq!((a.environment.join(","), a.replicas, a.labels["x"].as_str()), ("A,B".to_owned(), 3, "y"));
    assert!(a.volumes[0].read_only && a.volumes[1].kind == MountKind::Bind);
}

#[test]
fn what_is_no_project_at_all_is_a_problem() {
    for (json, said) in [
        (serde_json::json!([1]), "not a mapping"),
        (serde_json::json!({ "services": "web" }), "the services of the Compose project are not a mapping"),
        (serde_json::json!({ "services": { "a b": {} } }), "this name of a service cannot be used"),
    ] {
        let problems = Project::from_json(json).expect_err(said).to_string();
        assert!(problems.contains(said), "{problems}");
    }
}
