//! Agent and edge are killed while the supervisor looks on.

use std::time::{Duration, Instant};

use machine::files::{Lock, Root};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::load::{Load, ask};
use super::place::{Place, image, wait};

#[test]
fn real_a_killed_edge_serves_again_from_its_snapshot_within_two_seconds() {
    let place = Place::with_web("edge", &image("one", &[]));
    let pid = place.status()["edge"]["pid"].as_i64().unwrap();
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
    let began = Instant::now();
    wait("an answer", Duration::from_secs(10), || match ask(place.port) {
        Ok(body) if body == "one" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let took = began.elapsed();
    eprintln!("the edge served again after {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    let status = place.status();
    assert_ne!(status["edge"]["pid"].as_i64(), Some(pid));
    assert_eq!(status["edge"]["in_sync"], true);
}

#[test]
fn real_a_killed_agent_is_not_noticed_by_any_request() {
    let place = Place::with_web("agent", &image("one", &[]));
    let load = Load::start(place.port);
    let first = agent(&place).unwrap();
    kill(first, Signal::SIGKILL).unwrap();
    wait("another agent", Duration::from_secs(20), || match agent(&place) {
        Some(pid) if pid != first => Ok(()),
        other => Err(format!("{other:?}")),
    });
    wait("its answer", Duration::from_secs(20), || {
        let ran = place.run(&["status", "--json"]);
        if ran.code == 0 { Ok(()) } else { Err(ran.err) }
    });
    place.run(&["deploy", "web", "--image", &image("two", &[]), "--yes"]).done();
    load.end().switched("one", "two");
}

/// Who holds the agent's lock.
fn agent(place: &Place) -> Option<Pid> {
    match Root::open(place.state()).unwrap().lock("run/agent.lock").unwrap() {
        Lock::Held { pid } => pid.map(|pid| Pid::from_raw(i32::try_from(pid).unwrap())),
        Lock::Acquired(_) => None,
    }
}
