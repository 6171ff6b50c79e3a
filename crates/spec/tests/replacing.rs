//! How each kind of service is replaced: derived with its reason, or as the file says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop with the cause"
)]

use serde_json::{Value, json};
use spec::resolve::{HostSize, Platform, resolve};
use spec::{Bytes, EnvironmentName, Problems, Project, Rolling, ServicePlan, Strategy, platform};

const HOST: HostSize = HostSize { cpus: 16.0, memory: Bytes::gib(64) };

fn resolved(services: Value, written: &str) -> Result<Platform, Problems> {
    let project = Project::from_json(json!({ "name": "p", "services": services })).expect("a project");
    let file = platform::parse(&format!("version: 1\n{written}"), "mainstay.yaml").unwrap_or_else(|p| panic!("{p}"));
    resolve(&file, &project, &EnvironmentName::parse("production").expect("a name"), &HOST)
}

fn only(service: Value, written: &str) -> ServicePlan {
    let platform = resolved(json!({ "s": service }), written).unwrap_or_else(|p| panic!("{p}"));
    platform.services.into_iter().next().expect("a service")
}

#[test]
fn each_kind_of_service_gets_its_strategy_with_the_reason() {
    for (service, strategy, reason) in [
        (json!({ "image": "shop/api", "expose": ["8000"] }), Strategy::BlueGreen, "serves HTTP on port 8000"),
        (json!({ "image": "shop/api", "expose": ["8000"], "scale": 3 }), Strategy::Rolling, "runs 3 copies"),
        (json!({ "image": "a", "deploy": { "replicas": 2 } }), Strategy::Rolling, "may run beside each other"),
        (
            json!({ "image": "a", "command": ["celery", "-A", "app", "worker"] }),
            Strategy::DrainFirst,
            "a background worker",
        ),
        (json!({ "image": "a", "command": ["rq", "worker"] }), Strategy::DrainFirst, "a background worker"),
        (json!({ "image": "a", "command": ["bundle", "exec", "sidekiq"] }), Strategy::DrainFirst, "`sidekiq`"),
        (json!({ "image": "a", "command": ["dramatiq", "app"] }), Strategy::DrainFirst, "`dramatiq`"),
        (json!({ "image": "shop/celery-worker:3" }), Strategy::DrainFirst, "its image `celery-worker`"),
        (
            json!({ "image": "a", "command": ["celery", "-A", "app", "beat"] }),
            Strategy::Exclusive,
            "two would do everything twice",
        ),
        (
            json!({ "image": "a", "expose": ["8000"], "volumes": [{ "type": "volume", "source": "d", "target": "/d" }] }),
            Strategy::Exclusive,
            "writes to volume `d`",
        ),
        (json!({ "image": "mail", "expose": ["25"] }), Strategy::BlueGreen, "speaks TCP on port 25"),
        (json!({ "image": "postgres:16" }), Strategy::Keep, "runs a database image"),
        // An end is nothing that makes a job of a service: only who is waited for is one.
        (json!({ "image": "a", "restart": "no" }), Strategy::Exclusive, "offers no port"),
        (json!({ "image": "a" }), Strategy::Exclusive, "offers no port"),
    ] {
        let plan = only(service.clone(), "");
        assert_eq!(plan.strategy, strategy, "{service}");
        assert!(plan.reason.contains(reason), "{service}: {}", plan.reason);
    }
}

#[test]
fn a_console_that_is_named_after_a_queue_and_publishes_a_port_is_no_worker() {
    let ports = json!([{ "target": 8080, "published": "8080", "protocol": "tcp" }]);
    let project = json!({ "queue": { "image": "shop/console", "ports": ports } });
    assert_eq!(resolved(project, "").expect("a platform").services[0].strategy, Strategy::BlueGreen);
}

#[test]
fn what_never_runs_twice_has_one_copy_and_the_plan_warns() {
    let plan = only(json!({ "image": "a", "command": ["celery", "beat"], "scale": 2 }), "");
    assert_eq!((plan.strategy, plan.replicas), (Strategy::Exclusive, 1));
    assert!(plan.warnings.iter().any(|warning| warning.contains("asks for 2 copies")), "{:?}", plan.warnings);
}

#[test]
fn batches_are_a_quarter_of_the_copies_unless_the_file_says_otherwise() {
    let service = |copies: u32| json!({ "image": "a", "expose": ["8000"], "scale": copies });
    let rolling = |copies: u32, written: &str| only(service(copies), written).rolling;
    assert_eq!(rolling(3, ""), Rolling { surge: 1, unavailable: 0 });
    assert_eq!(rolling(8, ""), Rolling { surge: 2, unavailable: 0 });
    assert_eq!(rolling(4, "services: {s: {rolling: {surge: 3}}}"), Rolling { surge: 3, unavailable: 0 });
    assert_eq!(rolling(4, "services: {s: {rolling: {unavailable: 2}}}"), Rolling { surge: 0, unavailable: 2 });
}

#[test]
fn a_batch_that_would_leave_no_copy_serving_is_refused_at_its_line() {
    let refused = |text: &str, copies: u32| {
        let service = json!({ "s": { "image": "a", "expose": ["8000"], "scale": copies } });
        resolved(service, text).expect_err("this should be refused").to_string()
    };
    let all = refused("services:\n  s:\n    rolling: {unavailable: 2}\n", 2);
    assert!(all.contains("no copy would serve") && all.contains("at most 1 of 2 copies"), "{all}");
    let none = platform::parse("version: 1\nservices: {s: {rolling: {surge: 0}, finish: {idle: [a]}}}", "f");
    let none = none.expect_err("two problems").to_string();
    assert!(none.contains("none can be replaced") && none.contains("stop_taking"), "all problems at once: {none}");
}

#[test]
fn words_of_another_strategy_are_told_to_have_no_effect() {
    let written = "services: {s: {rolling: {surge: 1}, finish: {stop_taking: [a]}, job_timeout: 1h}}";
    let plan = only(json!({ "image": "a", "expose": ["8000"] }), written);
    for word in ["`rolling` is only for rolling", "`finish` is only for drain-first", "`job_timeout` is only for job"] {
        assert!(plan.warnings.iter().any(|warning| warning.contains(word)), "{word}: {:?}", plan.warnings);
    }
}

#[test]
fn a_service_that_others_wait_for_to_end_cannot_be_anything_but_a_job() {
    let services = json!({
        "seed": { "image": "a" },
        "web": { "image": "a", "depends_on": { "seed": { "condition": "service_completed_successfully" } } },
    });
    let refused = resolved(services, "services: {seed: {strategy: exclusive}}").expect_err("a problem").to_string();
    assert!(refused.contains("only a job ends"), "{refused}");
}

#[test]
fn a_port_of_bytes_stays_where_the_file_publishes_it_and_two_services_with_one_port_are_never_there_twice() {
    let ports = json!([{ "target": 25, "published": "2525", "host_ip": "127.0.0.1", "protocol": "tcp" }]);
    let platform = resolved(json!({ "mail": { "image": "a", "ports": ports } }), "").expect("a platform");
    assert_eq!(platform.edge.tcp[0].listen, "127.0.0.1:2525");
    assert_eq!((platform.edge.tcp[0].port, platform.services[0].strategy), (25, Strategy::BlueGreen));
    let mail = json!({ "image": "a", "expose": ["25"] });
    let two = resolved(json!({ "mail": mail, "post": mail }), "").expect("a platform");
    for plan in &two.services {
        assert_eq!(plan.strategy, Strategy::Exclusive);
        assert!(plan.reason.contains("has port 25 too"), "{}", plan.reason);
    }
}

#[test]
fn the_restart_policy_and_whom_a_service_is_restarted_with_are_in_its_plan() {
    let project = json!({
        "db": { "image": "a", "restart": "on-failure:3" },
        "web": { "image": "a", "depends_on": {
            "db": { "condition": "service_started", "restart": true },
            "seed": { "condition": "service_started", "required": false },
        } },
        "seed": { "image": "a" },
    });
    let platform = resolved(project, "").expect("a platform");
    let (db, web) = (platform.service("db").expect("db"), platform.service("web").expect("web"));
    assert_eq!((db.restart, web.restart), (spec::compose::Restart::OnFailure, spec::compose::Restart::No));
    assert_eq!(web.restart_with.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["db"]);
}
