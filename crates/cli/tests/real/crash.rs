//! The crash matrix: whatever dies, whenever it dies, nothing is lost and nothing is left half done.
//!
//! Every test is a row: a blow, again and again, while requests run, and after each blow the whole of `after.rs`.
//! `./x crash` runs all of them to their full extent and makes the page of counts from what they wrote down.

mod after;
mod disk;
mod engine;
mod files;
mod journal;
mod processes;
mod row;

use std::time::Duration;

use super::place::{Place, Ran, wait, web};

pub const LIMIT: Duration = Duration::from_secs(60);

/// A platform whose edge and agent this test runs itself, without a supervisor.
pub fn under_own_processes(test: &str, image: &str) -> Place {
    trusted_under_own_processes(test, image, "soak: 0s")
}

/// The same with its own words for how a release earns its traffic.
pub fn trusted_under_own_processes(test: &str, image: &str, trust: &str) -> Place {
    let mut place = Place::trusted(test, trust);
    place.compose(&web(image, ""));
    place.platform("5m", "");
    bring_up(&mut place);
    place
}

/// The same with another strategy for `web`, and more lines in its Compose service.
fn replaced_by(test: &str, image: &str, strategy: &str, more: &str) -> Place {
    let mut place = Place::new(test);
    place.compose(&web(image, more));
    place.platform("5m", "");
    let written = std::fs::read_to_string(place.dir().join("mainstay.yaml")).unwrap();
    place.write("mainstay.yaml", &written.replace("strategy: blue-green", &format!("strategy: {strategy}")));
    bring_up(&mut place);
    place
}

fn bring_up(place: &mut Place) {
    place.start("edge", None);
    start_agent(place, None);
    place.run(&["up", "--yes"]).done();
}

/// The other one of two images than the one that serves.
fn other<'a>(place: &Place, images: &'a [String]) -> &'a String {
    &images[usize::from(place.service("web")["image"] == images[0].as_str())]
}

/// One command with an agent that dies after so many entries of its journal; the next agent goes on.
/// Whether it died, and how the command ended.
fn attempt(place: &mut Place, after: u32, words: &[&str]) -> (bool, Ran) {
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
    (killed, Ran::of(command.wait_with_output().unwrap()))
}

pub fn start_agent(place: &mut Place, crash_after: Option<u32>) {
    place.start("agent", crash_after);
    agent_answers(place);
}

fn agent_answers(place: &Place) {
    let socket = place.state().join("run/agent.sock");
    wait("the agent to answer", LIMIT, || {
        std::os::unix::net::UnixStream::connect(&socket).map(drop).map_err(|error| error.to_string())
    });
}

pub fn agent(place: &mut Place) -> &mut std::process::Child {
    place.started.last_mut().unwrap()
}

fn kill_agent(place: &mut Place) {
    agent(place).kill().unwrap();
    agent(place).wait().unwrap();
}

/// Whether or not it has died already.
pub fn end_agent(place: &mut Place) {
    if agent(place).try_wait().unwrap().is_none() {
        kill_agent(place);
    }
}

fn stop_agent(place: &mut Place) {
    let child = agent(place);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
    child.wait().unwrap();
}
