//! A release earns its traffic: watched after the switch, tried out before it, and sent back when it does worse.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::crash::{agent, start_agent, trusted_under_own_processes};
use super::load::{Load, Seen, ask};
use super::place::{Place, Ran, docker, image, wait, web};

const LIMIT: Duration = Duration::from_secs(60);

/// A platform whose release `one` has been asked enough to be compared with.
fn watched(test: &str, trust: &str) -> (Place, Load) {
    let place = Place::trusted(test, trust);
    place.compose(&web(&image("one", &[]), ""));
    place.platform("5m", "");
    place.run(&["up", "--yes"]).done();
    let load = Load::start(place.port);
    asked(&load, 150);
    (place, load)
}

fn asked(load: &Load, requests: usize) {
    let before = load.so_far().count();
    wait("enough requests", LIMIT, || match load.so_far().count() - before {
        enough if enough >= requests => Ok(()),
        few => Err(format!("{few} so far")),
    });
}

fn deploy(place: &Place, image: &str) -> Ran {
    place.run(&["deploy", "web", "--image", image, "--yes"])
}

/// Everything as it was: the first release serves alone, and the container that did worse is kept stopped.
fn back_on_the_first(place: &Place, kept: &str) {
    let web = place.service("web");
    assert_eq!((&web["release"], &web["routed"]), (&"r1".into(), &true.into()), "{web:#}");
    assert_eq!(web["canary"], Value::Null);
    let state = docker(&["inspect", "--format", "{{.State.Status}}", &place.container("web", kept)]);
    assert_eq!(state.trim(), "exited");
    let states: Vec<_> = place.releases().iter().map(|release| release["state"]["is"].clone()).collect();
    assert_eq!(states, ["serving", "failed"]);
    assert_eq!(place.status()["edge"]["in_sync"], true);
    assert_eq!(ask(place.port).as_deref(), Ok("one"));
}

/// Requests failed only where the application itself said so, and at most so many.
fn only_its_own_failures(seen: &Seen, build: &str, most: usize) {
    let failures = seen.failures();
    let own = format!("HTTP/1.1 500 Internal Server Error: {build}");
    let others: Vec<_> = failures.iter().filter(|failure| **failure != own).collect();
    assert!(others.is_empty(), "{others:?}");
    eprintln!("{} requests, {} answered 500 by `{build}`", seen.count(), failures.len());
    assert!(failures.len() <= most, "{} requests got a bad answer, {most} are expected", failures.len());
}

/// The newest evidence of a kind, and its verdict's word.
fn evidence(place: &Place, kind: &str) -> (String, Value) {
    let clock = std::sync::Arc::new(machine::clock::SystemClock::new());
    let ledger = ledger::Ledger::open(&place.state().join("ledger.db"), clock).unwrap();
    let found = ledger.evidence(kind, &format!("{}/production/web", place.name), 1).unwrap().remove(0);
    let verdict = serde_json::to_value(&found.verdict).unwrap();
    (verdict["answer"].as_str().unwrap().to_owned(), found.detail)
}

#[test]
fn real_traffic_flips_back_by_itself_when_the_new_release_breaks_its_answers_off() {
    let (place, load) = watched("cut", "soak: {time: 20s, requests: 50}");
    let began = Instant::now();
    let ran = deploy(&place, &image("cutting", &[("CUT", "1")])).ended(3);
    assert!(began.elapsed() < Duration::from_secs(15), "what is clear is not watched to the end");
    ran.says("by breaking off in the middle").says("traffic is back on r1");
    back_on_the_first(&place, "r2");
    let seen = load.end();
    let cut = |failure: &&str| failure.starts_with("closed after") || failure.starts_with("receive");
    assert!(seen.failures().iter().all(cut), "{:?}", seen.failures());
    let (verdict, _) = evidence(&place, "soak");
    assert_eq!(verdict, "fail");
}

#[test]
fn real_traffic_flips_back_by_itself_when_the_new_release_fails_requests() {
    let (place, load) = watched("flip", "soak: {time: 20s, requests: 50}");
    let began = Instant::now();
    let ran = deploy(&place, &image("failing", &[("FAIL_RATIO_PERCENT", "30")])).ended(3);
    assert!(began.elapsed() < Duration::from_secs(15), "what is clear is not watched to the end");
    ran.says("answers were 5xx").says("5% are allowed").says("traffic is back on r1").says("its container is kept");
    back_on_the_first(&place, "r2");
    // A hundred requests a second until fifty are counted, a look every 250 ms, and the epoch: a third of them fail.
    only_its_own_failures(&load.end(), "failing", 60);
    let told = place.run(&["events", "--kind", "notice.flipped-back", "--json"]).done().out;
    assert!(told.contains("was flipped back to the release before") && told.contains("5xx"), "{told}");
    let (verdict, detail) = evidence(&place, "soak");
    assert_eq!(verdict, "fail");
    assert!(detail["judgement"]["new"]["errors"].as_u64() >= Some(10), "{detail:#}");
    assert!(detail["judgement"]["old"]["requests"].as_u64() >= Some(100), "{detail:#}");
    place.run(&["deploy", "web", "--image", &image("two", &[]), "--no-soak", "--yes"]).done();
    assert_eq!(ask(place.port).as_deref(), Ok("two"));
}

#[test]
fn real_traffic_flips_back_by_itself_when_the_new_release_is_slow() {
    let (place, load) = watched("slow", "soak: {time: 4s, requests: 50}");
    let ran = deploy(&place, &image("slow", &[("SLOW_MS", "800")])).ended(3);
    ran.says("its p95 is").says("500 ms is allowed").says("traffic is back on r1");
    back_on_the_first(&place, "r2");
    only_its_own_failures(&load.end(), "slow", 0);
    assert_eq!(evidence(&place, "soak").0, "fail");
}

#[test]
fn real_a_rolling_release_is_watched_beside_the_old_copies_and_goes_back_before_more_of_them_have_gone() {
    let place = Place::trusted("fliproll", "soak: {time: 20s, requests: 30}");
    place.compose(&web(&image("one", &[]), "    deploy: {replicas: 3}\n"));
    place.platform("5m", "");
    let written = std::fs::read_to_string(place.dir().join("mainstay.yaml")).unwrap();
    place.write("mainstay.yaml", &written.replace("strategy: blue-green", "strategy: rolling"));
    place.run(&["up", "--yes"]).done();
    let load = Load::start(place.port);
    asked(&load, 150);
    let ran = deploy(&place, &image("failing", &[("FAIL_RATIO_PERCENT", "50")])).ended(3);
    ran.says("watches r2 beside the old copies for 20 s").says("answers were 5xx").says("it was rolled back");
    assert!(!ran.err.contains("leave-2"), "no old copy has gone: {}", ran.err);
    back_on_the_first(&place, "r2");
    // A quarter of the requests met the new copy, and half of those failed.
    only_its_own_failures(&load.end(), "failing", 60);
    let (verdict, detail) = evidence(&place, "soak");
    assert_eq!(verdict, "fail");
    assert_eq!(detail["judgement"]["old"]["errors"], 0, "what the new copy answers is not the old ones': {detail:#}");
    assert_eq!(running(&place), 3);

    let load = Load::start(place.port);
    place.write(
        "mainstay.yaml",
        &std::fs::read_to_string(place.dir().join("mainstay.yaml")).unwrap().replace("20s", "2s"),
    );
    let ran = deploy(&place, &image("two", &[])).done();
    ran.says("r3 does no worse than r1");
    load.end().only(&["one", "two"]);
    assert_eq!(evidence(&place, "soak").0, "pass");
}

/// How many containers run.
fn running(place: &Place) -> usize {
    place.containers().iter().filter(|(_, state)| state == "running").count()
}

#[test]
fn real_a_good_release_stays_and_one_that_nobody_asks_stays_unjudged() {
    let (place, load) = watched("soak", "soak: {time: 2s, requests: 50}");
    let ran = deploy(&place, &image("two", &[])).done();
    ran.says("watches r2 for 2 s").says("does no worse than r1");
    load.end().switched("one", "two");
    assert_eq!(evidence(&place, "soak").0, "pass");
    assert_eq!(place.service("web")["warm"], serde_json::json!(["r1"]));

    let ran = deploy(&place, &image("failing", &[("FAIL_RATIO_PERCENT", "100")])).done();
    ran.says("it is not known how well it does");
    assert_eq!(evidence(&place, "soak").0, "unknown", "and never a pass");
    assert_eq!(place.service("web")["release"], "r3");
    assert_eq!(place.service("web")["warm"], serde_json::json!(["r1", "r2"]));
}

#[test]
fn real_an_exclusive_service_flips_back_as_well_and_its_requests_wait() {
    let place = Place::trusted("flipalone", "soak: {time: 20s, requests: 50}");
    place.compose(&web(&image("one", &[]), ""));
    place.platform("5m", "");
    let written = std::fs::read_to_string(place.dir().join("mainstay.yaml")).unwrap();
    place.write("mainstay.yaml", &written.replace("strategy: blue-green", "strategy: exclusive"));
    place.run(&["up", "--yes"]).done();
    let load = Load::start(place.port);
    asked(&load, 150);
    let ran = deploy(&place, &image("failing", &[("FAIL_RATIO_PERCENT", "30")])).ended(3);
    ran.says("requests wait until r1 runs again").says("traffic is back on the release before");
    back_on_the_first(&place, "r2");
    // Those that waited through the replacement are answered by it all at once.
    only_its_own_failures(&load.end(), "failing", 150);
}

#[test]
fn real_the_agents_death_in_the_soak_neither_lengthens_it_nor_loses_what_it_compares_with() {
    let trust = "soak: {time: 6s, requests: 50}";
    let mut place = trusted_under_own_processes("soakdeath", &image("one", &[]), trust);
    let load = Load::start(place.port);
    asked(&load, 150);
    let command = place.begin(&["deploy", "web", "--image", &image("two", &[]), "--yes"]);
    let switched = serves(&place, "r2");
    asked(&load, 100);
    kill_the_agent(&mut place);
    let ran = Ran::of(command.wait_with_output().unwrap()).done();
    let took = switched.elapsed();
    ran.says("does no worse than r1");
    assert!(
        (Duration::from_secs(5)..Duration::from_secs(10)).contains(&took),
        "six seconds in all, not again: {took:?}"
    );
    let (verdict, detail) = evidence(&place, "soak");
    assert_eq!(verdict, "pass");
    assert!(detail["judgement"]["old"]["requests"].as_u64() >= Some(100), "{detail:#}");
    load.end().only(&["one", "two"]);

    // Slow answers are judged from half of the time on: the agent is dead by then, and the next one knows.
    let slow = image("slow", &[("SLOW_MS", "900")]);
    let load = Load::start(place.port);
    let command = place.begin(&["deploy", "web", "--image", &slow, "--yes"]);
    serves(&place, "r3");
    kill_the_agent(&mut place);
    let ran = Ran::of(command.wait_with_output().unwrap()).ended(3);
    ran.says("its p95 is").says("traffic is back on r2");
    assert_eq!(place.service("web")["release"], "r2");
    only_its_own_failures(&load.end(), "slow", 0);
    assert_eq!(place.releases().len(), 3, "a release that was judged bad is not served a second time");
}

#[test]
fn real_a_manual_canary_waits_for_a_person_and_is_promoted() {
    let trust = "soak: 0s\n    canary: {steps: [10%, 50%], pause: manual, by: weight}";
    let (place, load) = watched("promote", trust);
    let ran = deploy(&place, &image("two", &[])).done();
    ran.says("r2 waits at 10%").says("mainstay canary promote web").says("goes on as op");
    let canary = place.service("web")["canary"].clone();
    assert_eq!((&canary["release"], &canary["share"]), (&"r2".into(), &"10%".into()), "{canary:#}");
    assert_eq!(place.service("web")["release"], "r1");
    place.run(&["canary", "status"]).done().says("r2").says("10%");
    place.run(&["up", "--yes", "--no-wait"]).ended(4).says("is being changed by");
    asked(&load, 300);
    place.run(&["canary", "next", "web"]).done().says("50%");
    wait("the next share", LIMIT, || match place.service("web")["canary"]["share"].as_str() {
        Some("50%") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    place.run(&["canary", "next", "web"]).ended(4).says("the canary's last share");
    asked(&load, 200);
    let shared = load.so_far();
    place.run(&["canary", "promote", "web"]).done();
    let web = place.service("web");
    assert_eq!((&web["release"], &web["canary"]), (&"r2".into(), &Value::Null), "{web:#}");
    let seen = load.end();
    seen.only(&["one", "two"]);
    let two = shared.bodies()["two"];
    // A tenth of 300 and half of 200, with deviations of about 9.
    assert!((80..=190).contains(&two), "{:?}", shared.bodies());
    place.run(&["canary", "promote", "web"]).ended(4).says("no canary under way");
}

#[test]
fn real_an_aborted_canary_leaves_the_old_release_serving_all() {
    let (place, load) = watched("abort", "soak: 0s");
    let file = std::fs::read_to_string(place.dir().join("mainstay.yaml")).unwrap();
    place.write(
        "mainstay.yaml",
        &file.replace("    soak: 0s\n", "    soak: 0s\n    canary: {steps: [30%], pause: manual}\n"),
    );
    deploy(&place, &image("two", &[])).done().says("r2 waits at 30%");
    // A client with a place below the share is the new release's, every time; one above it never is.
    let by_place = |place_number: u32| {
        let cookie = format!("cookie: mainstay-canary-web-r2={place_number}");
        (0..20).map(|_| super::load::ask_with(place.port, &cookie).unwrap()).collect::<Vec<_>>()
    };
    assert!(by_place(2_999).iter().all(|body| body == "two") && by_place(3_000).iter().all(|body| body == "one"));
    place.run(&["canary", "abort", "web"]).done().says("the canary was given up by");
    back_on_the_first(&place, "r2");
    assert!(by_place(0).iter().all(|body| body == "one"));
    load.end().only(&["one", "two"]);
}

#[test]
fn real_a_canary_that_fails_requests_goes_no_further() {
    let trust = "soak: {time: 0s, requests: 20}\n    canary: {steps: [20%, 50%], pause: 30s, by: weight}";
    let (place, load) = watched("canaryfail", trust);
    let ran = deploy(&place, &image("failing", &[("FAIL_RATIO_PERCENT", "50")])).ended(3);
    ran.says("judge 20%").says("answers were 5xx");
    back_on_the_first(&place, "r2");
    // Twenty requests at a share of a fifth, and a look every 250 ms: a dozen bad answers, with room for chance.
    only_its_own_failures(&load.end(), "failing", 40);
    assert_eq!(evidence(&place, "canary").0, "fail");
}

#[test]
fn real_the_agents_death_in_a_canary_loses_no_share_and_its_time_goes_on() {
    let trust = "soak: 0s\n    canary: {steps: [50%], pause: 6s, by: weight}";
    let mut place = trusted_under_own_processes("canarydeath", &image("one", &[]), trust);
    let load = Load::start(place.port);
    asked(&load, 100);
    let command = place.begin(&["deploy", "web", "--image", &image("two", &[]), "--yes"]);
    wait("the share", LIMIT, || match place.service("web")["canary"]["share"].as_str() {
        Some("50%") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let began = Instant::now();
    asked(&load, 100);
    kill_the_agent(&mut place);
    let ran = Ran::of(command.wait_with_output().unwrap()).done();
    ran.says("does no worse than r1");
    let took = began.elapsed();
    assert!(
        (Duration::from_secs(5)..Duration::from_secs(11)).contains(&took),
        "six seconds in all, not again: {took:?}"
    );
    assert_eq!(place.service("web")["release"], "r2");
    load.end().only(&["one", "two"]);
}

/// When this release was seen to serve.
fn serves(place: &Place, release: &str) -> Instant {
    wait("the switch", LIMIT, || match place.service("web")["release"].as_str() {
        Some(found) if found == release => Ok(Instant::now()),
        other => Err(format!("{other:?}")),
    })
}

fn kill_the_agent(place: &mut Place) {
    agent(place).kill().unwrap();
    agent(place).wait().unwrap();
    start_agent(place, None);
}
