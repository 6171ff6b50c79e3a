//! A client's side of a tunnel, whose bytes are counted as they go by.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::upstream::tally::Tally;
use crate::uptime::now_ms;

/// See the module's text.
pub(crate) struct Meter<S> {
    stream: S,
    tally: Arc<Tally>,
    passed: Arc<Passed>,
}

/// What went by on one tunnel.
#[derive(Debug)]
pub(crate) struct Passed {
    /// When a byte last did, either way.
    pub(crate) last: AtomicU64,
    /// From the client, and to it.
    pub(crate) received: AtomicU64,
    pub(crate) sent: AtomicU64,
}

impl Passed {
    pub(crate) fn new() -> Arc<Passed> {
        let last = AtomicU64::new(now_ms());
        Arc::new(Passed { last, received: AtomicU64::new(0), sent: AtomicU64::new(0) })
    }
}

impl<S> Meter<S> {
    pub(crate) fn new(stream: S, tally: Arc<Tally>, passed: Arc<Passed>) -> Meter<S> {
        Meter { stream, tally, passed }
    }

    fn note(&self, counters: [&AtomicU64; 2], bytes: usize) {
        for counter in counters {
            counter.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        self.passed.last.store(now_ms(), Ordering::Relaxed);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Meter<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        if polled.is_ready() {
            this.note([&this.tally.bytes_in, &this.passed.received], buf.filled().len() - before);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Meter<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(bytes)) = &polled {
            this.note([&this.tally.bytes_out, &this.passed.sent], *bytes);
        }
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
