//! Time is an argument: whoever needs it holds a `Clock`, so that a test can turn the hands.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The two kinds of time. They are kept apart because only one of them can jump.
pub trait Clock: Send + Sync {
    /// Wall-clock time in Unix milliseconds: for records that people read. It may jump, in either direction.
    fn now_ms(&self) -> i64;
    /// Time since the clock was made: for measuring. It never goes back.
    fn monotonic(&self) -> Duration;
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// Starts measuring now.
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    fn now_ms(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => millis(since),
            // A clock set before 1970 is still a clock: it counts backwards from the epoch.
            Err(before) => -millis(before.duration()),
        }
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// A clock that moves only when it is told to.
#[derive(Debug)]
pub struct TestClock {
    hands: Mutex<Hands>,
}

#[derive(Debug, Clone, Copy)]
struct Hands {
    now_ms: i64,
    monotonic: Duration,
}

impl TestClock {
    /// A clock that shows `now_ms` (Unix milliseconds) and has measured nothing yet.
    pub fn new(now_ms: i64) -> Self {
        Self { hands: Mutex::new(Hands { now_ms, monotonic: Duration::ZERO }) }
    }

    /// Time passes: both kinds of time move.
    pub fn advance(&self, by: Duration) {
        self.turn(|hands| {
            hands.now_ms = hands.now_ms.saturating_add(millis(by));
            hands.monotonic = hands.monotonic.saturating_add(by);
        });
    }

    /// Somebody sets the wall clock (NTP, an operator): measured time does not move.
    pub fn jump_to(&self, now_ms: i64) {
        self.turn(|hands| hands.now_ms = now_ms);
    }

    fn turn(&self, change: impl FnOnce(&mut Hands)) {
        // A panic of another test thread leaves the hands readable, so a poisoned lock is no reason to stop.
        change(&mut self.hands.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    fn hands(&self) -> Hands {
        *self.hands.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Default for TestClock {
    /// 2026-01-01T00:00:00Z, so that times in snapshots look like times.
    fn default() -> Self {
        Self::new(1_767_225_600_000)
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        self.hands().now_ms
    }

    fn monotonic(&self) -> Duration {
        self.hands().monotonic
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_never_measures_backwards() {
        let clock = SystemClock::new();
        let first = clock.monotonic();
        assert!(clock.monotonic() >= first);
        assert!(clock.now_ms() > 1_700_000_000_000);
    }

    #[test]
    fn advancing_a_test_clock_moves_both_kinds_of_time() {
        let clock = TestClock::new(1_000);
        clock.advance(Duration::from_millis(250));
        assert_eq!((clock.now_ms(), clock.monotonic()), (1_250, Duration::from_millis(250)));
    }

    #[test]
    fn setting_the_wall_clock_back_does_not_change_what_was_measured() {
        let clock = TestClock::new(1_000);
        clock.advance(Duration::from_secs(1));
        clock.jump_to(5);
        assert_eq!((clock.now_ms(), clock.monotonic()), (5, Duration::from_secs(1)));
    }
}
