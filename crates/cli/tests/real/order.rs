//! Services that need each other: jobs before what depends on them, workers that finish first, and deploys that are one.

use super::load::{Load, ask};
use super::place::{Place, docker, image, lines, service, web};

/// `web` after a job that notes each of its runs, and ends with this status.
fn with_job(place: &Place, image: &str, word: &str, status: u32) {
    let needs = "    depends_on: {seed: {condition: service_completed_successfully}}\n";
    let script = format!("echo run {word} >> /data/runs; echo seeding {word}; exit {status}");
    let job = format!("    command: [sh, -c, \"{script}\"]\n    volumes: [\"data:/data\"]\n    restart: \"no\"\n");
    let env = format!("    environment: {{WORD: {word}}}\n");
    place.compose(&[web(image, &format!("{needs}{env}")), service("seed", image, &format!("{job}{env}"))].concat());
}

#[test]
fn real_a_job_runs_once_for_each_release_before_what_depends_on_it_and_a_failed_one_stops_the_deploy() {
    let place = Place::new("job");
    let one = image("one", &[]);
    with_job(&place, &one, "first", 0);
    place.platform("5m", "");
    place.run(&["plan"]).done().says("another service waits until it has ended well");
    place.run(&["up", "--yes"]).done().says("has ended well");
    assert_eq!(ask(place.port).as_deref(), Ok("one"));
    place.run(&["up", "--yes"]).done().says("Nothing had to be changed");
    place.run(&["deploy", "web", "--force", "--yes"]).done();
    assert_eq!(lines(&docker(&["exec", &place.container("web", "r3"), "cat", "/data/runs"])), ["run first"]);
    let log = docker(&["logs", &place.container("seed", "r1")]);
    assert_eq!(log.trim(), "seeding first", "its log is kept");
    assert_eq!(place.service("seed")["state"], "done");

    let load = Load::start(place.port);
    with_job(&place, &one, "second", 4);
    let ran = place.run(&["up", "--yes"]).ended(3);
    ran.says("the job exited with code 4").says("| seeding second");
    load.end().only(&["one"]);
    assert_eq!(place.service("web")["release"], "r3", "what depends on the job is not touched");

    with_job(&place, &one, "third", 0);
    place.run(&["up", "--yes"]).done();
    let serving = place.service("web")["release"].as_str().unwrap().to_owned();
    let runs = lines(&docker(&["exec", &place.container("web", &serving), "cat", "/data/runs"]));
    assert_eq!(runs, ["run first", "run second", "run third"], "each release ran once");
}

/// Notes the begin and the end of each piece of work, takes none when it is told so, and dies of the stop signal at once.
const WORKER: &str = "trap 'exit 0' TERM; while true; do touch /tmp/busy; if [ ! -e /tmp/stop ]; then echo begin >> /data/log; sleep 0.6; echo end >> /data/log; fi; rm -f /tmp/busy; sleep 0.05; done";

#[test]
fn real_a_worker_finishes_before_it_is_replaced_and_takes_work_again_when_the_new_one_fails() {
    let place = Place::new("finish");
    let one = image("one", &[]);
    let worker = |build: &str, script: &str| {
        let more = format!(
            "    command: [sh, -c, \"{script}\"]\n    volumes: [\"data:/data\"]\n    environment: {{BUILD: {build}}}\n"
        );
        place.compose(&[web(&one, ""), service("worker", &one, &more)].concat());
    };
    place.platform(
        "5m",
        "  worker:\n    strategy: drain-first\n    health: {check: stable, budget: 10s}\n    finish:\n      stop_taking: [touch, /tmp/stop]\n      idle: [test, \"!\", -e, /tmp/busy]\n      take_again: [rm, -f, /tmp/stop]\n      within: 20s\n",
    );
    let log = || {
        let text = docker(&["exec", &place.container("web", "r1"), "cat", "/data/log"]);
        let count = |word: &str| text.lines().filter(|line| *line == word).count();
        (count("begin"), count("end"))
    };
    worker("first", WORKER);
    place.run(&["up", "--yes"]).done();
    for build in ["second", "third"] {
        worker(build, WORKER);
        place.run(&["up", "--yes"]).done().says("takes nothing new");
        let (begun, ended) = log();
        // The new worker may be in the middle of its own.
        assert!(begun - ended <= 1, "{begun} begun and {ended} ended");
    }
    worker("broken", "exit 5");
    place.run(&["up", "--yes"]).ended(3).says("exited with code 5");
    let before = log();
    super::place::wait("the old worker to take work again", std::time::Duration::from_secs(20), || match log() {
        now if now.1 > before.1 + 1 => Ok(()),
        now => Err(format!("{now:?}")),
    });
    docker(&[
        "exec",
        &place.container("worker", place.service("worker")["release"].as_str().unwrap()),
        "touch",
        "/tmp/stop",
    ]);
    super::place::wait("the work in hand to end", std::time::Duration::from_secs(20), || match log() {
        (begun, ended) if begun == ended => Ok(()),
        now => Err(format!("{now:?}: something was begun and never ended")),
    });
}

#[test]
fn real_when_one_service_of_a_deploy_that_is_one_fails_the_others_go_back_and_no_request_is_lost() {
    let place = Place::new("together");
    let one = image("one", &[]);
    place.compose(&[web(&one, ""), service("api", &one, "    depends_on: [web]\n")].concat());
    place.platform(
        "5m",
        "  api:\n    strategy: blue-green\n    port: 8080\n    health: {path: /health, budget: 5s}\n    routes: [{path: /api}]\n",
    );
    place.run(&["up", "--yes"]).done();
    let before = place.containers();
    let (two, crashing) = (image("two", &[]), image("crashing", &[("CRASH_AFTER_MS", "50")]));
    let (web_two, api_crashing) = (format!("web={two}"), format!("api={crashing}"));
    let load = Load::start(place.port);
    let ran =
        place.run(&["deploy", "--image", &web_two, "--image", &api_crashing, "--all-or-nothing", "--yes"]).ended(3);
    ran.says("went back: web serves release r1 again").says("exited with code 3");
    load.end().only(&["one", "two"]);
    assert_eq!(ask(place.port).as_deref(), Ok("one"));
    assert_eq!(place.service("web")["release"], "r1");
    let running = |all: Vec<(String, String)>| {
        let mut up: Vec<String> =
            all.into_iter().filter(|(_, state)| state == "running").map(|(name, _)| name).collect();
        up.sort();
        up
    };
    assert_eq!(running(place.containers()), running(before), "nothing more runs than before");
    place.run(&["up", "--yes"]).done().says("Nothing had to be changed");
    // Without the word, what has switched stays.
    place.run(&["deploy", "--image", &web_two, "--image", &api_crashing, "--yes"]).ended(3);
    assert_eq!(ask(place.port).as_deref(), Ok("two"));
}
