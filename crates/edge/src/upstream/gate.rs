//! Where requests wait while their pool is being replaced.
//!
//! A gate belongs to a pool's name, not to a generation: who waits at the old release goes on to the new one.
//! They go on one after the other in the order they came: each that has reached a target wakes the next.
//! Who comes after the gate has opened does not queue behind them, since that would cost every request a look.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::tally::count;
use crate::snapshot::Hold;

/// Why somebody did not get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// As many as may wait already do.
    Full,
    /// The time is over.
    TooLong,
    /// The edge shuts down; the next one may hold them again.
    Leaving,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    pub(crate) held_total: AtomicU64,
    pub(crate) full_total: AtomicU64,
    pub(crate) late_total: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// Its limits while it is closed.
    closed: Option<Hold>,
    is_leaving: bool,
    next: u64,
    /// By ticket, lowest first; a ticket is kept when the gate closes again before its owner got through.
    queue: BTreeMap<u64, Waker>,
    bytes: u64,
}

impl Gate {
    /// Who comes from now on waits.
    pub(crate) fn close(&self, hold: &Hold) {
        self.state.lock().closed = Some(hold.clone());
    }

    /// Those who wait go on, one after the other.
    pub(crate) fn open(&self) {
        let mut state = self.state.lock();
        state.closed = None;
        state.wake_first();
    }

    /// Those who wait are sent away, because nobody will open this process's gate any more.
    pub(crate) fn leave(&self) {
        let mut state = self.state.lock();
        state.is_leaving = true;
        state.queue.values().for_each(Waker::wake_by_ref);
    }

    /// How many wait now.
    pub(crate) fn waiting(&self) -> usize {
        self.state.lock().queue.len()
    }

    /// Bytes of bodies that were read while waiting.
    pub(crate) fn bytes(&self) -> u64 {
        self.state.lock().bytes
    }

    /// Takes a place in the queue.
    pub(crate) fn join(self: &Arc<Self>) -> Result<Waiting, Held> {
        let mut state = self.state.lock();
        let most = state.closed.as_ref().map(|hold| (hold.max_requests as usize, hold.max_ms));
        if most.is_some_and(|(requests, _)| state.queue.len() >= requests) {
            count(&self.full_total);
            return Err(Held::Full);
        }
        let ticket = state.next;
        state.next += 1;
        state.queue.insert(ticket, Waker::noop().clone());
        count(&self.held_total);
        // An open gate is on its way to the next generation: there is nothing to wait for but the turn.
        let until = Instant::now() + most.map_or(Duration::from_secs(5), |(_, ms)| Duration::from_millis(ms));
        Ok(Waiting { gate: self.clone(), ticket, until, bytes: 0 })
    }
}

impl State {
    fn wake_first(&self) {
        if self.closed.is_none()
            && let Some((_, first)) = self.queue.first_key_value()
        {
            first.wake_by_ref();
        }
    }
}

/// A place in the queue; dropping it, for whatever reason, gives it to the next.
pub(crate) struct Waiting {
    gate: Arc<Gate>,
    ticket: u64,
    until: Instant,
    bytes: u64,
}

impl Waiting {
    /// Waits for the gate to open and for everybody before.
    pub(crate) async fn turn(&self) -> Result<(), Held> {
        let turn = poll_fn(|cx| {
            let mut state = self.gate.state.lock();
            if state.is_leaving {
                return Poll::Ready(Err(Held::Leaving));
            }
            let is_first = state.queue.first_key_value().is_some_and(|(ticket, _)| *ticket == self.ticket);
            if state.closed.is_none() && is_first {
                return Poll::Ready(Ok(()));
            }
            state.queue.insert(self.ticket, cx.waker().clone());
            Poll::Pending
        });
        let turn = tokio::time::timeout_at(self.until, turn).await;
        turn.unwrap_or_else(|_elapsed| {
            count(&self.gate.late_total);
            Err(Held::TooLong)
        })
    }

    /// Whether more of a body may be read while waiting.
    pub(crate) fn has_room(&self) -> bool {
        let state = self.gate.state.lock();
        state.closed.as_ref().is_some_and(|hold| state.bytes < hold.max_bytes)
    }

    /// So much more of the body was read.
    pub(crate) fn took(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.gate.state.lock().bytes += bytes;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.gate.state.lock();
        state.bytes -= self.bytes;
        state.queue.remove(&self.ticket);
        state.wake_first();
    }
}
