//! The streams of HTTP/2 connections, each of which can be ended alone.
//!
//! hyper asks a response's body for more only when the client has made room, so a body cannot end the stream of a
//! client that makes none. Its task can: dropped, it resets the stream, and the connection's others go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use futures_util::task::AtomicWaker;

tokio::task_local! {
    static CURRENT: Arc<Cut>;
}

/// Runs the streams' tasks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Streams;

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let cut = Arc::new(Cut::default());
        let ended = cut.clone();
        // Moved once: it is some kilobytes, and on its way into a task it would be moved half a dozen times.
        let stream = Box::pin(stream);
        tokio::spawn(CURRENT.scope(cut, async move {
            tokio::select! {
                biased;
                () = ended.ended() => {}
                _ = stream => {}
            }
        }));
    }
}

/// Ends one stream.
#[derive(Debug, Default)]
pub(crate) struct Cut {
    is_cut: AtomicBool,
    waker: AtomicWaker,
}

impl Cut {
    /// Of the stream whose task this is; `None` over HTTP/1.
    pub(crate) fn current() -> Option<Arc<Cut>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// The stream is reset.
    pub(crate) fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
        self.waker.wake();
    }

    async fn ended(&self) {
        std::future::poll_fn(|cx| {
            self.waker.register(cx.waker());
            if self.is_cut.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}
