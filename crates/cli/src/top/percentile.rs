//! Percentiles out of counted buckets.

/// The time below which this share of all times lies, in milliseconds; `None` where there are none.
///
/// Inside a bucket the times are taken as evenly spread. What lies beyond the last bound is told as that bound.
pub fn percentile(bounds_us: &[u64], counts: &[u64], share: f64) -> Option<f64> {
    let all: u64 = counts.iter().sum();
    if all == 0 {
        return None;
    }
    let wanted = share * all as f64;
    let mut below = 0.0;
    for (bucket, count) in counts.iter().enumerate() {
        let count = *count as f64;
        if count > 0.0 && below + count >= wanted {
            let from = bucket.checked_sub(1).and_then(|before| bounds_us.get(before)).copied().unwrap_or(0) as f64;
            let to = bounds_us.get(bucket).copied().map_or(from, |bound| bound as f64);
            return Some((from + (to - from) * (wanted - below) / count) / 1_000.0);
        }
        below += count;
    }
    bounds_us.last().map(|bound| *bound as f64 / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: [u64; 3] = [1_000, 2_000, 4_000];

    #[test]
    fn a_percentile_lies_where_its_share_of_the_times_does() {
        let counts = [50, 40, 9, 1];
        assert_eq!(percentile(&BOUNDS, &counts, 0.5), Some(1.0));
        assert_eq!(percentile(&BOUNDS, &counts, 0.7), Some(1.5));
        assert_eq!(percentile(&BOUNDS, &counts, 0.99), Some(4.0));
        assert_eq!(percentile(&BOUNDS, &counts, 1.0), Some(4.0), "beyond the last bound nothing is known");
    }

    #[test]
    fn without_times_there_is_none() {
        assert_eq!(percentile(&BOUNDS, &[0, 0, 0, 0], 0.5), None);
        assert_eq!(percentile(&[], &[], 0.5), None);
    }
}
