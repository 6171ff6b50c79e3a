//! One row of the matrix: what was killed how often, and what came of it.

use std::io::Write;

use super::super::load::Seen;
use super::super::place::Place;
use super::after;

/// The file that rows are added to, one JSON object a line; `./x crash` sets it and makes the page from it.
const ROWS: &str = "MAINSTAY_CRASH_ROWS";
/// Set to `full`, every entry and every moment is tried, instead of some of them.
const EXTENT: &str = "MAINSTAY_CRASH";

/// Whether the whole matrix is wanted.
pub fn is_full() -> bool {
    std::env::var(EXTENT).is_ok_and(|extent| extent == "full")
}

/// Every which of the entries is tried: each of them in the whole matrix, each `sampled`th otherwise.
pub fn stride(sampled: u32) -> u32 {
    if is_full() { 1 } else { sampled }
}

/// What became of the operation that was hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    Finished,
    Undone,
    /// It was refused, or nothing was under way.
    Nothing,
}

/// A row under way. It is written down when it is dropped, whatever the end.
pub struct Row {
    name: &'static str,
    kills: usize,
    finished: usize,
    undone: usize,
    broken: Vec<String>,
    requests: usize,
    failed: usize,
}

impl Row {
    pub fn new(name: &'static str) -> Row {
        Row { name, kills: 0, finished: 0, undone: 0, broken: Vec::new(), requests: 0, failed: 0 }
    }

    /// One blow and what became of it; everything has to be as it should by now.
    pub fn hit(&mut self, place: &Place, when: &str, became: Became) {
        self.kills += 1;
        self.check(place, when, became);
    }

    /// The same without a blow: the operation outlived the last entry.
    pub fn check(&mut self, place: &Place, when: &str, became: Became) {
        match became {
            Became::Finished => self.finished += 1,
            Became::Undone => self.undone += 1,
            Became::Nothing => {}
        }
        let broken = after::broken(place);
        self.broken.extend(broken.into_iter().map(|what| format!("{when}: {what}")));
        assert!(self.broken.is_empty(), "{}: {:#?}", self.name, self.broken);
    }

    /// No request failed, and each was answered by one of these.
    pub fn answered(&mut self, seen: &Seen, by: &[&str]) {
        self.requests += seen.count();
        self.failed += seen.failures().len();
        seen.only(by);
    }

    /// Requests that may fail, because what answers them was killed with everything else.
    pub fn asked(&mut self, seen: &Seen) {
        self.requests += seen.count();
        self.failed += seen.failures().len();
    }

    /// The row has been tried to its end.
    pub fn end(self, least: usize) {
        assert!(self.kills >= least, "{}: {} kills, {least} are the least", self.name, self.kills);
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        // What ended by a panic broke at least one thing.
        let broken = self.broken.len().max(usize::from(std::thread::panicking()));
        eprintln!(
            "{}: {} kills, {} finished, {} undone, {broken} broken, {} requests, {} failed",
            self.name, self.kills, self.finished, self.undone, self.requests, self.failed
        );
        let Some(path) = std::env::var_os(ROWS) else { return };
        let row = serde_json::json!({
            "row": self.name, "kills": self.kills, "finished": self.finished, "undone": self.undone,
            "broken": broken, "requests": self.requests, "failed": self.failed,
        });
        let file = std::fs::File::options().create(true).append(true).open(path);
        // One write, so that rows of tests side by side do not mix.
        let _ = file.and_then(|mut file| file.write_all(format!("{row}\n").as_bytes()));
    }
}
