//! The counters of one release of a pool; resolved once per generation, plain atomics afterwards.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Upper bounds of the time buckets, in milliseconds.
pub(crate) const BUCKETS_MS: [u64; 11] = [1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000];

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
    /// Times to the head of the response; the last bucket is for all that took longer.
    pub(crate) buckets: [AtomicU64; BUCKETS_MS.len() + 1],
    pub(crate) micros: AtomicU64,
}

impl Tally {
    /// Counts one answer.
    pub(crate) fn answered(&self, status: http::StatusCode, began: Instant) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.classes[class].fetch_add(1, Ordering::Relaxed);
        let took = began.elapsed();
        let ms = crate::uptime::ms(took);
        let bucket = BUCKETS_MS.iter().position(|bound| ms < *bound).unwrap_or(BUCKETS_MS.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
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
