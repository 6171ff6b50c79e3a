//! The counters of one release of a pool; resolved once per generation, plain atomics afterwards.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::seen::histogram::Histogram;
use crate::seen::route_tally::class_of;

/// Counts since this process first served the release.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// By class: 1xx, 2xx, 3xx, 4xx, 5xx.
    pub(crate) classes: [AtomicU64; 5],
    pub(crate) connects: AtomicU64,
    pub(crate) connect_errors: AtomicU64,
    pub(crate) retries: AtomicU64,
    /// Answers the edge gave because the pool could not: 502, 503, 504.
    pub(crate) unanswered: AtomicU64,
    /// Targets taken out because of their answers.
    pub(crate) ejections: AtomicU64,
    /// From and to clients: bodies, WebSockets, carried connections.
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    /// Times to the head of the response.
    pub(crate) times: Histogram,
}

impl Tally {
    /// Counts one answer.
    pub(crate) fn answered(&self, status: http::StatusCode, took: Duration) {
        self.classes[class_of(status)].fetch_add(1, Ordering::Relaxed);
        self.times.count(took);
    }

    /// All answers so far.
    pub(crate) fn requests(&self) -> u64 {
        self.classes.iter().map(|class| class.load(Ordering::Relaxed)).sum()
    }
}

/// Adds one to a counter.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
