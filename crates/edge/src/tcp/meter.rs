//! A client's socket whose bytes are counted as they go by.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::upstream::tally::Tally;
use crate::uptime::now_ms;

/// See the module's text.
pub(super) struct Meter {
    stream: TcpStream,
    tally: Arc<Tally>,
    /// When a byte last went by, either way.
    last: Arc<AtomicU64>,
}

impl Meter {
    pub(super) fn new(stream: TcpStream, tally: Arc<Tally>, last: Arc<AtomicU64>) -> Meter {
        Meter { stream, tally, last }
    }

    fn note(&self, counter: &AtomicU64, bytes: usize) {
        counter.fetch_add(bytes as u64, Ordering::Relaxed);
        self.last.store(now_ms(), Ordering::Relaxed);
    }
}

impl AsyncRead for Meter {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        if polled.is_ready() {
            this.note(&this.tally.bytes_in, buf.filled().len() - before);
        }
        polled
    }
}

impl AsyncWrite for Meter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(bytes)) = &polled {
            this.note(&this.tally.bytes_out, *bytes);
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
