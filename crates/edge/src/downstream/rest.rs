//! An idle connection costs its socket and little else: what serves requests is taken down and made again with the
//! next byte.
//!
//! A browser keeps its connections open for a minute after its last request, so most connections are idle ones.
//! hyper's buffers, the last request's room and what is known of the client are most of what a connection takes.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::presence::{Presence, Wish};
use super::wire::Wire;

/// A client's side of a connection that can say, without a buffer, that something has come.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    fn poll_stirred(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

impl Socket for TcpStream {
    fn poll_stirred(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }
}

/// What the other side had sent was decrypted when hyper last asked; only new bytes matter.
impl Socket for TlsStream<TcpStream> {
    fn poll_stirred(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_ref().0.poll_read_ready(cx)
    }
}

/// Counts a resting connection until it is dropped, however its task ends.
struct Resting<'a>(&'a AtomicU64);

impl<'a> Resting<'a> {
    fn begin(count: &'a AtomicU64) -> Resting<'a> {
        count.fetch_add(1, Ordering::Relaxed);
        Resting(count)
    }
}

impl Drop for Resting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits for the next byte; `false` when the connection ends instead.
pub(super) async fn rest<S: Socket>(wire: &mut Wire<S>, presence: &Presence, count: &AtomicU64) -> bool {
    let _resting = Resting::begin(count);
    let goes_on = std::future::poll_fn(|cx| {
        presence.hears(cx.waker());
        match presence.wish() {
            Wish::Break | Wish::Leave => Poll::Ready(false),
            // What is wrong with the socket is found out by who reads it.
            Wish::Stay => wire.poll_stirred(cx).map(|_| true),
        }
    })
    .await;
    if !goes_on && presence.wish() == Wish::Leave {
        // As hyper ends an idle connection; nothing is left to write, so this waits for nobody.
        let mut wire = Pin::new(wire);
        let _ = wire.shutdown().await;
    }
    goes_on
}
