//! Times, counted in buckets that are fine enough for percentiles and hold the coarse bounds of the metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in microseconds. Each step is at most two thirds of the one before, so that a percentile that is
/// interpolated inside a bucket is near the truth.
pub(crate) const BOUNDS_US: [u64; 35] = [
    100, 200, 300, 500, 700, 1_000, 1_500, 2_000, 3_000, 4_000, 5_000, 7_000, 10_000, 15_000, 20_000, 25_000, 35_000,
    50_000, 70_000, 100_000, 150_000, 200_000, 250_000, 350_000, 500_000, 700_000, 1_000_000, 1_500_000, 2_000_000,
    2_500_000, 4_000_000, 6_000_000, 10_000_000, 20_000_000, 60_000_000,
];

/// Buckets, the last one without a bound included.
pub(crate) const BUCKETS: usize = BOUNDS_US.len() + 1;

/// The bounds that the metrics show, in milliseconds; each is one of the fine ones too.
pub(crate) const SHOWN_MS: [u64; 11] = [1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000];

/// Plain atomics: one time costs two additions.
#[derive(Debug)]
pub(crate) struct Histogram {
    counts: [AtomicU64; BUCKETS],
    micros: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: std::array::from_fn(|_| AtomicU64::new(0)), micros: AtomicU64::new(0) }
    }
}

impl Histogram {
    pub(crate) fn count(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound <= micros);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// The sum of all times.
    pub(crate) fn micros(&self) -> u64 {
        self.micros.load(Ordering::Relaxed)
    }

    /// All buckets as they stand.
    pub(crate) fn counts(&self) -> [u64; BUCKETS] {
        std::array::from_fn(|bucket| self.counts[bucket].load(Ordering::Relaxed))
    }
}

/// How many times were below each shown bound, and how many there are in all.
pub(crate) fn shown(counts: &[u64; BUCKETS]) -> ([u64; SHOWN_MS.len()], u64) {
    let below = |ms: u64| {
        let fine = BOUNDS_US.partition_point(|bound| *bound <= ms * 1_000);
        counts[..fine].iter().sum()
    };
    (SHOWN_MS.map(below), counts.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shown_bound_is_a_fine_one() {
        assert!(SHOWN_MS.iter().all(|ms| BOUNDS_US.contains(&(ms * 1_000))));
        assert!(BOUNDS_US.is_sorted());
    }

    #[test]
    fn shown_buckets_hold_everything_below_them() {
        let histogram = Histogram::default();
        for micros in [10, 999, 1_000, 4_999, 5_000, 70_000_000] {
            histogram.count(Duration::from_micros(micros));
        }
        let (below, all) = shown(&histogram.counts());
        assert_eq!((&below[..3], all), (&[2, 4, 5][..], 6));
        assert_eq!(below[SHOWN_MS.len() - 1], 5);
    }
}
