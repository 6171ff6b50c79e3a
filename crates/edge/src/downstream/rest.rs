//! An idle connection costs its socket and little else: what serves requests is taken down and made again with the
//! next byte.
//!
//! A browser keeps its connections open for a minute after its last request, so most connections are idle ones.
//! hyper's buffers, the last request's room and what is known of the client are most of what a connection takes.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::connection::{Sides, Stage, talk};
use super::presence::Wish;
use super::wire::{Quiet, Wire};

/// A client's side of a connection that can say, without a buffer, that something has come.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// TLS keeps written bytes of its own, so that only a flush tells whether the client takes them.
    const IS_TLS: bool;

    fn poll_stirred(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

impl Socket for TcpStream {
    const IS_TLS: bool = false;

    fn poll_stirred(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }
}

/// What the other side had sent was decrypted when hyper last asked; only new bytes matter.
impl Socket for TlsStream<TcpStream> {
    const IS_TLS: bool = true;

    fn poll_stirred(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_ref().0.poll_read_ready(cx)
    }
}

impl<S: Socket> Socket for Box<S> {
    const IS_TLS: bool = S::IS_TLS;

    fn poll_stirred(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        S::poll_stirred(self, cx)
    }
}

/// Waits for the next byte, or for the connection's end. Written out, since it is what an idle connection costs.
pub(super) struct Rest<S> {
    sides: Arc<Sides>,
    /// `None` once it goes on.
    wire: Option<Quiet<S>>,
}

impl<S: Socket> Rest<S> {
    pub(super) fn new(sides: Arc<Sides>, wire: Wire<S>) -> Rest<S> {
        sides.edge.counts.resting.fetch_add(1, Ordering::Relaxed);
        Rest { sides, wire: Some(wire.quiet()) }
    }

    fn over(&self) -> Poll<Option<Stage>> {
        self.sides.over(None);
        Poll::Ready(None)
    }
}

impl<S: Socket> Future for Rest<S> {
    type Output = Option<Stage>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Stage>> {
        let this = self.get_mut();
        let presence = &this.sides.presence;
        presence.hears(cx.waker());
        let Some(wire) = &mut this.wire else { return Poll::Ready(None) };
        match presence.wish() {
            Wish::Break => this.over(),
            Wish::Leave => {
                // As hyper ends an idle connection; nothing is left to write, so this waits for nobody.
                let _ = ready!(wire.poll_shutdown(cx));
                this.over()
            }
            Wish::Stay => {
                // What is wrong with the socket is found out by who reads it.
                let _ = ready!(wire.poll_stirred(cx));
                let wire = this.wire.take().map(|quiet| quiet.wake(&this.sides));
                Poll::Ready(wire.map(|wire| talk(this.sides.clone(), wire)))
            }
        }
    }
}

impl<S> Drop for Rest<S> {
    fn drop(&mut self) {
        self.sides.edge.counts.resting.fetch_sub(1, Ordering::Relaxed);
    }
}
