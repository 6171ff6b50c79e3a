//! One figure: the median of its runs, with a target where there is one.

use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// The most that is accepted; none for figures that are there to compare with.
    pub(crate) target: Option<f64>,
    met: Option<bool>,
    pub(crate) runs: usize,
    pub(crate) spread: Spread,
}

/// The least and the most of all runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Row {
    /// Without a single run the value is not a number, and a target is not met.
    pub(crate) fn of(name: impl Into<String>, unit: &'static str, values: &[f64]) -> Row {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let edge = |value: Option<&f64>| value.copied().unwrap_or(f64::NAN);
        Row {
            name: name.into(),
            value: median(&sorted),
            unit,
            target: None,
            met: None,
            runs: values.len(),
            spread: Spread { min: edge(sorted.first()), max: edge(sorted.last()) },
        }
    }

    /// A count over all runs together.
    pub(crate) fn count(name: impl Into<String>, value: u64, runs: usize) -> Row {
        let value = value as f64;
        Row { runs, ..Row::of(name, "count", &[value]) }
    }

    /// Judged by the worst run: a promise is kept every time or it is not kept.
    pub(crate) fn at_most(mut self, target: f64) -> Row {
        self.target = Some(target);
        self.met = Some(self.spread.max <= target);
        self
    }

    pub(crate) fn met(&self) -> Option<bool> {
        self.met
    }
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_holds_the_median_and_the_spread() {
        let row = Row::of("x", "ms", &[30.0, 10.0, 20.0, 100.0]);
        assert_eq!((row.value, row.runs), (25.0, 4));
        assert_eq!(row.spread, Spread { min: 10.0, max: 100.0 });
    }

    #[test]
    fn a_target_is_judged_by_the_worst_run() {
        assert_eq!(Row::of("x", "ms", &[1.0, 9.0]).at_most(9.0).met(), Some(true));
        assert_eq!(Row::of("x", "ms", &[1.0, 9.1]).at_most(9.0).met(), Some(false));
    }

    #[test]
    fn no_run_meets_no_target() {
        assert_eq!(Row::of("x", "ms", &[]).at_most(9.0).met(), Some(false));
    }
}
