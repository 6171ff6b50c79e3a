//! The agent dies after each entry of its journal, for every way to replace a service and every kind of saga.

use std::time::Duration;

use super::super::load::{Load, ask};
use super::super::place::{Place, Ran, docker, image, lines, service, wait, web};
use super::super::strategies::Watch;
use super::row::{Became, Row, stride};
use super::{
    LIMIT, agent_answers, attempt, bring_up, kill_agent, other, replaced_by, start_agent, trusted_under_own_processes,
    under_own_processes,
};

/// More entries than any operation has.
const ENOUGH: u32 = 120;

fn words(text: &[&str]) -> Vec<String> {
    text.iter().map(|word| (*word).to_owned()).collect()
}

fn deploy(image: &str) -> Vec<String> {
    words(&["deploy", "web", "--image", image, "--yes"])
}

/// Begins with an agent that dies after the first entry, then one that dies later, until one outlives the operation.
/// Each time the command ends with this code, everything is as it should be, and nothing is left to do.
fn every_entry(
    place: &mut Place,
    row: &mut Row,
    (sampled, code): (u32, i32),
    mut next: impl FnMut(&Place) -> Vec<String>,
) {
    let became = if code == 0 { Became::Finished } else { Became::Undone };
    for after in (1..ENOUGH).step_by(stride(sampled) as usize) {
        let wanted = next(place);
        let (killed, ran) = attempt(place, after, &wanted.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(ran.code, code, "the next agent goes on, and the command with it; killed after {after}: {ran:#?}");
        let when = format!("after entry {after}");
        if !killed {
            return row.check(place, &when, became);
        }
        row.hit(place, &when, became);
    }
    panic!("the agent was still killed after entry {ENOUGH}");
}

/// The lock is free, and there is nothing left to do.
fn nothing_to_do(place: &Place) {
    place.run(&["up", "--yes"]).done().says("Nothing had to be changed");
}

#[test]
fn real_a_deploy_survives_the_agents_death_after_every_journal_entry() {
    let images = [image("one", &[]), image("two", &[])];
    let mut place = under_own_processes("crashd", &images[0]);
    let mut row = Row::new("blue-green: agent after each entry");
    let load = Load::start(place.port);
    every_entry(&mut place, &mut row, (1, 0), |place| deploy(other(place, &images)));
    row.answered(&load.end(), &["one", "two"]);
    nothing_to_do(&place);
    row.end(12);
}

#[test]
fn real_a_warm_rollback_survives_the_agents_death_after_every_journal_entry() {
    let images = [image("one", &[]), image("two", &[])];
    let mut place = under_own_processes("crashr", &images[0]);
    place.run(&["deploy", "web", "--image", &images[1], "--yes"]).done();
    let mut row = Row::new("warm rollback: agent after each entry");
    let load = Load::start(place.port);
    let mut expected = "r2";
    every_entry(&mut place, &mut row, (1, 0), |place| {
        assert_eq!(place.service("web")["release"], expected);
        expected = if expected == "r1" { "r2" } else { "r1" };
        words(&["rollback", "web", expected, "--yes"])
    });
    row.answered(&load.end(), &["one", "two"]);
    assert_eq!(place.service("web")["release"], expected);
    assert_eq!(place.containers().len(), 2, "no container came or went");
    row.end(8);
}

#[test]
fn real_a_cold_rollback_survives_the_agents_death_after_every_journal_entry() {
    let images = [image("one", &[]), image("two", &[])];
    let mut place = Place::new("crashcold");
    place.compose(&web(&images[0], ""));
    place.platform("0s", "");
    bring_up(&mut place);
    place.run(&["deploy", "web", "--image", &images[1], "--yes"]).done();
    let mut row = Row::new("cold rollback: agent after each entry");
    let load = Load::start(place.port);
    every_entry(&mut place, &mut row, (4, 0), |place| {
        let to = if place.service("web")["release"] == "r1" { "r2" } else { "r1" };
        words(&["rollback", "web", to, "--yes"])
    });
    row.answered(&load.end(), &["one", "two"]);
    assert_eq!(place.containers().len(), 1, "nothing is kept warm");
    row.end(2);
}

#[test]
fn real_a_failed_deploy_is_undone_through_the_agents_death_after_every_journal_entry() {
    let one = image("one", &[]);
    let crashing = image("crashing", &[("CRASH_AFTER_MS", "50")]);
    let mut place = under_own_processes("crashf", &one);
    let mut row = Row::new("failed deploy: agent after each entry");
    let load = Load::start(place.port);
    every_entry(&mut place, &mut row, (2, 3), |_| deploy(&crashing));
    row.answered(&load.end(), &["one"]);
    assert_eq!(place.service("web")["release"], "r1");
    nothing_to_do(&place);
    row.end(4);
}

#[test]
fn real_a_canary_with_a_soak_survives_the_agents_death_after_every_journal_entry() {
    let images = [image("one", &[]), image("two", &[])];
    let trust = "soak: {time: 300ms, requests: 10}\n    canary: {steps: [50%], pause: 300ms}";
    let mut place = trusted_under_own_processes("crashc", &images[0], trust);
    let mut row = Row::new("canary and soak: agent after each entry");
    let load = Load::start(place.port);
    every_entry(&mut place, &mut row, (3, 0), |place| deploy(other(place, &images)));
    row.answered(&load.end(), &["one", "two"]);
    row.end(6);
}

#[test]
fn real_a_release_that_does_worse_goes_back_through_the_agents_death_after_every_journal_entry() {
    let trust = "soak: {time: 20s, requests: 20}";
    let mut place = trusted_under_own_processes("crashflip", &image("one", &[]), trust);
    let failing = image("failing", &[("FAIL_RATIO_PERCENT", "60")]);
    let mut row = Row::new("flip back in the soak: agent after each entry");
    let load = Load::start(place.port);
    every_entry(&mut place, &mut row, (5, 3), |_| {
        std::thread::sleep(Duration::from_secs(1));
        deploy(&failing)
    });
    let seen = load.end();
    let own = "HTTP/1.1 500 Internal Server Error: failing";
    let others: Vec<&str> = seen.failures().into_iter().filter(|failure| *failure != own).collect();
    assert!(others.is_empty(), "{others:?}");
    row.asked(&seen);
    assert_eq!(place.service("web")["release"], "r1");
    row.end(3);
}

#[test]
fn real_a_deploy_survives_the_agents_death_at_any_moment() {
    let images = [image("one", &[]), image("two", &[])];
    let mut place = under_own_processes("crasht", &images[0]);
    let mut row = Row::new("blue-green: agent at any moment");
    let load = Load::start(place.port);
    let step = if stride(2) == 1 { 40 } else { 170 };
    for moment in (0..1_700 / step).map(|number| Duration::from_millis(40 + step * number)) {
        let next = other(&place, &images).clone();
        let command = place.begin(&["deploy", "web", "--image", &next, "--yes"]);
        std::thread::sleep(moment);
        kill_agent(&mut place);
        start_agent(&mut place, None);
        // A command whose request was never answered cannot know more than that.
        let ran = Ran::of(command.wait_with_output().unwrap());
        assert!([0, 1].contains(&ran.code), "killed after {moment:?}: {ran:#?}");
        wait("the operation to end", LIMIT, || match place.run(&["up", "--yes"]) {
            ran if ran.code == 4 => Err(ran.err),
            _ => Ok(()),
        });
        let serves = place.service("web")["image"] == next.as_str();
        assert!(ran.code != 0 || serves, "killed after {moment:?}: {ran:#?}");
        let became = if serves { Became::Finished } else { Became::Nothing };
        row.hit(&place, &format!("after {moment:?}"), became);
    }
    row.answered(&load.end(), &["one", "two"]);
    row.end(10);
}

/// One of the strategies that never have two at once.
fn never_twice(test: &str, strategy: &str, name: &'static str, sampled: u32, least: usize) {
    let images = [image("one", &[]), image("two", &[])];
    let mut place = replaced_by(test, &images[0], strategy, "");
    let mut row = Row::new(name);
    let watch = Watch::start(&place, "web");
    let load = Load::start(place.port);
    every_entry(&mut place, &mut row, (sampled, 0), |place| deploy(other(place, &images)));
    row.answered(&load.end(), &["one", "two"]);
    assert_eq!(watch.most(), 1, "how many ran at once");
    row.end(least);
}

#[test]
fn real_an_exclusive_service_is_never_there_twice_through_the_agents_death_after_every_journal_entry() {
    never_twice("crashx", "exclusive", "exclusive: agent after each entry", 2, 6);
}

#[test]
fn real_a_drain_first_service_is_never_there_twice_through_the_agents_death_after_every_journal_entry() {
    never_twice("crashdf", "drain-first", "drain-first: agent after each entry", 5, 3);
}

#[test]
fn real_a_rolling_deploy_survives_the_agents_death_after_every_journal_entry() {
    let images = [image("one", &[]), image("two", &[])];
    let mut place = replaced_by("crashroll", &images[0], "rolling", "    deploy: {replicas: 2}\n");
    let mut row = Row::new("rolling: agent after each entry");
    let load = Load::start(place.port);
    every_entry(&mut place, &mut row, (3, 0), |place| deploy(other(place, &images)));
    row.answered(&load.end(), &["one", "two"]);
    row.end(6);
}

/// `web` and `api`, and what is deployed of both at once.
fn together(test: &str, name: &'static str, (sampled, code, least): (u32, i32, usize), second: [&str; 2]) {
    let images = [image("one", &[]), image("two", &[]), image("crashing", &[("CRASH_AFTER_MS", "50")])];
    let find = |build: &str| images.iter().find(|image| image.contains(&format!(":{build}-"))).unwrap();
    let mut place = Place::new(test);
    let api = service("api", &images[0], "    depends_on: [web]\n");
    place.compose(&[web(&images[0], ""), api].concat());
    place.platform(
        "5m",
        "  api:\n    strategy: blue-green\n    port: 8080\n    health: {path: /health, budget: 5s}\n    routes: [{path: /api}]\n    drain: 1s\n    soak: 0s\n",
    );
    bring_up(&mut place);
    let mut row = Row::new(name);
    let load = Load::start(place.port);
    every_entry(&mut place, &mut row, (sampled, code), |place| {
        let turned = place.service("web")["image"] != images[0].as_str();
        let of = |build: &str| if turned && code == 0 { &images[0] } else { find(build) };
        let (web, api) = (format!("web={}", of(second[0])), format!("api={}", of(second[1])));
        words(&["deploy", "--image", &web, "--image", &api, "--all-or-nothing", "--yes"])
    });
    let same = place.service("web")["image"] == place.service("api")["image"];
    assert!(same, "both or none");
    row.answered(&load.end(), &["one", "two"]);
    row.end(least);
}

#[test]
fn real_a_deploy_that_is_one_ends_whole_or_not_at_all_whenever_the_agent_dies() {
    // Every fourth entry: each of them is tried in the fake world, and by `./x crash` in the real one.
    let name = "all or nothing, undone: agent after each entry";
    together("crashall", name, (10, 3, 3), ["two", "crashing"]);
}

#[test]
fn real_a_deploy_that_is_one_is_finished_whole_whenever_the_agent_dies() {
    together("crashboth", "all or nothing, done: agent after each entry", (8, 0, 3), ["two", "two"]);
}

#[test]
fn real_a_job_runs_once_for_each_release_through_the_agents_death_after_every_journal_entry() {
    let one = image("one", &[]);
    let mut place = Place::new("crashjob");
    let mut run = 0;
    let mut files = |place: &Place| {
        run += 1;
        let needs = "    depends_on: {seed: {condition: service_completed_successfully}}\n";
        let job = format!(
            "    command: [sh, -c, \"echo run {run} >> /data/runs\"]\n    volumes: [\"data:/data\"]\n    restart: \"no\"\n"
        );
        place.compose(&[web(&one, needs), service("seed", &one, &job)].concat());
        run
    };
    files(&place);
    place.platform("5m", "");
    bring_up(&mut place);
    let mut row = Row::new("job: agent after each entry");
    let load = Load::start(place.port);
    let mut last = 1;
    every_entry(&mut place, &mut row, (2, 0), |place| {
        last = files(place);
        words(&["up", "--yes"])
    });
    row.answered(&load.end(), &["one"]);
    let container = place.container("web", place.service("web")["release"].as_str().unwrap());
    let runs = lines(&docker(&["exec", &container, "cat", "/data/runs"]));
    assert_eq!(runs, (1..=last).map(|run| format!("run {run}")).collect::<Vec<_>>(), "each release's ran once");
    nothing_to_do(&place);
    row.end(2);
}

#[test]
fn real_a_migration_runs_once_for_each_release_through_the_agents_death_after_every_journal_entry() {
    let images = [image("one", &[]), image("two", &[])];
    let trust = "soak: 0s\n    migrate: {command: [sh, -c, \"echo ran >> /data/migrations\"], timeout: 30s}";
    let mut place = trusted_under_own_processes("crashmig", &images[0], trust);
    let mut row = Row::new("migration: agent after each entry");
    let load = Load::start(place.port);
    every_entry(&mut place, &mut row, (3, 0), |place| deploy(other(place, &images)));
    row.answered(&load.end(), &["one", "two"]);
    let serving = place.service("web")["release"].as_str().unwrap().to_owned();
    let container = place.container("web", &serving);
    let runs = lines(&docker(&["exec", &container, "cat", "/data/migrations"])).len();
    // Releases beyond those that are kept are forgotten, and their migrations ran all the same.
    assert_eq!(format!("r{runs}"), serving, "one for each release");
    row.end(4);
}

#[test]
fn real_a_service_that_speaks_tcp_survives_the_agents_death_after_every_journal_entry() {
    let images = [image("one", &[]), image("two", &[])];
    let mut place = Place::new("crashtcp");
    let http = std::mem::replace(&mut place.port, testkit::free_port());
    place.compose(&web(&images[0], ""));
    place.write(
        "mainstay.yaml",
        &format!(
            "version: 1\nplatform: {}\nenvironments:\n  production:\n    edge:\n      http: \"127.0.0.1:{http}\"\n      tcp: {{listen: \"127.0.0.1:{}\", service: web}}\nservices:\n  web: {{strategy: blue-green, shared_data: safe, port: 8080, protocol: tcp, health: {{path: /health, budget: 5s}}, drain: 1s, drain_websocket: 1s, soak: 0s}}\n",
            place.name, place.port
        ),
    );
    bring_up(&mut place);
    let mut row = Row::new("TCP blue-green: agent after each entry");
    every_entry(&mut place, &mut row, (4, 0), |place| deploy(other(place, &images)));
    assert!(ask(place.port).is_ok());
    nothing_to_do(&place);
    row.end(3);
}

#[test]
fn real_scaling_survives_the_agents_death_after_every_journal_entry() {
    let mut place = under_own_processes("crashscale", &image("one", &[]));
    let mut row = Row::new("scale: agent after each entry");
    let load = Load::start(place.port);
    for to in ["3", "1"] {
        every_entry(&mut place, &mut row, (2, 0), |place| {
            // Each attempt begins from the other number.
            let back = format!("web={}", if to == "3" { "1" } else { "3" });
            place.run(&["scale", &back, "--yes"]).done();
            words(&["scale", &format!("web={to}"), "--yes"])
        });
        assert_eq!(place.service("web")["copies"], to.parse::<u32>().unwrap());
    }
    row.answered(&load.end(), &["one"]);
    row.end(3);
}

#[test]
fn real_a_restart_survives_the_agents_death_after_every_journal_entry_and_is_made_once() {
    let mut place = under_own_processes("crashrest", &image("one", &[]));
    let mut row = Row::new("restart: agent after each entry");
    let load = Load::start(place.port);
    let mut commands = 0;
    every_entry(&mut place, &mut row, (1, 0), |_| {
        commands += 1;
        words(&["restart", "web", "--yes"])
    });
    row.answered(&load.end(), &["one"]);
    assert_eq!(place.service("web")["release"], format!("r{}", commands + 1), "one release for each restart");
    row.end(3);
}

#[test]
fn real_a_promotion_survives_the_agents_death_after_every_journal_entry() {
    let images = [image("one", &[]), image("two", &[])];
    let mut place = Place::new("crashpro");
    place.compose(&web(&images[0], ""));
    let file = format!(
        "version: 1\nplatform: {}\nenvironments:\n  production: {{edge: {{http: \"127.0.0.1:{}\"}}}}\n  staging: {{edge: {{http: \"127.0.0.1:{}\"}}}}\nservices:\n  web: {{strategy: blue-green, shared_data: safe, port: 8080, health: {{path: /health, budget: 5s}}, routes: [{{path: /}}], drain: 1s, drain_websocket: 1s, warm: 0s, soak: 0s}}\n",
        place.name,
        place.port,
        testkit::free_port(),
    );
    place.write("mainstay.yaml", &file);
    place.start("edge", None);
    start_agent(&mut place, None);
    for environment in ["staging", "production"] {
        place.run(&["up", "-e", environment, "--yes"]).done();
    }
    let serving = |place: &Place, environment: &str| {
        place.run(&["status", "-e", environment, "--json"]).json()["platforms"][0]["services"][0]["image"].clone()
    };
    let mut row = Row::new("promote: agent after each entry");
    let load = Load::start(place.port);
    let mut last = String::new();
    every_entry(&mut place, &mut row, (4, 0), |place| {
        last.clone_from(&images[usize::from(serving(place, "production") == images[0].as_str())]);
        place.run(&["deploy", "-e", "staging", "web", "--image", &last, "--yes"]).done();
        words(&["promote", "staging", "production", "--yes"])
    });
    row.answered(&load.end(), &["one", "two"]);
    assert_eq!(serving(&place, "production"), last.as_str());
    place.run(&["down", "-e", "staging", "--volumes", "--yes"]).done();
    row.end(3);
}

#[test]
fn real_pruning_and_taking_down_are_done_to_their_end_whenever_the_agent_dies() {
    let images = [image("one", &[]), image("two", &[])];
    let mut place = Place::new("crashprune");
    place.compose(&web(&images[0], ""));
    place.platform("0s", "");
    bring_up(&mut place);
    let mut row = Row::new("prune: agent at any moment");
    let load = Load::start(place.port);
    let moments = if stride(2) == 1 { 20 } else { 5 };
    for moment in (0..moments).map(|number| Duration::from_millis(5 + 400 / moments * number)) {
        for _ in 0..2 {
            let next = other(&place, &images).clone();
            place.run(&["deploy", "web", "--image", &next, "--yes"]).done();
        }
        let command = place.begin(&["prune", "--keep", "1", "--yes"]);
        std::thread::sleep(moment);
        kill_agent(&mut place);
        start_agent(&mut place, None);
        let ran = Ran::of(command.wait_with_output().unwrap());
        assert!([0, 1].contains(&ran.code), "killed after {moment:?}: {ran:#?}");
        row.hit(&place, &format!("after {moment:?}"), Became::Nothing);
        place.run(&["prune", "--keep", "1", "--yes"]).done();
        assert!(place.releases().len() <= 2, "{:?}", place.releases().len());
        place.run(&["rollback", "web", "--yes"]).done();
    }
    row.answered(&load.end(), &["one", "two"]);
    row.end(5);

    let mut row = Row::new("down: agent at any moment");
    for moment in (0..moments).map(|number| Duration::from_millis(5 + 1_200 / moments * number)) {
        let command = place.begin(&["down", "--yes"]);
        std::thread::sleep(moment);
        kill_agent(&mut place);
        start_agent(&mut place, None);
        let ran = Ran::of(command.wait_with_output().unwrap());
        assert!([0, 1].contains(&ran.code), "killed after {moment:?}: {ran:#?}");
        agent_answers(&place);
        wait("an end", LIMIT, || match place.run(&["down", "--yes", "--wait"]) {
            ran if ran.code == 0 => Ok(()),
            ran => Err(ran.err),
        });
        assert_eq!((place.containers().len(), place.networks().len()), (0, 0), "killed after {moment:?}");
        assert!(ask(place.port).is_err(), "nobody answers for what is down");
        place.run(&["up", "--yes"]).done();
        row.hit(&place, &format!("after {moment:?}"), Became::Finished);
    }
    row.end(5);
}
