//! How far a client may fall behind the least rate of a body.
//!
//! Only the time counts in which the client has the word: one that waits for a slow service loses nothing.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::downstream::presence::Presence;
use crate::downstream::streams::Cut;
use crate::edge::Edge;
use crate::seen::refusals::Refusals;
use crate::uptime::{ms, now_ms};

/// The word for a response that was taken too slowly.
pub(crate) const SLOW: &str = "slow-download";

/// What is asked of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Bytes per second, on average.
    rate: u64,
    /// How long a client may fall behind that.
    grace: Duration,
}

impl Pace {
    /// `None` when nothing is asked.
    pub(crate) fn new(rate: u64, grace: Duration) -> Option<Pace> {
        (rate > 0).then_some(Pace { rate, grace })
    }

    fn time_for(self, bytes: u64) -> Duration {
        Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / self.rate)
    }
}

/// The time that a client has left.
#[derive(Debug)]
pub(crate) struct Credit {
    pace: Pace,
    left: Duration,
}

impl Credit {
    pub(crate) fn new(pace: Pace) -> Credit {
        Credit { pace, left: pace.grace }
    }

    pub(crate) fn left(&self) -> Duration {
        self.left
    }

    /// The client had the word for so long.
    pub(crate) fn waited(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time);
    }

    /// So much passed, or was given to the client to take. What was quick earlier saves up no more than the grace.
    pub(crate) fn moved(&mut self, bytes: u64) {
        self.left = self.left.min(self.pace.grace) + self.pace.time_for(bytes);
    }
}

/// One response that is being taken, as the sweeper sees it.
#[derive(Debug)]
pub(crate) struct Taking {
    state: Mutex<State>,
    presence: Arc<Presence>,
    /// Ends this stream alone, over HTTP/2.
    cut: Option<Arc<Cut>>,
}

#[derive(Debug)]
struct State {
    credit: Credit,
    /// Since when the client has had a piece to take; 0 while it waits for the next one.
    since: u64,
    is_over: bool,
}

impl Taking {
    pub(crate) fn begin(edge: &Edge, pace: Pace, presence: Arc<Presence>) -> Arc<Taking> {
        let state = State { credit: Credit::new(pace), since: 0, is_over: false };
        let taking = Arc::new(Taking { state: Mutex::new(state), presence, cut: Cut::current() });
        edge.takings.add(&taking);
        taking
    }

    /// The next piece is asked for: the client has taken the one before, or there is room for more.
    pub(crate) fn asked(&self) {
        let mut state = self.state.lock();
        if state.since != 0 {
            let waited = now_ms().saturating_sub(state.since);
            state.credit.waited(Duration::from_millis(waited));
            state.since = 0;
        }
    }

    /// The client has a piece to take.
    pub(crate) fn given(&self, bytes: u64) {
        let mut state = self.state.lock();
        state.credit.moved(bytes);
        state.since = now_ms();
    }

    /// Whether it was ended for its client's slowness.
    pub(crate) fn is_over(&self) -> bool {
        self.state.lock().is_over
    }

    /// Ends a response that is taken too slowly.
    pub(crate) fn sweep(&self, now: u64, refusals: &Refusals) {
        {
            let mut state = self.state.lock();
            let is_late = state.since != 0 && now.saturating_sub(state.since) > ms(state.credit.left());
            if !is_late || state.is_over {
                return;
            }
            state.is_over = true;
        }
        match &self.cut {
            Some(cut) => {
                refusals.count(SLOW);
                cut.cut();
            }
            // Counted when the connection has ended.
            None => self.presence.end_for(SLOW),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credit() -> Credit {
        Credit::new(Pace::new(100, Duration::from_secs(10)).unwrap())
    }

    /// One more second, if the client has it.
    fn second(credit: &mut Credit, bytes: u64) -> bool {
        let has_it = credit.left() >= Duration::from_secs(1);
        credit.waited(Duration::from_secs(1));
        credit.moved(bytes);
        has_it
    }

    #[test]
    fn who_keeps_the_rate_goes_on_for_ever() {
        let mut credit = credit();
        assert!((0..10_000).all(|_| second(&mut credit, 100)));
    }

    #[test]
    fn who_stays_below_it_has_the_grace_and_a_little() {
        let mut credit = credit();
        let seconds = (0..10_000).take_while(|_| second(&mut credit, 10)).count();
        assert_eq!(seconds, 11, "10 s of grace, and a tenth of the rate");
    }

    #[test]
    fn what_was_quick_saves_up_no_more_than_the_grace() {
        let mut credit = credit();
        for _ in 0..1_000 {
            credit.moved(1_000);
        }
        assert_eq!(credit.left(), Duration::from_secs(20), "the grace, and the time for the last piece");
    }

    #[test]
    fn nothing_is_asked_at_a_rate_of_nothing() {
        assert!(Pace::new(0, Duration::from_secs(1)).is_none());
    }
}
