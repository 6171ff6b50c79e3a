//! Up, deploy, rollback, down: the ordinary life of a platform.

use super::crash::start_agent;
use super::load::{Load, ask};
use super::place::{Place, image, web};

#[test]
fn real_a_platform_comes_up_stays_as_it_is_and_goes_away() {
    let place = Place::with_web("life", &image("one", &[]));
    assert_eq!(ask(place.port).as_deref(), Ok("one"));

    let status = place.status();
    assert_eq!(status["edge"]["is"], "serving");
    assert_eq!(status["edge"]["in_sync"], true);
    let web = place.service("web");
    assert_eq!((&web["state"], &web["routed"]), (&"running".into(), &true.into()), "{web:#}");
    assert_eq!(web["release"], "r1");

    let before = place.containers();
    place.run(&["up", "--yes"]).done().says("Nothing had to be changed");
    assert_eq!(place.containers(), before);
    assert_eq!(before, [(place.container("web", "r1"), "running".to_owned())]);

    place.run(&["down", "--yes"]).done().says("Its data stays in");
    assert!(place.containers().is_empty() && place.networks().is_empty());
    assert_eq!(place.volumes().len(), 1, "data stays");
    assert!(ask(place.port).is_err(), "nobody answers for a platform that is down");

    place.run(&["up", "--yes"]).done();
    assert_eq!(ask(place.port).as_deref(), Ok("one"));
    place.run(&["down", "--yes", "--volumes"]).done();
    assert!(place.containers().is_empty() && place.networks().is_empty() && place.volumes().is_empty());
    assert_eq!(place.status()["platforms"].as_array().map(Vec::len), Some(0));
}

#[test]
fn real_a_network_that_somebody_else_uses_stays_and_is_named_and_everything_else_goes() {
    let one = image("one", &[]);
    let place = Place::with_web("guest", &one);
    let (network, guest) = (format!("{}_default", place.name), format!("{}-guest", place.name));
    place.docker(&["run", "--detach", "--name", &guest, "--network", &network, &one]);
    let left = place.run(&["down", "--yes", "--volumes"]).done();
    left.says(&format!("Network {network} stays")).says("docker network inspect");
    assert!(place.containers().is_empty() && place.volumes().is_empty());
    place.docker(&["rm", "--force", &guest]);
    place.run(&["down", "--yes"]).done();
    assert!(place.networks().is_empty());
}

#[test]
fn real_a_deploy_under_load_loses_nothing_and_keeps_the_old_release_warm() {
    let place = Place::with_web("deploy", &image("one", &[]));
    let load = Load::start(place.port);
    place.run(&["deploy", "web", "--image", &image("two", &[]), "--yes"]).done();
    load.end().switched("one", "two");
    let web = place.service("web");
    assert_eq!((&web["release"], &web["routed"]), (&"r2".into(), &true.into()));
    assert_eq!(web["warm"], serde_json::json!(["r1"]));
    let mut containers = place.containers();
    containers.sort();
    assert_eq!(containers, ["r1", "r2"].map(|release| (place.container("web", release), "running".to_owned())));
}

#[test]
fn real_a_rollback_goes_to_the_warm_release_and_forward_again() {
    let place = Place::with_web("rollback", &image("one", &[]));
    place.run(&["deploy", "web", "--image", &image("two", &[]), "--yes"]).done();

    let load = Load::start(place.port);
    place.run(&["rollback", "web", "--yes"]).done().says("still warm");
    load.end().switched("two", "one");
    assert_eq!(place.service("web")["warm"], serde_json::json!(["r2"]));

    let load = Load::start(place.port);
    place.run(&["rollback", "web", "r2", "--yes"]).done().says("still warm");
    load.end().switched("one", "two");
    assert_eq!(place.containers().len(), 2, "no container came or went");
}

#[test]
fn real_a_rollback_starts_an_older_release_again_when_none_is_warm() {
    let place = Place::new("cold");
    place.compose(&web(&image("one", &[]), ""));
    place.platform("0s", "");
    place.run(&["up", "--yes"]).done();
    place.run(&["deploy", "web", "--image", &image("two", &[]), "--yes"]).done();
    assert_eq!(place.containers(), [(place.container("web", "r2"), "running".to_owned())], "nothing stays warm");

    let load = Load::start(place.port);
    place.run(&["rollback", "web", "--yes"]).done().says("started again from its stored definition");
    load.end().switched("two", "one");
    assert_eq!(place.containers(), [(place.container("web", "r1"), "running".to_owned())]);
    place.run(&["up", "--yes"]).done();
}

#[test]
fn real_hooks_run_around_a_deploy_and_one_before_it_can_stop_it() {
    let place = Place::with_web("hooks", &image("one", &[]));
    let hook = |name: &str, script: &str| format!("  {name}: {{command: [sh, -c, '{script}'], timeout: 10s}}\n");
    let note = "echo \"$MAINSTAY_HOOK $MAINSTAY_SERVICES $MAINSTAY_ENVIRONMENT\" >> hooks.txt";
    let hooks = |pre: &str| {
        let all =
            [hook("pre_deploy", pre), hook("post_deploy", "echo too late >&2; exit 3"), hook("post_rollback", note)];
        format!("hooks:\n{}", all.concat())
    };
    place.platform("5m", &hooks(note));
    let told = place.run(&["deploy", "web", "--image", &image("two", &[]), "--yes"]).done();
    told.says("hook post_deploy").says("too late");
    assert_eq!(ask(place.port).as_deref(), Ok("two"), "a hook afterwards changes nothing");
    place.run(&["rollback", "web", "--yes"]).done();
    let written = std::fs::read_to_string(place.dir().join("hooks.txt")).unwrap();
    assert_eq!(written, "pre_deploy web production\npost_rollback web production\n");

    place.platform("5m", &hooks("echo not today; exit 1"));
    let refused = place.run(&["deploy", "web", "--image", &image("three", &[]), "--yes"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("not today"), "{}", refused.err);
    assert_eq!(ask(place.port).as_deref(), Ok("one"));
    assert_eq!(place.containers().len(), 2, "nothing was started");
}

#[test]
fn real_a_log_that_cannot_be_written_keeps_nobody_from_working() {
    let images = [image("one", &[]), image("two", &[])];
    let mut place = Place::new("mute");
    for process in ["edge", "agent"] {
        std::os::unix::fs::symlink("/dev/full", place.state().join(format!("{process}.test.log"))).unwrap();
    }
    place.compose(&web(&images[0], ""));
    place.platform("5m", "");
    place.start("edge", None);
    start_agent(&mut place, None);
    place.run(&["up", "--yes"]).done();
    place.run(&["deploy", "web", "--image", &images[1], "--yes"]).done();
    assert_eq!(place.service("web")["release"], "r2");
}
