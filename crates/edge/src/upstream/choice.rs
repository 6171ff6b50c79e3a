//! Which target a request goes to, and what its outcome says about the target.
//!
//! Targets take turns. The least loaded of two random ones was considered and left: it needs a count per target on
//! every request, and the replicas of one service on one host share that host's processors anyway; a replica that
//! has gone bad is what `outlier` and `health` are for.

use std::sync::atomic::Ordering;

use super::generation::Generation;
use super::tally::count;
use crate::uptime::now_ms;

impl Generation {
    /// The next target in turn; one that is down, sick or ejected only when all are.
    pub(crate) fn choose(&self, avoid: Option<usize>) -> Option<usize> {
        let count = self.targets.len();
        match count {
            0 => return None,
            1 => return Some(0),
            _ => {}
        }
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let candidates = (0..count).map(|step| first.wrapping_add(step) % count).filter(|i| Some(*i) != avoid);
        if self.is_choosy {
            return self.choose_well(first, candidates);
        }
        let mut fallback = None;
        for index in candidates {
            if !self.targets[index].is_down() {
                return Some(index);
            }
            fallback.get_or_insert(index);
        }
        fallback
    }

    fn choose_well(&self, turn: usize, candidates: impl Iterator<Item = usize>) -> Option<usize> {
        let now = now_ms();
        let drawn = drawn(turn);
        let (mut slow, mut unwell, mut down) = (None, None, None);
        for index in candidates {
            let target = &self.targets[index];
            if target.is_down() {
                down.get_or_insert(index);
            } else if !target.condition.is_well(now) {
                unwell.get_or_insert(index);
            } else if target.condition.share(self.pool.slow_start_ms, now) <= drawn {
                slow.get_or_insert(index);
            } else {
                return Some(index);
            }
        }
        slow.or(unwell).or(down)
    }

    /// Whether a client may stay with a target: it is there, and nothing speaks against it.
    pub(crate) fn may_keep(&self, index: usize) -> bool {
        let is_well = |target: &std::sync::Arc<super::target::Target>| target.condition.is_well(now_ms());
        self.targets.get(index).is_some_and(|target| !target.is_down() && (!self.is_choosy || is_well(target)))
    }

    /// What a request's outcome says about its target; the last one that is well is never ejected.
    pub(crate) fn did(&self, index: usize, is_well: bool) {
        let Some(outlier) = self.pool.outlier.as_ref().filter(|_| self.targets.len() > 1) else { return };
        let condition = &self.targets[index].condition;
        if is_well {
            return condition.did_well();
        }
        let now = now_ms();
        let is_other = |(other, target): (usize, &std::sync::Arc<super::target::Target>)| {
            other != index && !target.is_down() && target.condition.is_well(now)
        };
        if condition.did_badly(outlier) && !condition.is_ejected(now) && self.targets.iter().enumerate().any(is_other) {
            condition.eject(outlier, now);
            count(&self.tally.ejections);
        }
    }
}

/// A number below 1000 for each turn, as good as random and without a state of its own.
fn drawn(turn: usize) -> u64 {
    ((turn as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % 1000
}
