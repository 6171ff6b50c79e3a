//! What a release's requests came to, in numbers that can be compared with another release's.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::edge::Edge;
use crate::seen::histogram::BOUNDS_US;
use crate::upstream::tally::Tally;

/// Asks for the figures of one pool's releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiguresRequest {
    pub pool: String,
}

/// The figures of one pool, of every release that this edge still knows, gone ones too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolFigures {
    /// When this process began to count (Unix milliseconds): after another start everything is counted anew.
    pub started_ms: i64,
    pub releases: Vec<ReleaseFigures>,
}

/// One release of the pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseFigures {
    pub release: String,
    /// Since this process first served the release.
    pub total: Figures,
    /// The last minutes in which it was served, five at most.
    pub recent: Figures,
}

/// Counted requests: what they were answered with, and how long that took.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Answers by class: 1xx, 2xx, 3xx, 4xx, 5xx; the edge's own for the pool (502, 503, 504) are among them.
    pub classes: [u64; 5],
    /// Of these, the edge's own.
    pub unanswered: u64,
    /// Calls of gRPC that the release itself failed; their answers are of HTTP's second class.
    #[serde(default)]
    pub failed_calls: u64,
    /// Answers that the release broke off after a head that was no failure.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub broken: u64,
    /// Times to the head of the response, by bucket; empty is all zeroes.
    pub times: Vec<u64>,
}

/// A count that says nothing is left out, so that an agent of another version reads what it knows.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl PoolFigures {
    /// One release's; zeroes when the edge knows nothing of it.
    pub fn of(&self, release: &str) -> ReleaseFigures {
        let found = self.releases.iter().find(|figures| figures.release == release).cloned();
        found.unwrap_or_else(|| ReleaseFigures {
            release: release.to_owned(),
            total: Figures::default(),
            recent: Figures::default(),
        })
    }
}

impl Figures {
    /// All answers.
    pub fn requests(&self) -> u64 {
        self.classes.iter().sum()
    }

    /// Answers from 500 on, calls of gRPC that failed likewise, and answers that broke off.
    pub fn errors(&self) -> u64 {
        self.classes[4] + self.failed_calls + self.broken
    }

    /// The share of errors; 0 of nothing.
    pub fn error_ratio(&self) -> f64 {
        match self.requests() {
            0 => 0.0,
            requests => self.errors() as f64 / requests as f64,
        }
    }

    /// The time within which this share of the answers came, interpolated inside its bucket; `None` without answers.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let all: u64 = self.times.iter().sum();
        if all == 0 {
            return None;
        }
        let wanted = share * all as f64;
        let mut below = 0.0;
        for (bucket, count) in self.times.iter().enumerate() {
            let count = *count as f64;
            if count > 0.0 && below + count >= wanted {
                let from = bucket.checked_sub(1).and_then(|before| BOUNDS_US.get(before)).copied().unwrap_or(0);
                // Beyond the last bound there is nothing to interpolate towards.
                let to = BOUNDS_US.get(bucket).copied().unwrap_or(from);
                let inside = ((wanted - below) / count).clamp(0.0, 1.0);
                return Some(Duration::from_micros(from + ((to - from) as f64 * inside) as u64));
            }
            below += count;
        }
        None
    }

    /// What came after an earlier look at the same counters.
    #[must_use]
    pub fn since(&self, earlier: &Figures) -> Figures {
        let before = |bucket: usize| earlier.times.get(bucket).copied().unwrap_or(0);
        Figures {
            classes: std::array::from_fn(|class| self.classes[class].saturating_sub(earlier.classes[class])),
            unanswered: self.unanswered.saturating_sub(earlier.unanswered),
            failed_calls: self.failed_calls.saturating_sub(earlier.failed_calls),
            broken: self.broken.saturating_sub(earlier.broken),
            times: self.times.iter().enumerate().map(|(n, count)| count.saturating_sub(before(n))).collect(),
        }
    }
}

/// The answer to [`FiguresRequest`].
pub(crate) fn figures(edge: &Edge, wanted: &FiguresRequest) -> PoolFigures {
    let state = edge.state.lock();
    let of = |(key, tally): (&(String, String), &std::sync::Arc<Tally>)| {
        let (total, recent) = tally.figures();
        (key.0 == wanted.pool).then(|| ReleaseFigures { release: key.1.clone(), total, recent })
    };
    PoolFigures { started_ms: edge.started_ms, releases: state.tallies.iter().filter_map(of).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seen::histogram::Histogram;

    fn of(times_ms: &[u64]) -> Figures {
        let histogram = Histogram::default();
        times_ms.iter().for_each(|ms| histogram.count(Duration::from_millis(*ms)));
        let (classes, times) = ([0, times_ms.len() as u64, 0, 0, 0], histogram.counts().to_vec());
        Figures { classes, times, ..Figures::default() }
    }

    #[test]
    fn a_quantile_lies_in_the_bucket_of_its_request() {
        let mut times = vec![12; 95];
        times.extend([400; 5]);
        let figures = of(&times);
        let p95 = figures.quantile(0.95).unwrap();
        assert!((10..=15).contains(&p95.as_millis()), "{p95:?}");
        let p99 = figures.quantile(0.99).unwrap();
        assert!((350..=500).contains(&p99.as_millis()), "{p99:?}");
        assert_eq!(of(&[90_000]).quantile(0.95), Some(Duration::from_secs(60)), "longer than the last bound");
        assert_eq!(Figures::default().quantile(0.95), None);
    }

    #[test]
    fn what_came_since_is_the_difference() {
        let (first, both) = (of(&[5, 5]), of(&[5, 5, 300]));
        let since = both.since(&first);
        assert_eq!(since.requests(), 1);
        assert!(since.quantile(0.5).unwrap() >= Duration::from_millis(250));
        assert_eq!(both.since(&Figures::default()), both);
    }
}
