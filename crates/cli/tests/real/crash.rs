//! The agent dies after each entry of its journal, and nothing is lost.

use std::time::Duration;

use super::load::{Load, ask};
use super::place::{Place, Ran, image, wait};
use super::strategies::Watch;

const LIMIT: Duration = Duration::from_secs(60);
/// More entries than any roll-out has.
const ENOUGH: u32 = 40;

#[test]
fn real_a_deploy_survives_the_agents_death_after_every_journal_entry() {
    let images = [image("one", &[]), image("two", &[])];
    let mut place = under_own_processes("crashd", &images[0]);
    let load = Load::start(place.port);
    let kills = until_it_survives(|after| {
        let next = &images[usize::from(ask(place.port).as_deref() == Ok("one"))];
        let killed = attempt(&mut place, after, &["deploy", "web", "--image", next, "--yes"], 0);
        assert_eq!(sound(&place), *next);
        killed
    });
    let requests = all_answered(load);
    eprintln!("deploy: {kills} kills, {requests} requests, 0 failed");
    assert!(kills >= 12, "a blue-green roll-out has six steps with two entries each");
}

#[test]
fn real_a_warm_rollback_survives_the_agents_death_after_every_journal_entry() {
    let images = [image("one", &[]), image("two", &[])];
    let mut place = under_own_processes("crashr", &images[0]);
    place.run(&["deploy", "web", "--image", &images[1], "--yes"]).done();
    let load = Load::start(place.port);
    let kills = until_it_survives(|after| {
        let to = if place.service("web")["release"] == "r1" { "r2" } else { "r1" };
        let killed = attempt(&mut place, after, &["rollback", "web", to, "--yes"], 0);
        sound(&place);
        assert_eq!(place.service("web")["release"], to);
        killed
    });
    let requests = all_answered(load);
    eprintln!("rollback: {kills} kills, {requests} requests, 0 failed");
    assert!(kills >= 8, "a warm rollback has four steps with two entries each");
    assert_eq!(place.containers().len(), 2, "no container came or went");
}

#[test]
fn real_a_failed_deploy_is_undone_through_the_agents_death_after_every_journal_entry() {
    let one = image("one", &[]);
    let crashing = image("crashing", &[("CRASH_AFTER_MS", "50")]);
    let mut place = under_own_processes("crashf", &one);
    let load = Load::start(place.port);
    let kills = until_it_survives(|after| {
        let killed = attempt(&mut place, after, &["deploy", "web", "--image", &crashing, "--yes"], 3);
        assert_eq!(sound(&place), one);
        killed
    });
    let seen = load.end();
    eprintln!("failed deploy: {kills} kills, {} requests, {} failed", seen.count(), seen.failures().len());
    seen.only(&["one"]);
    assert!(kills >= 9, "three steps and their undoing have at least nine entries");
    assert_eq!(place.service("web")["release"], "r1");
}

#[test]
fn real_a_canary_with_a_soak_survives_the_agents_death_after_every_journal_entry() {
    let images = [image("one", &[]), image("two", &[])];
    let trust = "soak: {time: 300ms, requests: 10}\n    canary: {steps: [50%], pause: 300ms}";
    let mut place = trusted_under_own_processes("crashc", &images[0], trust);
    let load = Load::start(place.port);
    let kills = until_it_survives(|after| {
        let next = &images[usize::from(place.service("web")["image"] == images[0].as_str())];
        let killed = attempt(&mut place, after, &["deploy", "web", "--image", next, "--yes"], 0);
        assert_eq!(sound(&place), *next);
        killed
    });
    let requests = all_answered(load);
    eprintln!("canary and soak: {kills} kills, {requests} requests, 0 failed");
    assert!(kills >= 20, "it has ten steps with two entries each");
}

#[test]
fn real_a_deploy_survives_the_agents_death_at_any_moment() {
    let images = [image("one", &[]), image("two", &[])];
    let mut place = under_own_processes("crasht", &images[0]);
    let load = Load::start(place.port);
    let mut kills = 0;
    for moment in (0..10).map(|step| Duration::from_millis(40 + 170 * step)) {
        let next = &images[usize::from(ask(place.port).as_deref() == Ok("one"))];
        let command = place.begin(&["deploy", "web", "--image", next, "--yes"]);
        std::thread::sleep(moment);
        agent(&mut place).kill().unwrap();
        agent(&mut place).wait().unwrap();
        kills += 1;
        start_agent(&mut place, None);
        // A command whose request was never answered cannot know more than that.
        let ran = Ran::of(command.wait_with_output().unwrap());
        assert!([0, 1].contains(&ran.code), "killed after {moment:?}: {ran:#?}");
        wait("the operation to end", LIMIT, || match place.run(&["up", "--yes"]) {
            ran if ran.code == 4 => Err(ran.err),
            _ => Ok(()),
        });
        let image = sound(&place);
        assert!(ran.code != 0 || image == *next, "killed after {moment:?}: {image} serves, {ran:#?}");
    }
    let requests = all_answered(load);
    eprintln!("deploy at any moment: {kills} kills, {requests} requests, 0 failed");
}

#[test]
fn real_an_exclusive_service_is_never_there_twice_through_the_agents_death_after_every_journal_entry() {
    let images = [image("one", &[]), image("two", &[])];
    let mut place = Place::new("crashx");
    place.compose(&super::place::web(&images[0], ""));
    place.platform("5m", "");
    let written = std::fs::read_to_string(place.dir().join("mainstay.yaml")).unwrap();
    place.write("mainstay.yaml", &written.replace("strategy: blue-green", "strategy: exclusive"));
    place.start("edge", None);
    start_agent(&mut place, None);
    place.run(&["up", "--yes"]).done();
    let watch = Watch::start(&place, "web");
    let load = Load::start(place.port);
    let kills = until_it_survives(|after| {
        let next = &images[usize::from(ask(place.port).as_deref() == Ok("one"))];
        let killed = attempt(&mut place, after, &["deploy", "web", "--image", next, "--yes"], 0);
        assert_eq!(sound(&place), *next);
        killed
    });
    let requests = all_answered(load);
    assert_eq!(watch.most(), 1, "how many ran at once");
    eprintln!("exclusive: {kills} kills, {requests} requests, 0 failed");
    assert!(kills >= 14, "a stop-first roll-out has seven steps with two entries each");
}

#[test]
fn real_a_rolling_deploy_survives_the_agents_death_after_every_journal_entry() {
    let images = [image("one", &[]), image("two", &[])];
    let mut place = Place::new("crashroll");
    place.compose(&super::place::web(&images[0], "    deploy: {replicas: 2}\n"));
    place.platform("5m", "");
    let written = std::fs::read_to_string(place.dir().join("mainstay.yaml")).unwrap();
    place.write("mainstay.yaml", &written.replace("strategy: blue-green", "strategy: rolling"));
    place.start("edge", None);
    start_agent(&mut place, None);
    place.run(&["up", "--yes"]).done();
    let load = Load::start(place.port);
    let kills = until_it_survives(|after| {
        let next = &images[usize::from(place.service("web")["image"] == images[0].as_str())];
        let killed = attempt(&mut place, after, &["deploy", "web", "--image", next, "--yes"], 0);
        let web = place.service("web");
        assert_eq!((&web["image"], &web["running"], &web["copies"]), (&next.as_str().into(), &2.into(), &2.into()));
        assert_eq!(place.status()["platforms"][0]["strays"], serde_json::json!([]));
        killed
    });
    let requests = all_answered(load);
    eprintln!("rolling: {kills} kills, {requests} requests, 0 failed");
    assert!(kills >= 20, "two batches have nine steps, and four are around them");
}

#[test]
fn real_a_deploy_that_is_one_ends_whole_or_not_at_all_whenever_the_agent_dies() {
    let images = [image("one", &[]), image("two", &[]), image("crashing", &[("CRASH_AFTER_MS", "50")])];
    let mut place = Place::new("crashall");
    let api = super::place::service("api", &images[0], "    depends_on: [web]\n");
    place.compose(&[super::place::web(&images[0], ""), api].concat());
    place.platform(
        "5m",
        "  api:\n    strategy: blue-green\n    port: 8080\n    health: {path: /health, budget: 5s}\n    routes: [{path: /api}]\n",
    );
    place.start("edge", None);
    start_agent(&mut place, None);
    place.run(&["up", "--yes"]).done();
    let load = Load::start(place.port);
    let (web, api) = (format!("web={}", images[1]), format!("api={}", images[2]));
    let mut kills = 0;
    // Every fourth entry: each of them is tried in the fake world.
    for after in (1..80).step_by(4) {
        let words = ["deploy", "--image", &web, "--image", &api, "--all-or-nothing", "--yes"];
        let killed = attempt(&mut place, after, &words, 3);
        for (service, release) in [("web", "r1"), ("api", "r2")] {
            assert_eq!(place.service(service)["release"], release, "{service} after entry {after}");
        }
        let running = place.containers().into_iter().filter(|(_, state)| state == "running").count();
        assert_eq!(running, 2, "after entry {after}: {:?}", place.containers());
        if !killed {
            break;
        }
        kills += 1;
    }
    let requests = all_answered(load);
    eprintln!("all or nothing: {kills} kills, {requests} requests, 0 failed");
    assert!(kills >= 8, "forward and back there are more than thirty entries");
}

/// A platform whose edge and agent this test runs itself, without a supervisor.
fn under_own_processes(test: &str, image: &str) -> Place {
    trusted_under_own_processes(test, image, "soak: 0s")
}

/// The same with its own words for how a release earns its traffic.
pub fn trusted_under_own_processes(test: &str, image: &str, trust: &str) -> Place {
    let mut place = Place::trusted(test, trust);
    place.compose(&super::place::web(image, ""));
    place.platform("5m", "");
    place.start("edge", None);
    start_agent(&mut place, None);
    place.run(&["up", "--yes"]).done();
    place
}

fn until_it_survives(mut attempt: impl FnMut(u32) -> bool) -> u32 {
    for after in 1..ENOUGH {
        if !attempt(after) {
            return after - 1;
        }
    }
    panic!("the agent was still killed after entry {ENOUGH}");
}

/// One command with an agent that dies after so many entries; the next agent goes on. Whether it died.
fn attempt(place: &mut Place, after: u32, words: &[&str], code: i32) -> bool {
    stop_agent(place);
    start_agent(place, Some(after));
    let mut command = place.begin(words);
    let killed = wait("the command to end or the agent to die", LIMIT, || {
        let died = agent(place).try_wait().unwrap().is_some();
        let ended = command.try_wait().unwrap().is_some();
        if died || ended { Ok(died) } else { Err("both run".to_owned()) }
    });
    if killed {
        start_agent(place, None);
    }
    let ran = Ran::of(command.wait_with_output().unwrap());
    assert_eq!(ran.code, code, "the next agent goes on, and the command with it; killed after {after}: {ran:#?}");
    killed
}

pub fn start_agent(place: &mut Place, crash_after: Option<u32>) {
    place.start("agent", crash_after);
    let socket = place.state().join("run/agent.sock");
    wait("the agent to answer", LIMIT, || {
        std::os::unix::net::UnixStream::connect(&socket).map(drop).map_err(|error| error.to_string())
    });
}

pub fn agent(place: &mut Place) -> &mut std::process::Child {
    place.started.last_mut().unwrap()
}

fn stop_agent(place: &mut Place) {
    let child = agent(place);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
    child.wait().unwrap();
}

/// What has to be true whenever nothing is under way. Returns the image that serves.
pub fn sound(place: &Place) -> String {
    let status = wait("the edge to be in step", LIMIT, || {
        let status = place.status();
        if status["edge"]["in_sync"] == true { Ok(status) } else { Err(status["edge"].to_string()) }
    });
    let platform = &status["platforms"][0];
    assert_eq!(platform["strays"], serde_json::json!([]), "no container without a release");
    let web = &platform["services"][0];
    assert_eq!((&web["state"], &web["routed"]), (&"running".into(), &true.into()), "{web:#}");
    let releases = place.releases();
    let states: Vec<(&str, &str)> = releases
        .iter()
        .map(|release| (release["container"].as_str().unwrap(), release["state"]["is"].as_str().unwrap()))
        .collect();
    let serving = states.iter().filter(|(_, state)| *state == "serving").count();
    assert_eq!(serving, 1, "exactly one release serves: {states:?}");
    for (name, docker) in place.containers() {
        let state = states.iter().find(|(known, _)| *known == name).map(|(_, state)| *state);
        let legal =
            matches!((state, docker.as_str()), (Some("serving" | "parked"), "running") | (Some("failed"), "exited"));
        assert!(legal, "container {name} is {docker}, its release is {state:?}");
    }
    for (name, state) in &states {
        assert!(!matches!(*state, "prepared" | "starting"), "{name} is still {state}");
    }
    let image = web["image"].as_str().unwrap().to_owned();
    let body = ask(place.port).unwrap();
    assert!(image.contains(&format!(":{body}-")), "status says {image}, the body is {body}");
    // The lock is free, and there is nothing left to do.
    place.run(&["up", "--yes"]).done().says("Nothing had to be changed");
    image
}

fn all_answered(load: Load) -> usize {
    let seen = load.end();
    seen.only(&["one", "two"]);
    seen.count()
}
