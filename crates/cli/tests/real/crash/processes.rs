//! The edge dies in mid-deploy; everything dies at once; two commands come at once; the clock jumps.

use std::collections::BTreeSet;
use std::process::Child;
use std::time::Duration;

use machine::files::{Lock, Root};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::super::load::{Load, Seen, ask};
use super::super::place::{Place, Ran, image, wait, web};
use super::row::{Became, Row, stride};
use super::{LIMIT, agent, agent_answers, kill_agent, other, start_agent, stop_agent, under_own_processes};

/// Moments of a deploy, which takes about two seconds.
fn moments(sampled: u32) -> Vec<Duration> {
    let count = if stride(sampled) == 1 { 24 } else { 24 / sampled };
    (0..count).map(|number| Duration::from_millis(20 + u64::from(2_000 / count * number))).collect()
}

/// Who holds a lock of the state folder.
fn holder(place: &Place, process: &str) -> Option<Pid> {
    match Root::open(place.state()).unwrap().lock(format!("run/{process}.lock")).unwrap() {
        Lock::Held { pid } => pid.map(|pid| Pid::from_raw(i32::try_from(pid).unwrap())),
        Lock::Acquired(_) => None,
    }
}

fn end(pid: Pid) {
    let _ = kill(pid, Signal::SIGKILL);
}

/// Requests fail only where nobody listened; none is answered by what does not serve.
fn only_unheard(seen: &Seen, bodies: &[&str]) {
    let words = ["connect:", "closed after", "receive:", "send:", "HTTP/1.1 502 ", "HTTP/1.1 503 "];
    let others: Vec<&str> =
        seen.failures().into_iter().filter(|failure| !words.iter().any(|word| failure.starts_with(word))).collect();
    assert!(others.is_empty(), "{} others, first: {}", others.len(), others[0]);
    assert!(seen.bodies().keys().all(|body| bodies.contains(body)), "{:?}", seen.bodies());
}

fn became(place: &Place, wanted: &str) -> Became {
    if place.service("web")["image"] == wanted { Became::Finished } else { Became::Undone }
}

#[test]
fn real_a_deploy_ends_whole_when_the_edge_is_killed_in_the_middle_of_it() {
    let images = [image("one", &[]), image("two", &[])];
    let place = Place::with_web("crashedge", &images[0]);
    let mut row = Row::new("edge in mid-deploy");
    let load = Load::start(place.port);
    for moment in moments(4) {
        let next = other(&place, &images).clone();
        let command = place.begin(&["deploy", "web", "--image", &next, "--yes"]);
        std::thread::sleep(moment);
        end(holder(&place, "edge").unwrap());
        let ran = Ran::of(command.wait_with_output().unwrap());
        assert!([0, 1, 3].contains(&ran.code), "killed after {moment:?}: {ran:#?}");
        let became = became(&place, &next);
        assert_eq!(ran.code == 0, became == Became::Finished, "killed after {moment:?}: {ran:#?}");
        row.hit(&place, &format!("after {moment:?}"), became);
    }
    let seen = load.end();
    only_unheard(&seen, &["one", "two"]);
    row.asked(&seen);
    row.end(6);
}

/// The process and those that it has started: a power failure spares nobody.
fn family(pid: Pid) -> Vec<Pid> {
    let children = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten().flat_map(|task| {
        let text = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        text.split_whitespace().filter_map(|child| child.parse().ok()).map(Pid::from_raw).collect::<Vec<_>>()
    });
    std::iter::once(pid).chain(children.flat_map(family)).collect()
}

/// The first process of each container: the engine starts it again, as after a power failure.
fn insides(place: &Place) -> Vec<Pid> {
    let running = place.docker(&["ps", "--quiet", "--filter", &place.label()]);
    let each = running.lines().filter_map(|id| place.try_docker(&["inspect", "--format", "{{.State.Pid}}", id]).ok());
    each.filter_map(|pid| pid.trim().parse().ok()).filter(|pid| *pid > 0).map(Pid::from_raw).collect()
}

/// Docker waits twice as long each time before it starts again what has died; after a power failure it would not.
fn rest(place: &Place) {
    let serving = place.container("web", place.service("web")["release"].as_str().unwrap());
    for (name, _) in place.containers().iter().filter(|(name, state)| *name != serving && state != "exited") {
        let _ = place.try_docker(&["restart", "--time", "0", name]);
    }
}

#[test]
fn real_a_deploy_is_finished_or_undone_after_everything_has_died_at_once() {
    let images = [image("one", &[]), image("two", &[])];
    let place = Place::with_web("crashpower", &images[0]);
    let mut row = Row::new("agent, edge, supervisor and containers at once");
    let load = Load::start(place.port);
    for moment in moments(6) {
        rest(&place);
        let next = other(&place, &images).clone();
        let command = place.begin(&["deploy", "web", "--image", &next, "--yes"]);
        std::thread::sleep(moment);
        let processes = ["supervisor", "agent", "edge"].iter().filter_map(|process| holder(&place, process));
        let mut all: Vec<Pid> = processes.flat_map(family).collect();
        all.extend(insides(&place));
        all.into_iter().for_each(end);
        // The first command after it starts everything again.
        wait("the operation to end", LIMIT, || match place.run(&["up", "--yes", "--no-wait"]) {
            ran if ran.code == 0 => Ok(()),
            ran => Err(ran.err),
        });
        let ran = Ran::of(command.wait_with_output().unwrap());
        let became = became(&place, &next);
        assert!(ran.code != 0 || became == Became::Finished, "killed after {moment:?}: {ran:#?}");
        row.hit(&place, &format!("after {moment:?}"), became);
    }
    let seen = load.end();
    only_unheard(&seen, &["one", "two"]);
    row.asked(&seen);
    row.end(4);
}

#[test]
fn real_of_two_commands_at_once_each_is_done_or_refused_and_one_agent_serves_both() {
    let names = ["one", "two", "three"];
    let images = names.map(|name| image(name, &[]));
    let place = Place::with_web("crashtwo", &images[0]);
    let mut row = Row::new("two commands at once");
    let load = Load::start(place.port);
    // Which of the two is refused is not said: what is done answers requests, and what is refused never does.
    let mut served = BTreeSet::from([names[0]]);
    for round in 0..if stride(4) == 1 { 12 } else { 3 } {
        let wanted = [&images[(round + 1) % 3], &images[(round + 2) % 3]];
        let deploy = |image: &String| place.begin(&["deploy", "web", "--image", image, "--yes", "--no-wait"]);
        let both: Vec<Child> = wanted.iter().map(|image| deploy(image)).collect();
        let ran: Vec<Ran> = both.into_iter().map(|one| Ran::of(one.wait_with_output().unwrap())).collect();
        let done: Vec<&String> =
            wanted.iter().zip(&ran).filter(|(_, ran)| ran.code == 0).map(|(one, _)| *one).collect();
        assert!(!done.is_empty() && ran.iter().all(|ran| [0, 4].contains(&ran.code)), "{ran:#?}");
        let serves = place.service("web")["image"].clone();
        assert!(done.iter().any(|image| serves == image.as_str()), "{serves} serves, {done:?} were done");
        served.extend(names.iter().zip(&images).filter(|(_, image)| done.contains(image)).map(|(name, _)| *name));
        row.hit(&place, &format!("round {round}"), Became::Finished);
    }
    row.answered(&load.end(), &served.into_iter().collect::<Vec<_>>());
    // Both find no agent, and both start one; `stop` takes the edge with it.
    let load = Load::start(place.port);
    for round in 0..stride(1).max(2) {
        place.run(&["stop"]).done();
        let both: Vec<Child> = (0..2).map(|_| place.begin(&["up", "--yes"])).collect();
        for one in both {
            Ran::of(one.wait_with_output().unwrap()).done();
        }
        row.hit(&place, &format!("start {round}"), Became::Finished);
    }
    let seen = load.end();
    only_unheard(&seen, &names);
    row.asked(&seen);
    row.end(5);
}

#[test]
fn real_a_clock_that_jumps_gives_nobody_a_lock_that_is_held_and_keeps_none_that_is_not() {
    let images = [image("one", &[]), image("slow", &[("HEALTHY_AFTER_MS", "2500")])];
    let mut place = Place::new("crashclock");
    place.compose(&web(&images[0], ""));
    place.platform("5m", "");
    place.start("edge", None);
    let file = place.dir().join("shift");
    let shift = |hours: i64| std::fs::write(&file, (hours * 3_600_000).to_string()).unwrap();
    let variable = file.display().to_string();
    let start = |place: &mut Place| {
        place.start_with("agent", &[("MAINSTAY_TEST_CLOCK_SHIFT", &variable)]);
        agent_answers(place);
    };
    shift(0);
    start(&mut place);
    place.run(&["up", "--yes"]).done();
    let mut row = Row::new("clock jumps: an old lease");
    let load = Load::start(place.port);
    for hours in [2, -4, 6] {
        let next = other(&place, &images).clone();
        // While somebody works, the time of the lease is over, or far away.
        let command = place.begin(&["deploy", "web", "--image", &next, "--force", "--yes"]);
        under_way(&place);
        shift(hours);
        let second = place.run(&["deploy", "web", "--image", &images[0], "--force", "--yes", "--no-wait"]);
        let first = Ran::of(command.wait_with_output().unwrap()).done();
        second.ended(4).says("is being changed by");
        assert!(first.err.contains("r"), "{first:?}");
        row.hit(&place, &format!("{hours} h while it runs"), Became::Finished);
        // An agent dies with the lock in its hands, and the next one lives in another time.
        let next = other(&place, &images).clone();
        let command = place.begin(&["deploy", "web", "--image", &next, "--force", "--yes"]);
        under_way(&place);
        kill_agent(&mut place);
        shift(-hours);
        start(&mut place);
        Ran::of(command.wait_with_output().unwrap()).done();
        assert_eq!(place.service("web")["image"], next.as_str());
        row.hit(&place, &format!("{hours} h over a death"), Became::Finished);
        place.run(&["up", "--yes", "--no-wait"]).done();
    }
    row.answered(&load.end(), &["one", "slow"]);
    assert!(ask(place.port).is_ok());
    row.end(6);
}

fn under_way(place: &Place) {
    wait("the operation", LIMIT, || {
        let all = place.run(&["follow", "--json"]).json();
        match all.as_array().is_some_and(|all| all.iter().any(|one| one["ended_ms"].is_null())) {
            true => Ok(()),
            false => Err("nothing is under way".to_owned()),
        }
    });
}

#[test]
fn real_a_deploy_is_finished_by_the_next_agent_when_one_breaks_in_the_middle_of_it() {
    let images = [image("one", &[]), image("two", &[])];
    let mut place = under_own_processes("crashbreak", &images[0]);
    let mut row = Row::new("an agent that breaks by itself: after each entry");
    let load = Load::start(place.port);
    for after in (1..=10).step_by(stride(4) as usize) {
        let next = other(&place, &images).clone();
        stop_agent(&mut place);
        place.start_with("agent", &[("MAINSTAY_TEST_BREAK_AFTER", &after.to_string())]);
        agent_answers(&place);
        let command = place.begin(&["deploy", "web", "--image", &next, "--yes"]);
        wait("the agent to break", LIMIT, || {
            agent(&mut place).try_wait().unwrap().map(drop).ok_or_else(|| "it lives".to_owned())
        });
        start_agent(&mut place, None);
        let ran = Ran::of(command.wait_with_output().unwrap());
        assert_eq!(ran.code, 0, "it broke after {after}: {ran:#?}");
        row.hit(&place, &format!("after entry {after}"), Became::Finished);
    }
    row.answered(&load.end(), &["one", "two"]);
    row.end(3);
}

#[test]
fn real_an_operation_that_breaks_its_agent_twice_is_given_up_and_the_agent_stays() {
    let images = [image("one", &[]), image("two", &[])];
    let mut place = under_own_processes("crashtwice", &images[0]);
    let breaks = [("MAINSTAY_TEST_BREAK_AFTER", "3")];
    stop_agent(&mut place);
    place.start_with("agent", &breaks);
    agent_answers(&place);
    let command = place.begin(&["deploy", "web", "--image", &images[1], "--yes"]);
    wait("the agent to break", LIMIT, || {
        agent(&mut place).try_wait().unwrap().map(drop).ok_or_else(|| "it lives".to_owned())
    });
    place.start_with("agent", &breaks);
    agent_answers(&place);
    let ran = Ran::of(command.wait_with_output().unwrap());
    assert_ne!(ran.code, 0, "{ran:#?}");
    ran.says("broke off twice");
    assert!(agent(&mut place).try_wait().unwrap().is_none(), "others are still served");
    stop_agent(&mut place);
    start_agent(&mut place, None);
    assert_eq!(super::after::broken(&place), Vec::<String>::new(), "the next agent goes on with what was under way");
}
