//! A client's socket that notes progress as it goes by.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Sides;
use super::frames::Frames;
use super::presence::Presence;
use super::rest::Socket;
use super::sniff::Sniff;

/// See the module's text.
pub(crate) struct Wire<S> {
    stream: S,
    presence: Arc<Presence>,
    look: Look,
    /// Bytes that were read, and looked at, before a rest.
    unread: Bytes,
}

/// What is looked at beside the connection itself.
pub(crate) enum Look {
    Heads(Sniff),
    Frames(Box<Frames>),
}

impl<S> Wire<S> {
    pub(crate) fn new(stream: S, presence: Arc<Presence>, look: Look) -> Wire<S> {
        Wire { stream, presence, look, unread: Bytes::new() }
    }

    /// The same, with bytes that are to be read once more.
    pub(crate) fn with_unread(self, unread: Bytes) -> Wire<S> {
        Wire { unread, ..self }
    }

    /// Whether the end of what the client sends is kept back: hyper would take it for the end of its listening.
    fn waits_for_answer(&self) -> bool {
        matches!(&self.look, Look::Heads(sniff) if sniff.is_as_new()) && self.presence.may_wait_for_answer()
    }

    fn note_read(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        match &mut self.look {
            Look::Heads(sniff) => {
                if self.presence.is_idle() {
                    self.presence.received();
                }
                if let Some(fault) = sniff.look(bytes) {
                    self.presence.note_fault(fault);
                }
            }
            Look::Frames(frames) => frames.received(bytes, &self.presence),
        }
    }

    fn note_sent(&mut self, polled: &Poll<io::Result<usize>>, bufs: &[io::IoSlice<'_>]) {
        let (Look::Frames(frames), Poll::Ready(Ok(count))) = (&mut self.look, polled) else { return };
        let mut left = *count;
        for buf in bufs {
            let taken = left.min(buf.len());
            frames.sent(&buf[..taken]);
            left -= taken;
        }
    }

    fn note_write<T>(&self, polled: &Poll<T>) {
        self.presence.blocked(polled.is_pending());
    }
}

/// What stays of a wire while nothing goes over it.
pub(super) enum Quiet<S> {
    /// Between two heads, with nothing read ahead.
    Bare(S),
    Whole(Box<Wire<S>>),
}

impl<S: Socket> Wire<S> {
    pub(super) fn quiet(self) -> Quiet<S> {
        let is_as_new = matches!(&self.look, Look::Heads(sniff) if sniff.is_as_new());
        if is_as_new && self.unread.is_empty() { Quiet::Bare(self.stream) } else { Quiet::Whole(Box::new(self)) }
    }
}

impl<S: Socket> Quiet<S> {
    pub(super) fn wake(self, sides: &Sides) -> Wire<S> {
        match self {
            Quiet::Bare(stream) => {
                let look = Look::Heads(Sniff::default());
                Wire::new(stream, sides.presence.clone(), look)
            }
            Quiet::Whole(wire) => *wire,
        }
    }

    /// Whether there is something to read.
    pub(super) fn poll_stirred(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Quiet::Bare(stream) => stream.poll_stirred(cx),
            Quiet::Whole(wire) if wire.unread.is_empty() => wire.stream.poll_stirred(cx),
            Quiet::Whole(_) => Poll::Ready(Ok(())),
        }
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Quiet::Bare(stream) => Pin::new(stream).poll_shutdown(cx),
            Quiet::Whole(wire) => Pin::new(&mut **wire).poll_shutdown(cx),
        }
    }
}

impl<S: Socket> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.unread.is_empty() {
            let taken = this.unread.len().min(buf.remaining());
            buf.put_slice(&this.unread[..taken]);
            this.unread.advance(taken);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        if polled.is_ready() {
            let is_end = matches!(polled, Poll::Ready(Ok(()))) && buf.filled().len() == before && buf.remaining() > 0;
            if is_end && this.waits_for_answer() {
                return Poll::Pending;
            }
            this.note_read(&buf.filled()[before..]);
        }
        polled
    }
}

impl<S: Socket> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.note_write(&polled);
        this.note_sent(&polled, &[io::IoSlice::new(buf)]);
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
        this.note_sent(&polled, bufs);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_flush(cx);
        if S::IS_TLS {
            this.note_write(&polled);
        }
        polled
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
