//! A client's socket that notes progress as it goes by.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::presence::Presence;
use super::sniff::Sniff;

/// See the module's text.
pub(crate) struct Wire<S> {
    stream: S,
    presence: Arc<Presence>,
    /// `None` for HTTP/2, whose frames have one length only.
    sniff: Option<Sniff>,
    /// TLS keeps written bytes of its own, so that only a flush tells whether the client takes them.
    is_tls: bool,
}

impl<S> Wire<S> {
    pub(crate) fn new(stream: S, presence: Arc<Presence>, is_h1: bool) -> Wire<S> {
        Wire { stream, presence, sniff: is_h1.then(Sniff::default), is_tls: false }
    }

    pub(crate) fn over_tls(stream: S, presence: Arc<Presence>, is_h1: bool) -> Wire<S> {
        Wire { is_tls: true, ..Wire::new(stream, presence, is_h1) }
    }

    fn note_read(&mut self, bytes: &[u8]) {
        if bytes.is_empty() || !self.presence.is_idle() {
            return;
        }
        self.presence.received();
        if let Some(sniff) = &mut self.sniff {
            // Bytes after a finished head, with nothing under way, begin the next head.
            if sniff.is_done() {
                sniff.restart();
            }
            self.presence.note_two_lengths(sniff.look(bytes));
        }
    }

    fn note_write<T>(&self, polled: &Poll<T>) {
        self.presence.blocked(polled.is_pending());
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        if polled.is_ready() {
            this.note_read(&buf.filled()[before..]);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.note_write(&polled);
        polled
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.note_write(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_flush(cx);
        if this.is_tls {
            this.note_write(&polled);
        }
        polled
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
