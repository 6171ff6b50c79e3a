//! Adaptive shedding: part of the requests is refused early so that the rest is served in time.
//!
//! The number of requests under way is compared with a limit that moves: multiplied down while most heads come later
//! than aimed at, added up again while they come in time.
//! The sweeper moves it; a request only counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;

use crate::proxy::answer::Reason;
use crate::snapshot::{Priority, Shedding};

/// So many heads make a judgement at once; fewer make one after [`AT_LEAST_MS`].
const ENOUGH: u64 = 16;
const AT_LEAST_MS: u64 = 1_000;

/// The limit never shrinks below this part of what is configured: somebody must get through to show that it is better.
const FLOOR: u32 = 16;

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Shedder {
    /// As configured; 0 while shedding is off.
    most: AtomicU32,
    target_us: AtomicU64,
    limit: AtomicU32,
    under_way: AtomicU32,
    heads: AtomicU64,
    late_heads: AtomicU64,
    judged_at: AtomicU64,
    /// By priority, in the order of [`Priority`].
    pub(crate) refused: [AtomicU64; 4],
}

/// One request under way.
pub(crate) struct UnderWay {
    shedder: Arc<Shedder>,
}

impl Shedder {
    pub(crate) fn new() -> Shedder {
        Shedder::default()
    }

    /// Goes by other settings; the limit starts anew only when they are other ones.
    pub(crate) fn set(&self, wanted: Option<&Shedding>) {
        let most = wanted.map_or(0, |shedding| shedding.in_flight.max(1));
        let target = wanted.and_then(|shedding| shedding.target_ms).unwrap_or(0).saturating_mul(1_000);
        let (old_most, old_target) =
            (self.most.swap(most, Ordering::Relaxed), self.target_us.swap(target, Ordering::Relaxed));
        if (old_most, old_target) != (most, target) {
            self.limit.store(most, Ordering::Relaxed);
        }
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    pub(crate) fn under_way(&self) -> u32 {
        self.under_way.load(Ordering::Relaxed)
    }

    /// Moves the limit by what was seen since the last time.
    pub(crate) fn judge(&self, now_ms: u64) {
        let most = self.most.load(Ordering::Relaxed);
        if most == 0 || self.target_us.load(Ordering::Relaxed) == 0 {
            return;
        }
        let seen = self.heads.load(Ordering::Relaxed);
        let waited = now_ms.saturating_sub(self.judged_at.load(Ordering::Relaxed));
        if seen < ENOUGH && (waited < AT_LEAST_MS || seen == 0) {
            return;
        }
        self.judged_at.store(now_ms, Ordering::Relaxed);
        let (heads, late) = (self.heads.swap(0, Ordering::Relaxed), self.late_heads.swap(0, Ordering::Relaxed));
        let limit = self.limit.load(Ordering::Relaxed);
        let next = moved(limit, most, late * 2 > heads);
        self.limit.store(next, Ordering::Relaxed);
    }
}

/// Additive increase, multiplicative decrease.
fn moved(limit: u32, most: u32, is_late: bool) -> u32 {
    if is_late {
        (limit - limit / 8).min(limit.saturating_sub(1)).max(most / FLOOR).max(1)
    } else {
        limit.saturating_add((most / 32).max(1)).min(most)
    }
}

/// Counts a request in, or refuses it because more important ones need the room.
pub(crate) fn enter(shedder: &Arc<Shedder>, priority: Priority) -> Result<UnderWay, Reason> {
    let before = shedder.under_way.fetch_add(1, Ordering::Relaxed);
    let place = UnderWay { shedder: shedder.clone() };
    let limit = shedder.limit();
    let most = match priority {
        Priority::Low => limit,
        Priority::Normal => limit.saturating_add(limit / 2),
        Priority::High => limit.saturating_mul(2),
        Priority::Critical => u32::MAX,
    };
    if before < most {
        return Ok(place);
    }
    let count = shedder.refused[priority as usize].fetch_add(1, Ordering::Relaxed);
    let text = "the server has more to do than it can do in time";
    // Spread over four seconds, so that not all come back at once.
    let seconds = 1 + u32::try_from(count % 4).unwrap_or(0);
    Err(Reason::new(StatusCode::SERVICE_UNAVAILABLE, "shed", text).retry_after(seconds))
}

impl UnderWay {
    /// The response's head came after so long.
    pub(crate) fn answered(&self, took: Duration) {
        let target = self.shedder.target_us.load(Ordering::Relaxed);
        if target == 0 {
            return;
        }
        self.shedder.heads.fetch_add(1, Ordering::Relaxed);
        if took.as_micros() > u128::from(target) {
            self.shedder.late_heads.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.shedder.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shedder(in_flight: u32, target_ms: Option<u64>) -> Arc<Shedder> {
        let shedder = Arc::new(Shedder::new());
        shedder.set(Some(&Shedding { in_flight, target_ms }));
        shedder
    }

    #[test]
    fn the_less_important_are_refused_first_and_the_critical_never() {
        let shedder = shedder(10, None);
        let mut held = Vec::new();
        let admitted = |priority, held: &mut Vec<UnderWay>| {
            let before = held.len();
            while let Ok(place) = enter(&shedder, priority) {
                held.push(place);
                if held.len() > 100 {
                    break;
                }
            }
            held.len() - before
        };
        assert_eq!(admitted(Priority::Low, &mut held), 10);
        assert_eq!(admitted(Priority::Normal, &mut held), 5);
        assert_eq!(admitted(Priority::High, &mut held), 5);
        assert!(admitted(Priority::Critical, &mut held) > 50);
        held.clear();
        assert_eq!(shedder.under_way(), 0);
        assert!(enter(&shedder, Priority::Low).is_ok());
    }

    #[test]
    fn late_heads_shrink_the_limit_fast_and_timely_ones_grow_it_back_slowly() {
        let shedder = shedder(320, Some(100));
        let round = |took_ms: u64, now: u64| {
            for _ in 0..ENOUGH {
                enter(&shedder, Priority::Critical).ok().unwrap().answered(Duration::from_millis(took_ms));
            }
            shedder.judge(now);
            shedder.limit()
        };
        assert_eq!(round(500, 1), 280);
        assert_eq!(round(500, 2), 245);
        assert_eq!(round(10, 3), 255);
        for now in 4..100 {
            round(500, now);
        }
        assert_eq!(shedder.limit(), 20, "a sixteenth stays");
        for now in 100..200 {
            round(10, now);
        }
        assert_eq!(shedder.limit(), 320, "never above what is configured");
    }

    #[test]
    fn a_single_slow_request_among_many_changes_nothing() {
        let shedder = shedder(100, Some(100));
        for n in 0..ENOUGH {
            let took = Duration::from_millis(if n == 0 { 60_000 } else { 5 });
            enter(&shedder, Priority::Normal).ok().unwrap().answered(took);
        }
        shedder.judge(1);
        assert_eq!(shedder.limit(), 100);
    }
}
