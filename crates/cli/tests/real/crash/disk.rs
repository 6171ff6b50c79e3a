//! The disk is full at any write: a deploy fails clearly or waits, and loses nothing.

use super::super::load::Load;
use super::super::place::{Place, image, wait, web};
use super::row::{Became, Row, stride};
use super::{LIMIT, bring_up, end_agent, other, start_agent};

const ROOM: u64 = 48 << 20;
const PAGE: u64 = 4_096;
const FIRST: u64 = 4 * PAGE;

#[test]
fn real_a_disk_that_is_full_at_any_write_fails_a_deploy_clearly_and_loses_nothing() {
    let images = [image("one", &[]), image("two", &[])];
    let mut place = Place::new("crashfull");
    place.mount(ROOM);
    place.compose(&web(&images[0], ""));
    place.platform("5m", "");
    bring_up(&mut place);
    let mut row = Row::new("disk full after so many bytes");
    let load = Load::start(place.port);
    let (mut left, mut refused) = (0, 0);
    loop {
        let next = other(&place, &images).clone();
        // A log that has grown is written over, and needs no room: it is folded in first.
        end_agent(&mut place);
        fold(&place);
        start_agent(&mut place, None);
        fill(&place, left);
        let ran = place.run(&["deploy", "web", "--image", &next, "--yes"]);
        let is_over = ran.code == 0;
        if !is_over {
            refused += 1;
            let tells = ran.err.contains("space") || ran.err.contains("make room");
            assert!(tells, "{left} bytes were left: {ran:#?}");
        }
        std::fs::remove_file(place.state().join("filler")).unwrap();
        // What could not be written down is gone on with by the next agent.
        if refused % 2 == 0 && !is_over {
            end_agent(&mut place);
            start_agent(&mut place, None);
        }
        wait("room to be made use of", LIMIT, || match place.run(&["up", "--yes", "--no-wait"]) {
            ran if ran.code == 0 => Ok(()),
            ran => Err(ran.err),
        });
        let became = if place.service("web")["image"] == next.as_str() { Became::Finished } else { Became::Undone };
        row.hit(&place, &format!("{left} bytes left"), became);
        if is_over {
            break;
        }
        // The first pages one by one: there an operation ends before it has begun.
        left += if left < FIRST { PAGE } else { u64::from(stride(24)) * PAGE };
    }
    row.answered(&load.end(), &["one", "two"]);
    assert!(refused >= 2, "only {refused} deploys met a full disk");
    row.end(3);
}

/// Leaves so many bytes.
fn fill(place: &Place, left: u64) {
    let mut file = std::fs::File::create(place.state().join("filler")).unwrap();
    // It ends when the disk is full, or the agent has been quicker.
    let _ = std::io::copy(&mut std::io::Read::take(std::io::repeat(0), ROOM), &mut file);
    file.set_len(file.metadata().unwrap().len().saturating_sub(left) / 4_096 * 4_096).unwrap();
}

fn fold(place: &Place) {
    let clock = std::sync::Arc::new(machine::clock::SystemClock::new());
    drop(ledger::Ledger::open(&place.state().join("ledger.db"), clock).unwrap());
}
