//! What happened and what was said: events, and logs across releases.

use std::process::{Command, Stdio};
use std::time::Duration;

use super::place::{Place, docker, image, lines, wait};

#[test]
fn real_logs_are_told_across_releases_in_the_order_of_their_times_and_follow_what_comes() {
    let place = Place::with_web("logs", &image("one", &[]));
    place.run(&["deploy", "web", "--image", &image("two", &[]), "--yes"]).done();
    let all = lines(&place.run(&["logs", "web"]).done().out);
    let said = |all: &[String], release: &str, build: &str| {
        let end = format!("web {release} | build {build} listens on 8080");
        all.iter().position(|line| line.trim_start() == end).unwrap_or_else(|| panic!("`{end}` is not in {all:?}"))
    };
    assert!(said(&all, "r1", "one") < said(&all, "r2", "two"), "{all:?}");
    let only = lines(&place.run(&["logs", "web", "--release", "r1"]).done().out);
    assert!(only.iter().all(|line| line.contains("web r1 | ")) && !only.is_empty(), "{only:?}");
    place.run(&["logs", "web", "--release", "r9"]).ended(2).says("known: web r1, web r2");
    let json = place.run(&["logs", "web", "--json"]).done().out;
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    // Docker writes down that a container has started when its first line may be out already.
    let made = docker(&["inspect", "--format", "{{.Created}}", &place.container("web", "r2")]);
    assert!(first["at_ms"].as_i64().unwrap() > 0);
    let since = lines(&place.run(&["logs", "web", "--since", made.trim()]).done().out);
    assert!(since.iter().all(|line| line.contains("web r2 | ")) && !since.is_empty(), "{since:?}");

    let log = place.state().join("follow.txt");
    let file = std::fs::File::create(&log).unwrap();
    let mut follower: Command = place.command(&["logs", "-f", "--tail", "0"]);
    let mut follower = follower.stdout(file).stderr(Stdio::null()).spawn().unwrap();
    place.run(&["deploy", "web", "--image", &image("three", &[]), "--yes"]).done();
    let seen = wait("the new release's line", Duration::from_secs(20), || {
        let text = std::fs::read_to_string(&log).unwrap();
        if text.contains("web r3 | build three listens") { Ok(text) } else { Err(text) }
    });
    let _ = follower.kill();
    let _ = follower.wait();
    assert!(!seen.contains("build one"), "nothing old was asked for: {seen}");
}

#[test]
fn real_events_tell_what_happened_and_follow_what_happens() {
    let place = Place::with_web("events", &image("one", &[]));
    let log = place.state().join("follow.txt");
    let file = std::fs::File::create(&log).unwrap();
    let mut follower = place.command(&["events", "-f", "-n", "0"]).stdout(file).stderr(Stdio::null()).spawn().unwrap();
    // Whoever follows has to be there before something happens.
    std::thread::sleep(Duration::from_millis(500));
    place.run(&["pause", "-m", "lunch", "--yes"]).done();
    let text = wait("the event", Duration::from_secs(20), || {
        let text = std::fs::read_to_string(&log).unwrap();
        if text.contains("operate.pause") { Ok(text) } else { Err(text) }
    });
    let _ = follower.kill();
    let _ = follower.wait();
    assert!(!text.contains("operation.started"), "{text}");
    let told = place.run(&["events", "--json"]).done().out;
    let kinds: Vec<String> = told
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["kind"].as_str().unwrap().to_owned())
        .collect();
    for kind in ["operation.started", "notice.started", "operation.ended", "notice.succeeded", "operate.pause"] {
        assert!(kinds.iter().any(|one| one == kind), "{kind} is not in {kinds:?}");
    }
    let only = place.run(&["events", "--kind", "operate.", "--json"]).done().out;
    assert_eq!(only.lines().count(), 1, "{only}");
    place.run(&["resume", "--yes"]).done();
}
