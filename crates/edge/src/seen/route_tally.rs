//! The counters of one route.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;

use super::histogram::Histogram;

/// Plain atomics, resolved when a snapshot is compiled.
#[derive(Debug, Default)]
pub(crate) struct RouteTally {
    /// By class: 1xx, 2xx, 3xx, 4xx, 5xx.
    pub(crate) classes: [AtomicU64; 5],
    pub(crate) times: Histogram,
    pub(crate) rate_limited: AtomicU64,
    /// Refused because the queue was full, and because no place became free in time.
    pub(crate) queue_full: AtomicU64,
    pub(crate) queue_late: AtomicU64,
}

impl RouteTally {
    /// Counts one answer.
    pub(crate) fn answered(&self, status: StatusCode, took: Duration) {
        self.classes[class_of(status)].fetch_add(1, Ordering::Relaxed);
        self.times.count(took);
    }
}

/// The index of a status code's class.
pub(crate) fn class_of(status: StatusCode) -> usize {
    usize::from(status.as_u16() / 100).clamp(1, 5) - 1
}
