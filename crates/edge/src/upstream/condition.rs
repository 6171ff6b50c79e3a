//! How a target is doing, by what requests and looks brought back.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::snapshot::Outlier;

/// The times an ejection is doubled before it stays as long as it is.
const DOUBLINGS: u32 = 10;

/// A target that starts slowly begins with this share (in thousandths).
const FIRST_SHARE: u64 = 100;

/// Plain stamps and counters; a target that is alone in its pool never looks at them.
#[derive(Debug, Default)]
pub(crate) struct Condition {
    /// Active looks found it unwell.
    sick: AtomicBool,
    /// Failures in a row, of requests.
    failures: AtomicU32,
    /// Times it was ejected since it last did well for as long as an ejection.
    ejections: AtomicU32,
    ejected_until: AtomicU64,
    /// Since when it has been getting its growing share; 0 when it has its full one.
    slow_since: AtomicU64,
}

impl Condition {
    /// A target that takes its share slowly from now on, where the pool wants that.
    pub(crate) fn starts_slowly(&self, now: u64) {
        self.slow_since.store(now, Ordering::Relaxed);
    }

    pub(crate) fn is_sick(&self) -> bool {
        self.sick.load(Ordering::Relaxed)
    }

    pub(crate) fn is_ejected(&self, now: u64) -> bool {
        self.ejected_until.load(Ordering::Relaxed) > now
    }

    /// Whether it may be chosen before others.
    pub(crate) fn is_well(&self, now: u64) -> bool {
        !self.is_sick() && !self.is_ejected(now)
    }

    /// What a look found; a target that is well again starts slowly.
    pub(crate) fn looked(&self, is_sick: bool, now: u64) {
        if self.sick.swap(is_sick, Ordering::Relaxed) && !is_sick {
            self.starts_slowly(now);
        }
    }

    /// A request did well.
    pub(crate) fn did_well(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// A request did badly; true when that was one too many.
    pub(crate) fn did_badly(&self, outlier: &Outlier) -> bool {
        self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= outlier.consecutive.max(1)
    }

    /// Takes it out for a while, twice as long as the last time; afterwards it starts slowly.
    pub(crate) fn eject(&self, outlier: &Outlier, now: u64) {
        let until = self.ejected_until.load(Ordering::Relaxed);
        if until > now {
            return;
        }
        // Well for as long as it was out: what happened then is forgotten.
        if until != 0 && now - until > self.time_out(outlier) {
            self.ejections.store(0, Ordering::Relaxed);
        }
        let until = now + self.time_out(outlier);
        self.ejections.fetch_add(1, Ordering::Relaxed);
        self.failures.store(0, Ordering::Relaxed);
        self.ejected_until.store(until, Ordering::Relaxed);
        self.starts_slowly(until);
    }

    /// How long the next ejection lasts.
    fn time_out(&self, outlier: &Outlier) -> u64 {
        let doubled = self.ejections.load(Ordering::Relaxed).min(DOUBLINGS);
        outlier.eject_ms.saturating_mul(1 << doubled)
    }

    /// The part of its full share that it gets now, in thousandths; it grows from a tenth in a straight line.
    pub(crate) fn share(&self, slow_start_ms: u64, now: u64) -> u64 {
        let since = self.slow_since.load(Ordering::Relaxed);
        let age = now.saturating_sub(since);
        if since == 0 || slow_start_ms == 0 || age >= slow_start_ms {
            return 1000;
        }
        FIRST_SHARE + (1000 - FIRST_SHARE) * age / slow_start_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTLIER: Outlier = Outlier { consecutive: 3, eject_ms: 100 };

    #[test]
    fn failures_count_only_in_a_row() {
        let condition = Condition::default();
        assert!(!condition.did_badly(&OUTLIER) && !condition.did_badly(&OUTLIER));
        condition.did_well();
        assert!(!condition.did_badly(&OUTLIER) && !condition.did_badly(&OUTLIER));
        assert!(condition.did_badly(&OUTLIER));
    }

    #[test]
    fn an_ejection_doubles_until_the_target_has_done_well_for_long_enough() {
        let condition = Condition::default();
        condition.eject(&OUTLIER, 1_000);
        assert!(condition.is_ejected(1_099) && !condition.is_ejected(1_100));
        condition.eject(&OUTLIER, 1_150);
        assert!(condition.is_ejected(1_349) && !condition.is_ejected(1_350));
        // Longer than the 400 ms that the next one would last.
        condition.eject(&OUTLIER, 2_000);
        assert!(condition.is_ejected(2_099) && !condition.is_ejected(2_100));
    }

    #[test]
    fn doubling_ends() {
        let condition = Condition::default();
        let mut now = 1_000;
        for _ in 0..30 {
            condition.eject(&OUTLIER, now);
            now = condition.ejected_until.load(Ordering::Relaxed) + 1;
        }
        let before = now;
        condition.eject(&OUTLIER, now);
        assert_eq!(condition.ejected_until.load(Ordering::Relaxed) - before, 100 << DOUBLINGS);
    }

    #[test]
    fn a_share_grows_from_a_tenth_to_all_of_it() {
        let condition = Condition::default();
        assert_eq!(condition.share(1_000, 5_000), 1000);
        condition.starts_slowly(5_000);
        assert_eq!(condition.share(1_000, 5_000), 100);
        assert_eq!(condition.share(1_000, 5_500), 550);
        assert_eq!(condition.share(1_000, 6_000), 1000);
        assert_eq!(condition.share(0, 5_000), 1000);
    }
}
