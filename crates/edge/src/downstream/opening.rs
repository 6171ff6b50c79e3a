//! What happens on a connection before its first request: whose it is, whether it is secured, and what it speaks.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpStream;

use super::arrival::Arrival;
use super::presence::{Presence, Wish};
use super::visitor::View;
use crate::edge::Edge;
use crate::tls::accept::{Secured, accept};
use crate::tls::tally::Reason;

/// How an HTTP/2 connection begins; no HTTP/1 method is `PRI`.
const PREFACE: &[u8] = b"PRI ";

/// A connection that is about to begin.
pub(super) struct Opening<'a> {
    pub(super) edge: &'a Edge,
    pub(super) view: &'a View,
    pub(super) peer: SocketAddr,
    pub(super) presence: &'a Presence,
}

impl Opening<'_> {
    /// Over plain text; `None` when it did not begin.
    pub(super) async fn plain(&self, stream: &mut TcpStream) -> Option<(Arrival, bool)> {
        let begin = async { Ok((self.arrival(stream).await?, is_h2(stream).await?)) };
        let opened = tokio::select! {
            biased;
            () = self.is_unwanted() => return None,
            opened = tokio::time::timeout(self.edge.limits.header_read, begin) => opened.ok()?,
        };
        opened
            .inspect_err(|error: &io::Error| tracing::debug!(%error, peer = %self.peer, "a connection did not begin"))
            .ok()
    }

    /// Of a listener that carries bytes; nothing is looked at, since in many protocols the server speaks first.
    pub(super) async fn carried(&self, stream: &mut TcpStream) -> Option<Arrival> {
        tokio::select! {
            biased;
            () = self.is_unwanted() => None,
            arrived = tokio::time::timeout(self.edge.limits.header_read, self.arrival(stream)) => arrived.ok()?.ok(),
        }
    }

    /// Over TLS; `None` when the handshake came to nothing, which is counted.
    pub(super) async fn secured(&self, config: Arc<ServerConfig>, mut stream: TcpStream) -> Option<(Arrival, Secured)> {
        let tls = &self.edge.tls;
        let begin = async {
            let arrival = self.arrival(&mut stream).await.map_err(|_broken| Reason::Closed)?;
            Ok((arrival, accept(tls, config, stream).await?))
        };
        let opened = tokio::select! {
            biased;
            () = self.is_unwanted() => Err(Reason::Closed),
            opened = tokio::time::timeout(self.edge.limits.tls_handshake, begin) => opened.unwrap_or(Err(Reason::Time)),
        };
        match opened {
            Ok((arrival, secured)) => {
                let has_client_certificate = secured.has_client_certificate;
                Some((Arrival { is_secure: true, has_client_certificate, ..arrival }, secured))
            }
            Err(reason) => {
                tls.tally.failed(reason);
                tracing::debug!(%reason, peer = %self.peer, "a TLS handshake came to nothing");
                None
            }
        }
    }

    async fn arrival(&self, stream: &mut TcpStream) -> io::Result<Arrival> {
        if self.view.is_announced() {
            let table = self.edge.table.load_full();
            return Arrival::announced(stream, self.peer, &table.trusted).await;
        }
        Arrival::of(stream, self.peer)
    }

    /// Resolves when the connection is to end before it has begun.
    pub(super) async fn is_unwanted(&self) {
        std::future::poll_fn(|cx| {
            self.presence.hears(cx.waker());
            if self.presence.wish() == Wish::Stay { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
        })
        .await;
    }
}

/// Looks at the first bytes without taking them.
async fn is_h2(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0u8; PREFACE.len()];
    loop {
        let count = stream.peek(&mut first).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if count == first.len() || first[..count] != PREFACE[..count] {
            return Ok(first == PREFACE);
        }
        // Part of what may be the preface: the rest is on its way, and peeking would not wait for it.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
