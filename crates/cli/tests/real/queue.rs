//! Deploys that wait for each other, are superseded, given up, and followed by others.

use std::io::Write;
use std::process::{Child, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::load::ask;
use super::place::{Place, Ran, image, wait};

fn releases(place: &Place, count: usize) {
    wait("the releases", Duration::from_secs(20), || match place.releases().len() {
        found if found == count => Ok(()),
        found => Err(format!("{found} releases")),
    });
}

fn operations(place: &Place) -> Vec<serde_json::Value> {
    place.run(&["follow", "--json"]).json().as_array().unwrap().clone()
}

/// Waits until so many operations are there and have not ended.
fn under_way(place: &Place, count: usize) {
    wait("the operations", Duration::from_secs(20), || {
        let open = operations(place).iter().filter(|operation| operation["ended_ms"].is_null()).count();
        if open == count { Ok(()) } else { Err(format!("{open} under way")) }
    });
}

fn interrupt(child: &Child) {
    send(child, Signal::SIGINT);
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

#[test]
fn real_of_deploys_in_a_row_the_first_and_the_newest_are_done_and_the_rest_is_superseded() {
    let place = Place::with_web("queue", &image("one", &[]));
    let slow = image("slow", &[("HEALTHY_AFTER_MS", "4000")]);
    let first = place.begin(&["deploy", "web", "--image", &slow, "--yes"]);
    releases(&place, 2);
    let second = place.begin(&["deploy", "web", "--image", &image("two", &[]), "--yes"]);
    under_way(&place, 2);
    let third = place.begin(&["deploy", "web", "--image", &image("three", &[]), "--yes", "--wait"]);
    Ran::of(second.wait_with_output().unwrap()).ended(4).says("waits: ").says("superseded by op4");
    Ran::of(first.wait_with_output().unwrap()).done();
    Ran::of(third.wait_with_output().unwrap()).done();
    assert_eq!(ask(place.port).as_deref(), Ok("three"));
    assert_eq!(place.releases().len(), 3, "what was superseded has made no release");
}

#[test]
fn real_the_first_interrupt_undoes_a_deploy_and_it_can_be_followed_meanwhile() {
    let place = Place::with_web("given-up", &image("one", &[]));
    let deaf = image("patient", &[("HEALTHY_AFTER_MS", "60000")]);
    let file = std::fs::read_to_string(place.dir().join("mainstay.yaml")).unwrap();
    place.write("mainstay.yaml", &file.replace("budget: 5s", "budget: 90s"));
    let child = place.begin(&["deploy", "web", "--image", &deaf, "--yes"]);
    releases(&place, 2);
    let follower = place.command(&["follow"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait("its container", Duration::from_secs(20), || match place.containers().len() {
        2 => Ok(()),
        count => Err(format!("{count} containers")),
    });
    interrupt(&child);
    Ran::of(child.wait_with_output().unwrap()).ended(3).says("giving up");
    Ran::of(follower.wait_with_output().unwrap()).ended(3);
    assert_eq!(place.containers(), [(place.container("web", "r1"), "running".to_owned())], "what had begun is undone");
    assert_eq!(ask(place.port).as_deref(), Ok("one"));
    place.run(&["follow", "op2"]).ended(3);
    place.run(&["follow", "op99"]).ended(2).says("op99");
}

#[test]
fn real_the_second_interrupt_leaves_the_undoing_to_the_agent_and_says_how_to_follow_it() {
    let place = Place::with_web("left", &image("one", &[]));
    // The undoing takes a while, since this hook before the release is not undone but waited for.
    place.platform("5m", "hooks:\n  pre_deploy: {command: [sleep, '3'], timeout: 30s}\n");
    let child = place.begin(&["deploy", "web", "--image", &image("two", &[]), "--yes"]);
    under_way(&place, 1);
    let waiting = place.begin(&["deploy", "web", "--image", &image("three", &[]), "--yes"]);
    under_way(&place, 2);
    interrupt(&waiting);
    Ran::of(waiting.wait_with_output().unwrap()).ended(4).says("given up while it waited");
    interrupt(&child);
    std::thread::sleep(Duration::from_millis(500));
    interrupt(&child);
    Ran::of(child.wait_with_output().unwrap()).ended(130).says("mainstay follow op2");
    under_way(&place, 0);
    assert_eq!(ask(place.port).as_deref(), Ok("one"));
}

#[test]
fn real_a_pipeline_that_is_cancelled_or_a_terminal_that_is_closed_takes_back_what_waits_and_what_has_begun() {
    let place = Place::with_web("cancelled", &image("one", &[]));
    place.platform("5m", "hooks:\n  pre_deploy: {command: [sleep, '3'], timeout: 30s}\n");
    let child = place.begin(&["deploy", "web", "--image", &image("two", &[]), "--yes"]);
    under_way(&place, 1);
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let waiting = place.begin(&["deploy", "web", "--image", &image("three", &[]), "--yes"]);
        under_way(&place, 2);
        send(&waiting, signal);
        Ran::of(waiting.wait_with_output().unwrap()).ended(4).says("given up while it waited");
        under_way(&place, 1);
    }
    send(&child, Signal::SIGTERM);
    let ended = Ran::of(child.wait_with_output().unwrap());
    ended.says("giving up");
    assert_ne!(ended.code, 0);
    under_way(&place, 0);
    assert_eq!(ask(place.port).as_deref(), Ok("one"));
    // Who said that a closed terminal means nothing is believed.
    let shell = "trap '' HUP; exec \"$0\" \"$@\"";
    let words = place.command(&["deploy", "web", "--image", &image("two", &[]), "--yes"]);
    let mut kept = std::process::Command::new("sh");
    kept.arg("-c").arg(shell).arg(words.get_program()).args(words.get_args());
    let kept = kept.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    under_way(&place, 1);
    send(&kept, Signal::SIGHUP);
    Ran::of(kept.wait_with_output().unwrap()).done();
    assert_eq!(ask(place.port).as_deref(), Ok("two"));
}

#[test]
fn real_a_command_in_a_container_reads_what_is_piped_in_and_a_reader_that_leaves_is_no_trouble() {
    let place = Place::with_web("piped", &image("one", &[]));
    for flags in [&["exec"][..], &["exec", "-T"]] {
        let words = [flags, &["web", "--", "sh", "-c", "cat > /tmp/got; wc -c < /tmp/got; exit 7"]].concat();
        let mut command = place.command(&words);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"insert 1 row\n").unwrap();
        let ran = Ran::of(child.wait_with_output().unwrap()).ended(7);
        assert_eq!(ran.out.trim(), "13", "{flags:?}");
    }
    for words in [&["events", "-n", "500"][..], &["status", "--json"], &["logs", "--tail", "100"]] {
        let mut child = place.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ran = Ran::of(child.wait_with_output().unwrap());
        assert!(!ran.err.contains("panicked"), "{words:?}: {}", ran.err);
        assert!([0, 141].contains(&ran.code), "{words:?}: {}", ran.code);
    }
}
