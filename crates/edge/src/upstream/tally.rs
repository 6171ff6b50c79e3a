//! The counters of one release of a pool; resolved once per generation, plain atomics afterwards.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::control::Figures;
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
    /// Calls of gRPC that their targets failed, which no status of HTTP says.
    pub(crate) failed_calls: AtomicU64,
    /// Answers that their targets broke off after the head.
    pub(crate) broken: AtomicU64,
    /// Targets taken out because of their answers.
    pub(crate) ejections: AtomicU64,
    /// From and to clients: bodies, WebSockets, carried connections.
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    /// Times to the head of the response.
    pub(crate) times: Histogram,
    /// How the counters stood, minute by minute.
    past: Mutex<VecDeque<Past>>,
}

/// How the counters stood at a moment of the edge's clock.
#[derive(Debug)]
struct Past {
    at_ms: u64,
    figures: Figures,
}

/// What counts as recent, and how often the counters are noted for it.
const RECENT_MS: u64 = 5 * 60_000;
const NOTE_EVERY_MS: u64 = 60_000;

impl Tally {
    /// Counts one answer.
    pub(crate) fn answered(&self, status: http::StatusCode, took: Duration) {
        self.classes[class_of(status)].fetch_add(1, Ordering::Relaxed);
        self.times.count(took);
    }

    /// Notes how the counters stand, once a minute; called for what is served, as often as one likes.
    pub(crate) fn note(&self, now_ms: u64) {
        let mut past = self.past.lock();
        if past.back().is_some_and(|last| now_ms < last.at_ms + NOTE_EVERY_MS) {
            return;
        }
        // What came before the first note is recent, too.
        let figures = if past.is_empty() { Figures::default() } else { self.total() };
        past.push_back(Past { at_ms: now_ms, figures });
        while past.front().is_some_and(|first| first.at_ms + RECENT_MS < now_ms) {
            past.pop_front();
        }
    }

    /// Everything so far, and what of it is recent.
    pub(crate) fn figures(&self) -> (Figures, Figures) {
        let total = self.total();
        let past = self.past.lock();
        let recent = past.front().map_or_else(|| total.clone(), |first| total.since(&first.figures));
        (total, recent)
    }

    fn total(&self) -> Figures {
        Figures {
            classes: std::array::from_fn(|class| self.classes[class].load(Ordering::Relaxed)),
            unanswered: self.unanswered.load(Ordering::Relaxed),
            failed_calls: self.failed_calls.load(Ordering::Relaxed),
            broken: self.broken.load(Ordering::Relaxed),
            times: self.times.counts().to_vec(),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_is_the_last_five_minutes_in_which_it_was_served() {
        let tally = Tally::default();
        let mut answered = 0;
        for minute in 1..=12 {
            tally.note(minute * NOTE_EVERY_MS);
            tally.note(minute * NOTE_EVERY_MS + 2_000);
            tally.answered(http::StatusCode::OK, Duration::from_millis(minute));
            answered += 1;
        }
        let (total, recent) = tally.figures();
        assert_eq!((total.requests(), recent.requests()), (answered, 6), "the sixth minute has only begun");
        // Nobody notes the counters of what is no longer served, so what was recent stays.
        assert_eq!(tally.figures().1, recent);
    }

    #[test]
    fn what_is_younger_than_a_minute_is_recent_altogether() {
        let tally = Tally::default();
        tally.note(5);
        tally.answered(http::StatusCode::BAD_GATEWAY, Duration::from_millis(3));
        let (total, recent) = tally.figures();
        assert_eq!((total.errors(), recent.errors()), (1, 1));
    }
}
