//! Releases that fail: traffic never moves, and the operator is told why.

use super::load::Load;
use super::place::{Place, Ran, docker, image, web};

/// The build, its environment, and what the operator has to be told.
type Case = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

#[test]
fn real_a_failed_deploy_under_load_changes_nothing_and_says_why() {
    let place = Place::new("fail");
    place.compose(&web(&image("one", &[]), "    mem_limit: 64m\n    memswap_limit: 64m\n"));
    place.platform("5m", "");
    place.run(&["up", "--yes"]).done();
    let load = Load::start(place.port);
    let cases: [Case; 4] = [
        ("crashing", &[("CRASH_AFTER_MS", "50")], &["exited with code 3", "| crashing as told"]),
        ("deaf", &[("NEVER_HEALTHY", "1")], &["not healthy within 5 s", "503", "| build deaf listens on 8080"]),
        ("elsewhere", &[("PORT", "9090")], &["not healthy within 5 s", "9090", "| build elsewhere listens on 9090"]),
        // One that became healthy before it has eaten everything would be taken for good.
        ("hungry", &[("OOM", "1"), ("NEVER_HEALTHY", "1")], &["out of memory", "| build hungry"]),
    ];
    for (build, env, causes) in cases {
        let ran = place.run(&["deploy", "web", "--image", &image(build, env), "--yes"]).ended(3);
        for cause in causes {
            ran.says(cause);
        }
        ran.says("traffic stayed where it was");
        kept(&ran);
    }
    let ran = place.run(&["deploy", "web", "--image", "localhost:1/nobody/has-this:1", "--yes"]).ended(1);
    ran.says("localhost:1/nobody/has-this:1");
    load.end().only(&["one"]);
    let web = place.service("web");
    assert_eq!((&web["release"], &web["routed"]), (&"r1".into(), &true.into()));
    place.run(&["up", "--yes"]).done();
}

/// The container that the message names is there, and has ended.
fn kept(ran: &Ran) {
    let name =
        ran.err.lines().find_map(|line| line.trim().strip_prefix("its container is kept: ")).expect("a kept container");
    let state = docker(&["inspect", "--format", "{{.State.Status}}", name]);
    assert_eq!(state.trim(), "exited", "{name}");
}
