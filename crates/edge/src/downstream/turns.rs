//! When an HTTP/2 connection is driven: after its streams, not between them.
//!
//! Each stream that has something to send wakes the connection, and the scheduler runs what was woken last at once; so
//! every response would be written by a system call of its own.
//! While several streams are under way the connection therefore lets all that can run go first, and then writes what
//! they have left for it in one go.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::upstream::latch::{Latch, LatchWaker, Latched};

/// Whose turn it is: the connection's, or its streams'.
pub(super) struct Turns {
    call: Arc<Call>,
    waker: Waker,
    is_waiting: bool,
}

/// What the connection is woken by; while it waits for its turn it is woken by nothing else.
struct Call(Latch);

impl Latched for Call {
    fn latch(&self) -> &Latch {
        &self.0
    }
}

impl Turns {
    pub(super) fn new() -> Turns {
        let call = Arc::new(Call(Latch::new()));
        Turns { waker: LatchWaker::waker(&call), call, is_waiting: false }
    }

    /// Polls the connection, or lets others go first when there are `others`.
    pub(super) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        others: bool,
        connection: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if others && !self.is_waiting {
            self.is_waiting = true;
            // Its first poll asks the scheduler to wake us when nobody else can run.
            let _ = pin!(tokio::task::yield_now()).poll(cx);
            return Poll::Pending;
        }
        self.is_waiting = false;
        let latch = &self.call.0;
        latch.begin(cx.waker());
        let polled = connection(&mut Context::from_waker(&self.waker));
        if polled.is_pending() && !latch.wait() {
            cx.waker().wake_by_ref();
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::task::AtomicWaker;

    use super::*;

    /// How often a connection is polled when three streams become ready at once, and once more at its beginning.
    fn polls(others: bool) -> usize {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        let (polls, ready) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let called = Arc::new(AtomicWaker::new());
        let (counted, done, listens) = (polls.clone(), ready.clone(), called.clone());
        let streams = async move {
            let connection = tokio::spawn(async move {
                let mut turns = Turns::new();
                std::future::poll_fn(|cx| {
                    turns.poll(cx, others, |cx| {
                        listens.register(cx.waker());
                        counted.fetch_add(1, Ordering::SeqCst);
                        if done.load(Ordering::SeqCst) == 3 { Poll::Ready(()) } else { Poll::Pending }
                    })
                })
                .await;
            });
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            for _ in 0..3 {
                let (ready, called) = (ready.clone(), called.clone());
                tokio::spawn(async move {
                    ready.fetch_add(1, Ordering::SeqCst);
                    called.wake();
                });
            }
            connection.await.unwrap();
        };
        runtime.block_on(async { tokio::spawn(streams).await.unwrap() });
        polls.load(Ordering::SeqCst)
    }

    #[test]
    fn a_connection_goes_after_all_streams_that_can_run_and_not_between_them() {
        assert_eq!(polls(true), 2);
        assert!(polls(false) > 2, "the scheduler runs it between them when it does not wait");
    }
}
