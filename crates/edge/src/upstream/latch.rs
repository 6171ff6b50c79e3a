//! A waker that knows whether anybody would listen.
//!
//! An upstream connection is driven by the task of the request that uses it, not by a task of its own: that saves
//! two task switches per request.
//! hyper's channels between the two halves then wake the very task that is already running, or the task of the
//! request before.
//! The latch takes these wakes, keeps them as a note, and passes on only those that somebody waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Wake, Waker};

use futures_util::task::AtomicWaker;

/// Set in any phase when a wake came in.
const NOTED: u8 = 1;
/// The connection is being polled right now: a note is enough, the poller looks at it.
const POLLING: u8 = 0;
/// A task sleeps until the connection moves.
const WAITING: u8 = 2;
/// Nobody uses the connection.
const RESTING: u8 = 4;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Latch {
    state: AtomicU8,
    task: AtomicWaker,
}

impl Latch {
    pub(crate) fn new() -> Latch {
        Latch { state: AtomicU8::new(RESTING), task: AtomicWaker::new() }
    }

    /// Polling begins on behalf of this task; earlier notes are void because the poll looks at everything.
    pub(crate) fn begin(&self, task: &Waker) {
        self.task.register(task);
        self.state.store(POLLING, Ordering::Release);
    }

    /// Polling begins on nobody's behalf, to see whether a resting connection is still alive.
    pub(crate) fn begin_alone(&self) {
        self.state.store(POLLING, Ordering::Release);
    }

    /// Whether something moved while polling; asking clears it.
    pub(crate) fn moved(&self) -> bool {
        self.state.fetch_and(!NOTED, Ordering::AcqRel) & NOTED != 0
    }

    /// The task goes to sleep; false when something moved meanwhile, then it must poll again.
    pub(crate) fn wait(&self) -> bool {
        self.state.compare_exchange(POLLING, WAITING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Nobody uses the connection from now on; notes are kept for the next user.
    pub(crate) fn rest(&self) {
        self.state.fetch_or(RESTING, Ordering::AcqRel);
    }

    /// Whether something happened while resting: most likely, the target closed.
    pub(crate) fn stirred(&self) -> bool {
        self.state.load(Ordering::Acquire) & NOTED != 0
    }

    /// Wakes the waiting task, if there is one.
    pub(crate) fn notify(&self) {
        let before = self.state.fetch_or(NOTED, Ordering::AcqRel);
        if before == WAITING {
            self.task.wake();
        }
    }
}

/// The latch as part of something bigger that hyper can hold as a waker.
pub(crate) trait Latched: Send + Sync + 'static {
    fn latch(&self) -> &Latch;
}

/// Adapts what owns a latch to the standard waker.
pub(crate) struct LatchWaker<T>(pub(crate) Arc<T>);

impl<T: Latched> LatchWaker<T> {
    pub(crate) fn waker(owner: &Arc<T>) -> Waker {
        Waker::from(Arc::new(LatchWaker(owner.clone())))
    }
}

impl<T: Latched> Wake for LatchWaker<T> {
    fn wake(self: Arc<Self>) {
        self.0.latch().notify();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.latch().notify();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_wake_inside_polling_is_noted_and_nobody_is_woken() {
        let (latch, count) = (Latch::new(), Arc::new(Count(AtomicUsize::new(0))));
        latch.begin(&Waker::from(count.clone()));
        latch.notify();
        assert!(!latch.wait(), "the note must be looked at before sleeping");
        assert!(latch.moved());
        assert!(latch.wait());
        assert_eq!(count.0.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_waiting_task_is_woken_once() {
        let (latch, count) = (Latch::new(), Arc::new(Count(AtomicUsize::new(0))));
        latch.begin(&Waker::from(count.clone()));
        assert!(latch.wait());
        latch.notify();
        latch.notify();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_resting_connection_keeps_the_note_for_its_next_user() {
        let (latch, count) = (Latch::new(), Arc::new(Count(AtomicUsize::new(0))));
        latch.begin(&Waker::from(count.clone()));
        latch.rest();
        assert!(!latch.stirred());
        latch.notify();
        assert!(latch.stirred());
        assert_eq!(count.0.load(Ordering::SeqCst), 0);
    }
}
