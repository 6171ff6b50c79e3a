//! Why the edge refused or could not serve, counted by the stable words of its answers.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// Counts by word. The words are literals of this program, so their number is bounded.
///
/// A lock, because a refusal is an answer with a body of its own: the lock is the least part of it.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    counts: Mutex<BTreeMap<&'static str, u64>>,
}

impl Refusals {
    pub(crate) fn count(&self, word: &'static str) {
        *self.counts.lock().entry(word).or_insert(0) += 1;
    }

    pub(crate) fn all(&self) -> Vec<(&'static str, u64)> {
        self.counts.lock().iter().map(|(word, count)| (*word, *count)).collect()
    }
}
