//! State files are deleted, torn and changed; the disk is full. Each ends in a ledger that is built again, or in an error
//! that names the next step, and never in a wrong route or a lost release.

use std::path::{Path, PathBuf};
use std::time::Duration;

use machine::files::{Lock, Root};

use super::super::load::{Load, ask};
use super::super::place::{Place, Ran, image, wait};
use super::row::{Became, Row, is_full, stride};
use super::{LIMIT, agent, end_agent, other, start_agent, under_own_processes};

const LEDGER: [&str; 3] = ["ledger.db", "ledger.db-wal", "ledger.db-shm"];

fn lose_ledger(place: &Place) {
    for name in LEDGER {
        let _ = std::fs::remove_file(place.state().join(name));
    }
}

#[test]
fn real_a_ledger_that_is_deleted_in_mid_deploy_is_built_again_and_no_request_is_lost() {
    let images = [image("one", &[]), image("two", &[])];
    let mut place = under_own_processes("crashledger", &images[0]);
    let mut row = Row::new("ledger deleted after each entry");
    let load = Load::start(place.port);
    let mut finished = 0;
    for after in (1..40).step_by(stride(3) as usize) {
        let next = other(&place, &images).clone();
        let before = releases(&place);
        end_agent(&mut place);
        start_agent(&mut place, Some(after));
        let mut command = place.begin(&["deploy", "web", "--image", &next, "--yes"]);
        let killed = wait("the command to end or the agent to die", LIMIT, || {
            let died = agent(&mut place).try_wait().unwrap().is_some();
            let ended = command.try_wait().unwrap().is_some();
            if died || ended { Ok(died) } else { Err("both run".to_owned()) }
        });
        if !killed {
            break;
        }
        lose_ledger(&place);
        start_agent(&mut place, None);
        let ran = Ran::of(command.wait_with_output().unwrap());
        assert_ne!(ran.code, 0, "nobody remembers the operation: {ran:#?}");
        let became = if place.service("web")["image"] == next.as_str() { Became::Finished } else { Became::Undone };
        finished += usize::from(became == Became::Finished);
        row.hit(&place, &format!("after entry {after}"), became);
        let now = releases(&place);
        assert!(before.iter().all(|id| now.contains(id)), "{before:?} have become {now:?}");
    }
    row.answered(&load.end(), &["one", "two"]);
    assert!(finished > 0, "what was lost behind the switch is served");
    end_agent(&mut place);
    start_agent(&mut place, None);
    place.run(&["events", "--json"]).done().says("ledger.rebuilt");
    place.run(&["deploy", "web", "--image", other(&place, &images), "--yes"]).done();
    place.run(&["rollback", "web", "--yes"]).done();
    row.end(4);
}

/// Those that can be gone back to; a failed one is kept until the next only.
fn releases(place: &Place) -> Vec<String> {
    let all = place.releases();
    let good = all.iter().filter(|release| release["state"]["is"] != "failed");
    good.map(|release| release["id"].as_str().unwrap().to_owned()).collect()
}

/// What happens to a file.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Gone,
    Empty,
    /// The second half is missing.
    Torn,
    /// One bit of one byte, at so many thousandths of the file.
    Flipped(usize),
}

fn damage(path: &Path, how: Damage) {
    let mut bytes = std::fs::read(path).unwrap();
    match how {
        Damage::Gone => return std::fs::remove_file(path).unwrap(),
        Damage::Empty => bytes.clear(),
        Damage::Torn => bytes.truncate(bytes.len() / 2),
        Damage::Flipped(thousandths) if !bytes.is_empty() => {
            let at = (bytes.len() - 1) * thousandths / 1_000;
            bytes[at] ^= 0x04;
        }
        Damage::Flipped(_) => {}
    }
    std::fs::write(path, bytes).unwrap();
}

/// Every file of the state folder that tells something.
fn state_files(place: &Place) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![place.state().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() && !is_told_only(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Logs, and what SQLite makes anew from its log whenever it opens the file.
fn is_told_only(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".log") || name.ends_with("-shm") || name.contains(".damaged-")
}

#[test]
fn real_a_damaged_state_file_ends_in_a_rebuilding_or_a_clear_error_and_traffic_goes_on() {
    let images = [image("one", &[]), image("two", &[])];
    let place = Place::with_web("crashfiles", &images[0]);
    place.run(&["deploy", "web", "--image", &images[1], "--yes"]).done();
    let mut row = Row::new("a state file gone, empty, torn or flipped");
    let mut kinds = vec![Damage::Gone, Damage::Empty, Damage::Torn];
    kinds.extend([10, 250, 500, 750, 990].map(Damage::Flipped));
    let mut number = 0;
    for (turn, how) in kinds.into_iter().enumerate() {
        for path in state_files(&place) {
            number += 1;
            let is_ledger = path.to_string_lossy().contains("ledger.db");
            // A sample takes each kind of damage to the ledger, and each other file once in eight.
            if !is_full() && !is_ledger && (number + turn) % 13 != 0 {
                continue;
            }
            if path.exists() {
                one_damaged(&place, &mut row, &path, how);
            }
        }
    }
    row.end(12);
}

/// Everything is stopped hard, one file is damaged, and everything starts again.
fn one_damaged(place: &Place, row: &mut Row, path: &Path, how: Damage) {
    let when = format!("{} {how:?}", path.strip_prefix(place.state()).unwrap().display());
    let before = releases(place);
    kill_all(place);
    damage(path, how);
    let ran = place.run(&["status", "--json"]);
    let became = match ran.code {
        0 => Became::Nothing,
        _ => {
            assert!(ran.err.contains("hint:"), "{when}: an error names the next step: {ran:#?}");
            wait("traffic in spite of the agent", Duration::from_secs(10), || ask(place.port));
            let rebuilt = place.run(&["rebuild", "--yes"]);
            assert_eq!(rebuilt.code, 0, "{when}: {ran:#?} {rebuilt:#?}");
            Became::Finished
        }
    };
    row.hit(place, &when, became);
    assert_eq!(place.service("web")["image"], image("two", &[]).as_str(), "{when}");
    assert_eq!(releases(place), before, "{when}");
}

/// Supervisor, agent and edge, in this order, so that none is started again.
fn kill_all(place: &Place) {
    for process in ["supervisor", "agent", "edge"] {
        let lock = format!("run/{process}.lock");
        wait("its end", LIMIT, || match Root::open(place.state()).unwrap().lock(&lock).unwrap() {
            Lock::Held { pid: Some(pid) } => {
                let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
                Err(format!("{process} lives"))
            }
            Lock::Held { pid: None } => Err(format!("{process} is about to live")),
            Lock::Acquired(_) => Ok(()),
        });
    }
}
