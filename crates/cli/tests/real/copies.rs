//! Services with several copies: rolling, scaling, and what is left of it after a failure.

use std::time::Duration;

use super::load::{Load, ask};
use super::place::{Place, docker, image, service, wait, web};

const LIMIT: Duration = Duration::from_secs(60);

/// A platform of three copies of `web`, which are replaced one by one.
fn rolling(test: &str, image: &str) -> Place {
    let place = Place::new(test);
    place.compose(&web(image, "    deploy: {replicas: 3}\n"));
    place.platform("5m", "");
    let written = std::fs::read_to_string(place.dir().join("mainstay.yaml")).unwrap();
    place.write("mainstay.yaml", &written.replace("strategy: blue-green", "strategy: rolling"));
    place.run(&["up", "--yes"]).done();
    place
}

/// The containers that run, by name.
fn running(place: &Place) -> Vec<String> {
    let mut names: Vec<String> =
        place.containers().into_iter().filter(|(_, state)| state == "running").map(|(name, _)| name).collect();
    names.sort();
    names
}

fn copies(place: &Place, release: &str, count: usize) -> Vec<String> {
    let first = place.container("web", release);
    (1..=count).map(|number| if number == 1 { first.clone() } else { format!("{first}-{number}") }).collect()
}

#[test]
fn real_a_rolling_deploy_under_load_loses_nothing_and_one_that_fails_leaves_every_copy() {
    let place = rolling("roll", &image("one", &[]));
    assert_eq!(running(&place), copies(&place, "r1", 3));
    let told = place.run(&["status"]).done();
    told.says("3/3 running");

    let load = Load::start(place.port);
    place.run(&["deploy", "web", "--image", &image("two", &[]), "--yes"]).done().says("2 of 3 copies");
    load.end().only(&["one", "two"]);
    assert_eq!(ask(place.port).as_deref(), Ok("two"));
    assert_eq!(running(&place), copies(&place, "r2", 3));

    let load = Load::start(place.port);
    let ran =
        place.run(&["deploy", "web", "--image", &image("crashing", &[("CRASH_AFTER_MS", "50")]), "--yes"]).ended(3);
    ran.says("exited with code 3");
    load.end().only(&["two"]);
    assert_eq!(running(&place), copies(&place, "r2", 3), "every old copy is as it was");
    place.run(&["up", "--yes"]).done();
}

#[test]
fn real_a_rolling_deploy_that_is_given_up_half_way_goes_back_to_every_old_copy_and_loses_nothing() {
    let place = rolling("rollback3", &image("one", &[]));
    let load = Load::start(place.port);
    let command = place.begin(&["deploy", "web", "--image", &image("two", &[]), "--yes"]);
    wait("a request of the load to reach a new copy", LIMIT, || {
        let seen = load.so_far();
        let bodies = seen.bodies();
        bodies.contains_key("two").then_some(()).ok_or_else(|| format!("{bodies:?}"))
    });
    let pid = nix::unistd::Pid::from_raw(i32::try_from(command.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let ended = command.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(3), "{}", String::from_utf8_lossy(&ended.stderr));
    load.end().only(&["one", "two"]);
    assert_eq!(running(&place), copies(&place, "r1", 3));
    let load = Load::start(place.port);
    load.end().only(&["one"]);
}

#[test]
fn real_scaling_under_load_loses_nothing_and_the_next_deploy_keeps_the_number() {
    let place = Place::with_web("scale", &image("one", &[]));
    let load = Load::start(place.port);
    place.run(&["scale", "web=3", "--yes"]).done().says("1 → 3");
    assert_eq!(running(&place), copies(&place, "r1", 3));
    place.run(&["scale", "web=2", "--yes"]).done();
    assert_eq!(running(&place), copies(&place, "r1", 2));
    load.end().only(&["one"]);

    place.run(&["plan"]).done().says("2 copies, as set with `mainstay scale`; the compose file says 1");
    place.run(&["up", "--yes"]).done().says("Nothing had to be changed");
    let load = Load::start(place.port);
    place.run(&["deploy", "web", "--image", &image("two", &[]), "--yes"]).done();
    load.end().switched("one", "two");
    let mut both = copies(&place, "r1", 2);
    both.extend(copies(&place, "r2", 2));
    assert_eq!(running(&place), both, "two copies serve, and two are warm");

    let load = Load::start(place.port);
    place.run(&["rollback", "web", "--yes"]).done().says("still warm");
    load.end().switched("two", "one");
    place.run(&["scale", "web=1", "--yes"]).done();
    place.run(&["plan"]).done();
    assert_eq!(place.service("web")["copies"], 1);
}

#[test]
fn real_the_number_of_copies_in_the_file_needs_no_new_release() {
    let one = image("one", &[]);
    let place = Place::with_web("number", &one);
    place.compose(&web(&one, "    deploy: {replicas: 2}\n"));
    place.run(&["plan"]).done().says("1 → 2 copies");
    let load = Load::start(place.port);
    place.run(&["up", "--yes"]).done();
    load.end().only(&["one"]);
    assert_eq!(running(&place), copies(&place, "r1", 2));
    place.run(&["scale", "web=1", "--yes"]).done();
    place.run(&["up", "--yes"]).done().says("Nothing had to be changed");
    place.compose(&web(&one, "    deploy: {replicas: 3}\n"));
    place.run(&["up", "--yes"]).done();
    assert_eq!(running(&place), copies(&place, "r1", 3), "the file has moved on, so it counts again");
}

#[test]
fn real_a_copy_that_dies_is_left_out_and_followed_when_it_is_back() {
    let place = Place::with_web("dies", &image("one", &[]));
    place.run(&["scale", "web=2", "--yes"]).done();
    let second = format!("{}-2", place.container("web", "r1"));
    docker(&["stop", "--time", "1", &second]);
    wait("the status to tell it", LIMIT, || match place.service("web")["running"].as_u64() {
        Some(1) => Ok(()),
        other => Err(format!("{other:?} run")),
    });
    let load = Load::start(place.port);
    load.end().only(&["one"]);
    place.run(&["status"]).done().says("1/2 running");
    docker(&["start", &second]);
    wait("both to run", LIMIT, || match place.service("web")["running"].as_u64() {
        Some(2) => Ok(()),
        other => Err(format!("{other:?} run")),
    });
}

#[test]
fn real_a_restart_replaces_every_copy_and_drift_looks_at_each() {
    let place = Place::with_web("again", &image("one", &[]));
    place.run(&["scale", "web=2", "--yes"]).done();
    let load = Load::start(place.port);
    place.run(&["restart", "web", "--yes"]).done();
    load.end().only(&["one"]);
    let mut both = copies(&place, "r1", 2);
    both.extend(copies(&place, "r2", 2));
    assert_eq!(running(&place), both, "two copies serve, and two are warm");
    place.run(&["drift"]).done().says("nothing was changed by hand");

    let (warm, serving) =
        (format!("{}-2", place.container("web", "r1")), format!("{}-2", place.container("web", "r2")));
    docker(&["stop", "--time", "1", &warm]);
    docker(&["stop", "--time", "1", &serving]);
    let told = place.run(&["drift", "--json"]).out;
    let found: serde_json::Value = serde_json::from_str(&told).unwrap();
    let things: Vec<&str> =
        found["findings"].as_array().unwrap().iter().map(|finding| finding["thing"].as_str().unwrap()).collect();
    assert!(things.contains(&warm.as_str()) && things.contains(&serving.as_str()) && things.len() == 2, "{told}");
    let load = Load::start(place.port);
    place.run(&["restart", "web", "--yes"]).done();
    load.end().only(&["one"]);
    let left = running(&place);
    assert!(copies(&place, "r3", 2).iter().all(|name| left.contains(name)), "{left:?}");
    assert!(!left.iter().any(|name| name.contains("-web-r2")), "what was half stopped is not warm: {left:?}");
}

#[test]
fn real_what_never_runs_twice_is_not_scaled() {
    let place = Place::new("noscale");
    let one = image("one", &[]);
    place.compose(&[web(&one, ""), service("solo", &one, "")].concat());
    place.platform("5m", "  solo:\n    strategy: exclusive\n    port: 8080\n    health: {path: /health, budget: 5s}\n");
    place.run(&["up", "--yes"]).done();
    place.run(&["scale", "solo=2", "--yes"]).ended(4).says("never there twice");
    place.run(&["scale", "nobody=2", "--yes"]).ended(2).says("nobody");
    place.run(&["scale", "web", "--yes"]).ended(2).says("api=3");
}

#[test]
fn real_a_service_that_speaks_tcp_is_switched_under_load_and_open_connections_live_on() {
    let mut place = Place::new("bytes");
    let http = std::mem::replace(&mut place.port, testkit::free_port());
    place.compose(&web(&image("one", &[]), ""));
    place.write(
        "mainstay.yaml",
        &format!(
            "version: 1\nplatform: {}\nenvironments:\n  production:\n    edge:\n      http: \"127.0.0.1:{http}\"\n      tcp: {{listen: \"127.0.0.1:{}\", service: web}}\nservices:\n  web: {{strategy: blue-green, shared_data: safe, port: 8080, protocol: tcp, health: {{path: /health, budget: 5s}}, drain: 60s}}\n",
            place.name, place.port
        ),
    );
    place.run(&["up", "--yes"]).done();
    let load = Load::start(place.port);
    let command = place.begin(&["deploy", "web", "--image", &image("two", &[]), "--yes"]);
    wait("a new connection to reach the new release", LIMIT, || match ask(place.port) {
        Ok(body) if body == "two" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    // Connections that were open before go on with the old one until they are closed; then the drain is over.
    load.end().only(&["one", "two"]);
    let ended = command.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}
