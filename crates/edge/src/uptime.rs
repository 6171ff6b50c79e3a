//! Milliseconds since the first call: the only clock of the data path.
//!
//! Stamps are plain integers, so that a connection's state fits in a few atomics.
//! Zero is never returned and means "not waiting".

use std::sync::OnceLock;
use std::time::{Duration, Instant};

static START: OnceLock<Instant> = OnceLock::new();

/// Monotonic milliseconds, at least 1.
pub(crate) fn now_ms() -> u64 {
    let start = START.get_or_init(Instant::now);
    ms(start.elapsed()).saturating_add(1)
}

/// A moment as nanoseconds since the start, for arithmetic that needs them; at least 1.
pub(crate) fn nanos(at: Instant) -> u64 {
    let start = START.get_or_init(Instant::now);
    u64::try_from(at.saturating_duration_since(*start).as_nanos()).unwrap_or(u64::MAX).saturating_add(1)
}

/// A duration as whole milliseconds.
pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
