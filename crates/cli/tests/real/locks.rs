//! Two operators at once.

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::crash::{LIMIT, end_agent, start_agent, under_own_processes};
use super::place::{Place, Ran, image, wait};

#[test]
fn real_the_second_of_two_deploys_is_refused_and_told_who_holds_the_lock() {
    let place = Place::with_web("lock", &image("one", &[]));
    let slow = image("slow", &[("HEALTHY_AFTER_MS", "4000")]);
    let first = place.begin(&["deploy", "web", "--image", &slow, "--yes"]);
    wait("the first deploy to begin", Duration::from_secs(20), || {
        let count = place.releases().len();
        if count == 2 { Ok(()) } else { Err(format!("{count} releases")) }
    });
    let second = place
        .command(&["deploy", "web", "--image", &image("two", &[]), "--yes", "--no-wait"])
        .env("USER", "second")
        .output()
        .unwrap();
    Ran::of(second).ended(4).says("is being changed by `up` by ").says("hint:");
    Ran::of(first.wait_with_output().unwrap()).done();
    assert_eq!(place.service("web")["release"], "r2");
    place.run(&["deploy", "web", "--image", &image("two", &[]), "--yes"]).done();
}

#[test]
fn real_the_lock_of_an_agent_that_died_before_it_had_begun_is_freed_by_the_next() {
    let mut place = under_own_processes("forgotten", &image("one", &[]));
    end_agent(&mut place);
    let name = lock_of(&place);
    {
        let holder = ledger::Holder { pid: 1, boot_id: "of another start".into(), note: "`prune` by root".into() };
        ledger(&place).acquire(&name, holder, Duration::from_secs(600)).unwrap();
    }
    start_agent(&mut place, None);
    wait("the lock to be free", Duration::from_secs(10), || match ledger(&place).holder(&name).unwrap() {
        None => Ok(()),
        Some(held) => Err(held.holder.note),
    });
}

#[test]
fn real_an_interrupted_operation_has_its_lock_again_before_anybody_is_answered() {
    let mut place = under_own_processes("first-answer", &image("one", &[]));
    let slow = image("slow", &[("HEALTHY_AFTER_MS", "4000")]);
    let command = place.begin(&["deploy", "web", "--image", &slow, "--yes"]);
    wait("its container", Duration::from_secs(20), || match place.containers().len() {
        2 => Ok(()),
        count => Err(format!("{count} containers")),
    });
    let (ledger, name, socket) = (ledger(&place), lock_of(&place), place.state().join("run/agent.sock"));
    for _ in 0..3 {
        end_agent(&mut place);
        let pid = place.start("agent", None);
        let begun = Instant::now();
        // Without a pause: the very first moment at which somebody could be answered counts.
        while UnixStream::connect(&socket).is_err() {
            assert!(begun.elapsed() < LIMIT, "the agent does not answer");
        }
        let held = ledger.holder(&name).unwrap().expect("the deploy to hold its lock");
        assert_eq!(held.holder.pid, pid, "the lock is still that of the agent that died");
    }
    Ran::of(command.wait_with_output().unwrap()).done();
}

fn ledger(place: &Place) -> ledger::Ledger {
    let clock = std::sync::Arc::new(machine::clock::SystemClock::new());
    ledger::Ledger::open(&place.state().join("ledger.db"), clock).unwrap()
}

fn lock_of(place: &Place) -> String {
    format!("deploy/{}/production", place.name)
}
