//! Says in the program's log which rule ended a client's connection, but never more than a line in ten seconds.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::uptime::{ms, now_ms};

/// An attack ends many connections, and the log is not to be filled by it.
const EVERY: Duration = Duration::from_secs(10);

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    /// When the next line may be written.
    next_at: AtomicU64,
    untold: AtomicU64,
}

impl Cuts {
    /// A connection was ended for a word that is counted.
    pub(crate) fn tell(&self, word: &'static str, client: IpAddr) {
        if !word.starts_with("h2-flood-") {
            return;
        }
        if let Some(more) = self.turn(now_ms()) {
            tracing::warn!(
                rule = word,
                %client,
                more_since_the_last_line = more,
                "ended an HTTP/2 connection: its client sent too many frames that ask for nothing"
            );
        }
    }

    /// Whether a line may be written, and how many connections were ended without one.
    fn turn(&self, now: u64) -> Option<u64> {
        let next_at = self.next_at.load(Ordering::Relaxed);
        let then = now + ms(EVERY);
        if now < next_at || self.next_at.compare_exchange(next_at, then, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            self.untold.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.untold.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_cuts_at_once_are_one_line_and_the_next_line_counts_them() {
        let cuts = Cuts::default();
        let turns = [1_000, 1_001, 5_000, 10_999, 11_000, 11_001, 30_000].map(|now| cuts.turn(now));
        assert_eq!(turns, [Some(0), None, None, None, Some(3), None, Some(1)]);
    }
}
