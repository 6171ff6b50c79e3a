//! Ends and `depends_on` as plain Compose means them: each file is also brought up by Compose itself, and what became
//! of the containers is compared.

use std::time::Duration;

use super::load::ask;
use super::place::{Place, docker, image, lines, service, wait, web};

/// The files of MinIO, MLflow and Milvus: one that runs once, for which nobody waits, and one that depends on it.
fn buckets(image: &str, restart: &str) -> String {
    let script = "echo made >> /data/runs; exit 0";
    let once =
        format!("    depends_on: [web]\n    volumes: [\"data:/data\"]\n    command: [sh, -c, \"{script}\"]\n{restart}");
    let app = "    restart: always\n    depends_on: [createbuckets]\n    command: [sh, -c, \"sleep 1000\"]\n    stop_grace_period: 1s\n";
    [web(image, "    restart: always\n"), service("createbuckets", image, &once), service("app", image, app)].concat()
}

/// What Compose itself makes of the place's file: the state and exit code of each service's container.
fn plain(place: &Place, services: &[&str], until: impl Fn(&[String]) -> bool) -> Vec<String> {
    let project = format!("{}-plain", place.name);
    let file = place.dir().join("compose.yaml");
    let compose = |words: &[&str]| {
        let mut all = vec!["compose", "--project-name", &project, "--file", file.to_str().unwrap()];
        all.extend(words);
        std::process::Command::new("docker").args(all).output().unwrap()
    };
    let up = compose(&["up", "--detach"]);
    let states = || -> Vec<String> {
        let format = "{{.State.Status}} {{.State.ExitCode}}";
        services
            .iter()
            .map(|service| {
                let name = format!("{project}-{service}-1");
                docker(&["inspect", "--format", format, &name]).trim().to_owned()
            })
            .collect()
    };
    let found = wait("Compose's containers to come to their ends", Duration::from_secs(30), || match states() {
        states if until(&states) => Ok(states),
        states => Err(format!("{states:?} after {up:?}")),
    });
    compose(&["down", "--volumes", "--timeout", "0"]);
    found
}

/// The same of the place's own containers.
fn ours(place: &Place, services: &[&str]) -> Vec<String> {
    let of = |service: &&str| {
        let release = place.service(service)["release"].as_str().unwrap().to_owned();
        let format = "{{.State.Status}} {{.State.ExitCode}}";
        docker(&["inspect", "--format", format, &place.container(service, &release)]).trim().to_owned()
    };
    services.iter().map(of).collect()
}

#[test]
fn real_one_that_runs_once_and_is_waited_for_by_nobody_has_done_its_work() {
    for restart in ["", "    restart: on-failure\n"] {
        let place = Place::new("buckets");
        let one = image("one", &[]);
        place.compose(&buckets(&one, restart));
        place.platform("5m", "");
        let services = ["web", "createbuckets", "app"];
        let expected = ["running 0", "exited 0", "running 0"];
        assert_eq!(plain(&place, &services, |states| states == expected), expected, "plain Compose");
        place.run(&["up", "--yes"]).done().says("createbuckets").says("has ended well (exit 0)");
        assert_eq!(ours(&place, &services), expected, "{restart}");
        assert_eq!(place.service("createbuckets")["state"], "ended (exit 0)");
        place.run(&["up", "--yes"]).done().says("Nothing had to be changed");
        let runs = docker(&["exec", &place.container("web", "r1"), "cat", "/data/runs"]);
        assert_eq!(lines(&runs), ["made"], "it is not run again");
        assert_eq!(place.run(&["drift", "--json"]).json()["findings"], serde_json::json!([]), "an end is no drift");
    }
}

#[test]
fn real_a_bot_that_says_restart_no_is_no_job_and_nobody_waits_for_its_end() {
    let place = Place::new("bot");
    let one = image("one", &[]);
    let bot = "    restart: \"no\"\n    command: [sh, -c, \"sleep 1000\"]\n    stop_grace_period: 1s\n";
    place.compose(&[web(&one, "    depends_on: [bot]\n"), service("bot", &one, bot)].concat());
    place.platform("5m", "");
    let expected = ["running 0", "running 0"];
    assert_eq!(plain(&place, &["web", "bot"], |states| states == expected), expected, "plain Compose");
    place.run(&["up", "--yes"]).done();
    assert_eq!(ours(&place, &["web", "bot"]), expected);
    assert_eq!(ask(place.port).as_deref(), Ok("one"));
    assert_eq!(place.service("bot")["strategy"], "exclusive");
    place.run(&["up", "--yes"]).done().says("Nothing had to be changed");
}

#[test]
fn real_an_end_with_another_code_is_shown_and_not_restarted_and_up_starts_it_again() {
    let place = Place::new("badly");
    let one = image("one", &[]);
    let script = "if [ -e /data/good ]; then sleep 7; fi; exit 3";
    let worker =
        format!("    command: [sh, -c, \"{script}\"]\n    volumes: [\"data:/data\"]\n    stop_grace_period: 1s\n");
    place.compose(&[web(&one, ""), service("once", &one, &worker)].concat());
    place.platform("5m", "");
    let expected = ["running 0", "exited 3"];
    assert_eq!(plain(&place, &["web", "once"], |states| states == expected), expected, "plain Compose");
    let ran = place.run(&["up", "--yes"]).ended(3);
    ran.says("it exited with code 3");
    assert!(!ran.err.contains("is restarted"), "{ran:#?}");
    // One that lives through its gate and ends badly later.
    let release = |service: &str| place.service(service)["release"].as_str().unwrap().to_owned();
    docker(&["exec", &place.container("web", &release("web")), "touch", "/data/good"]);
    place.run(&["up", "--yes"]).done();
    wait("its end to be told", Duration::from_secs(20), || match place.service("once")["state"].as_str().unwrap() {
        "failed (exit 3)" => Ok(()),
        other => Err(other.to_owned()),
    });
    place.run(&["plan"]).says("it ended with code 3");
    let before = release("once");
    place.run(&["up", "--yes"]).done();
    assert_eq!(release("once"), before, "it is started again, and is no new release");
}

/// `web` is restarted with `store`, which shows this word to its process.
fn restarted_with(place: &Place, image: &str, word: &str) {
    let needs = "    depends_on: {store: {condition: service_started, restart: true}}\n";
    let store = format!(
        "    command: [sh, -c, \"sleep 1000\"]\n    stop_grace_period: 1s\n    environment: {{WORD: {word}}}\n    restart: always\n"
    );
    place.compose(&[web(image, needs), service("store", image, &store), service("other", image, &store)].concat());
}

#[test]
fn real_who_says_restart_true_is_restarted_after_its_dependency() {
    let place = Place::new("restarttrue");
    let one = image("one", &[]);
    restarted_with(&place, &one, "first");
    place.platform("5m", "");
    place.run(&["up", "--yes"]).done();
    let release = |service: &str| place.service(service)["release"].as_str().unwrap().to_owned();
    let before = [release("web"), release("store")];
    restarted_with(&place, &one, "second");
    place.run(&["plan"]).says("`store` is replaced, and `depends_on` says `restart: true`");
    place.run(&["up", "--service", "store", "--yes"]).done();
    let after = [release("web"), release("store")];
    assert!(before[0] != after[0] && before[1] != after[1], "{before:?} {after:?}");
    place.run(&["restart", "store", "--yes"]).done().says("web: restarted after it");
    let last = [release("web"), release("store")];
    assert!(after[0] != last[0] && after[1] != last[1], "{after:?} {last:?}");
    assert_eq!(ask(place.port).as_deref(), Ok("one"));
}

#[test]
fn real_a_dependency_that_is_not_required_may_fail() {
    let place = Place::new("optional");
    let one = image("one", &[]);
    let needs = "    depends_on: {seed: {condition: service_completed_successfully, required: false}}\n";
    let strict =
        "    command: [sh, -c, \"sleep 1000\"]\n    depends_on: {seed: {condition: service_completed_successfully}}\n";
    let seed = "    command: [sh, -c, \"exit 3\"]\n";
    place.compose(&[web(&one, needs), service("seed", &one, seed), service("strict", &one, strict)].concat());
    place.platform("5m", "");
    place.run(&["up", "--yes"]).ended(3).says("the job exited with code 3");
    assert_eq!(ask(place.port).as_deref(), Ok("one"), "it can do without");
    let services = place.containers();
    assert!(!services.iter().any(|(name, _)| name.contains("strict")), "the other cannot: {services:?}");
}
