//! Rates: so many requests in so long, by the generic cell rate algorithm.
//!
//! Per key one number is kept: the moment at which the key's bucket would be full again.
//! All rates of the edge share one bounded store; a key holds what the rate is and whom it counts, so a rate that did
//! not change finds its state again after any number of snapshots, and one that changed starts anew.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

const SHARDS: usize = 16;

/// Keys per shard: 131,072 in all, about 4 MB at the most.
const ROOM: usize = 8_192;

/// How much of a full shard is forgotten at once, so that a flood of new keys pays for one walk in a thousand.
const FORGOTTEN: usize = ROOM / 8;

/// See the module's text.
pub(crate) struct Rates {
    shards: [Mutex<HashMap<u64, u64>>; SHARDS],
}

/// One rate, ready to be asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Nanoseconds that one request costs.
    interval: u64,
    /// How many may come at once.
    at_once: u64,
}

impl Pace {
    /// `requests` in `per_ms` at once, `burst` on top; `None` when that limits nothing.
    pub(crate) fn new(requests: u32, per_ms: u64, burst: u32) -> Option<Pace> {
        let window = per_ms.saturating_mul(1_000_000);
        match (requests, window) {
            (_, 0) => None,
            // Nothing is allowed; a refused client is told to come back after the window.
            (0, _) => Some(Pace { interval: window, at_once: 0 }),
            _ => {
                let interval = (window / u64::from(requests)).max(1);
                Some(Pace { interval, at_once: u64::from(requests) + u64::from(burst) })
            }
        }
    }
}

impl Rates {
    pub(crate) fn new() -> Rates {
        Rates { shards: std::array::from_fn(|_| Mutex::new(HashMap::new())) }
    }

    /// Takes one request's worth, or says after how long there will be one.
    pub(crate) fn take(&self, key: u64, pace: Pace, now: u64) -> Result<(), Duration> {
        let mut shard = self.shard(key).lock();
        let full_at = shard.get(&key).copied().unwrap_or(0).max(now).saturating_add(pace.interval);
        let allowed_at = full_at.saturating_sub(pace.interval.saturating_mul(pace.at_once));
        if now < allowed_at {
            return Err(Duration::from_nanos(allowed_at - now));
        }
        if shard.len() >= ROOM && !shard.contains_key(&key) {
            forget(&mut shard, now);
        }
        shard.insert(key, full_at);
        Ok(())
    }

    /// Gives one request's worth back, because another rate refused it.
    pub(crate) fn give_back(&self, key: u64, pace: Pace) {
        if let Some(full_at) = self.shard(key).lock().get_mut(&key) {
            *full_at = full_at.saturating_sub(pace.interval);
        }
    }

    fn shard(&self, key: u64) -> &Mutex<HashMap<u64, u64>> {
        &self.shards[(key >> 60) as usize % SHARDS]
    }
}

/// Forgets the full buckets, which say nothing, and if that is not enough, those that are nearest to full.
fn forget(shard: &mut HashMap<u64, u64>, now: u64) {
    shard.retain(|_, full_at| *full_at > now);
    if shard.len() + FORGOTTEN <= ROOM {
        return;
    }
    let mut moments: Vec<u64> = shard.values().copied().collect();
    let (_, border, _) = moments.select_nth_unstable(FORGOTTEN);
    let border = *border;
    shard.retain(|_, full_at| *full_at > border);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_window_and_a_burst_pass_at_once_and_then_one_per_interval() {
        let rates = Rates::new();
        let pace = Pace::new(10, 1_000, 5).unwrap();
        for _ in 0..15 {
            assert!(rates.take(1, pace, SECOND).is_ok());
        }
        assert_eq!(rates.take(1, pace, SECOND), Err(Duration::from_millis(100)));
        assert!(rates.take(2, pace, SECOND).is_ok(), "another key has its own bucket");
        assert!(rates.take(1, pace, SECOND + SECOND / 10).is_ok());
        assert!(rates.take(1, pace, SECOND + SECOND / 10).is_err());
        // After a rest the whole bucket is there again, and no more.
        let later = SECOND * 100;
        assert_eq!((0..30).filter(|_| rates.take(1, pace, later).is_ok()).count(), 15);
    }

    #[test]
    fn a_steady_client_at_the_rate_is_never_refused_over_a_long_time() {
        let rates = Rates::new();
        let pace = Pace::new(3, 1_000, 0).unwrap();
        assert!((0..100_000u64).all(|n| rates.take(1, pace, SECOND + n * SECOND / 3 + n).is_ok()));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let rates = Rates::new();
        let pace = Pace::new(1, 1_000, 0).unwrap();
        assert!(rates.take(1, pace, SECOND).is_ok());
        rates.give_back(1, pace);
        assert!(rates.take(1, pace, SECOND).is_ok());
    }

    #[test]
    fn no_request_at_all_and_no_window_are_understood() {
        let none = Pace::new(0, 5_000, 0).unwrap();
        assert_eq!(Rates::new().take(1, none, SECOND), Err(Duration::from_secs(5)));
        assert!(Pace::new(1, 0, 0).is_none());
    }

    #[test]
    fn a_million_keys_stay_within_the_bound_and_the_hardest_pressed_is_remembered() {
        let rates = Rates::new();
        let slow = Pace::new(1, 3_600_000, 0).unwrap();
        let quick = Pace::new(100, 1_000, 0).unwrap();
        let pressed = u64::MAX / 3;
        assert!(rates.take(pressed, slow, SECOND).is_ok());
        let keys = std::hash::RandomState::new();
        for n in 0..1_000_000u64 {
            let key = std::hash::BuildHasher::hash_one(&keys, n);
            assert!(rates.take(key, quick, SECOND).is_ok());
        }
        let kept: usize = rates.shards.iter().map(|shard| shard.lock().len()).sum();
        assert!(kept <= ROOM * SHARDS, "{kept} keys are kept");
        assert!(rates.take(pressed, slow, SECOND).is_err(), "the one bucket far from full was forgotten");
    }
}
