//! How often one that dies at once is started again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// What the agent has tried since it started itself. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Tries(Arc<Mutex<BTreeMap<String, Try>>>);

#[derive(Debug, Clone, Copy)]
struct Try {
    /// When it was last started.
    at: Duration,
    /// How long the next try has to wait after that.
    pause: Duration,
}

impl Tries {
    /// One that has run longer than anybody waited for it starts from the beginning.
    pub fn runs(&self, container: &str, now: Duration) {
        self.with(|tries| {
            if tries.get(container).is_some_and(|one| now.saturating_sub(one.at) >= LONGEST) {
                tries.remove(container);
            }
        });
    }

    pub fn may(&self, container: &str, now: Duration) -> bool {
        self.with(|tries| tries.get(container).is_none_or(|one| now.saturating_sub(one.at) >= one.pause))
    }

    /// It is started now: 1 s, 2 s, 4 s … 60 s until the next time. Answers whether it is the first time.
    pub fn tried(&self, container: &str, now: Duration) -> bool {
        self.with(|tries| {
            let before = tries.get(container).map(|one| one.pause);
            let pause = before.map_or(FIRST, |pause| (pause * 2).min(LONGEST));
            tries.insert(container.to_owned(), Try { at: now, pause });
            before.is_none()
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut BTreeMap<String, Try>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_try_waits_twice_as_long_up_to_a_minute_and_a_minute_of_life_forgets_them() {
        let tries = Tries::default();
        let mut now = Duration::ZERO;
        let (mut pauses, mut last) = (Vec::new(), now);
        for _ in 0..8 {
            assert!(tries.may("db", now));
            tries.tried("db", now);
            last = now;
            let pause = (0..100).map(Duration::from_secs).find(|pause| tries.may("db", now + *pause)).unwrap();
            pauses.push(pause.as_secs());
            now += pause;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        tries.runs("db", last + Duration::from_secs(1));
        assert!(!tries.may("db", last + Duration::from_secs(1)), "it has not run long");
        tries.runs("db", last + LONGEST);
        assert!(tries.tried("db", last + LONGEST), "it starts from the beginning");
    }
}
