//! One client connection from its first byte to its last.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::fault;
use super::frames::Frames;
use super::opening::Opening;
use super::presence::{Presence, Wish};
use super::sniff::Sniff;
use super::streams::Streams;
use super::visitor::{View, Visitor};
use super::wire::{Look, Wire};
use crate::edge::Edge;
use crate::proxy::forward::handle;
use crate::snapshot::Scope;
use crate::tcp::carry::carry;

/// HTTP/2's answer to a client that opens streams only to reset them.
const PENDING_RESETS: usize = 64;
const LOCAL_RESETS: usize = 256;

/// How long the other side of a dead HTTP/2 connection goes unnoticed.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_PATIENCE: Duration = Duration::from_secs(20);

/// Serves a connection until it ends or is asked to.
pub(crate) async fn serve(
    edge: Arc<Edge>,
    view: Arc<View>,
    mut stream: TcpStream,
    peer: SocketAddr,
    presence: Arc<Presence>,
) {
    let opening = Opening { edge: &edge, view: &view, peer, presence: &presence };
    let _ = stream.set_nodelay(true);
    let line = edge.table.load().lines.of(view.name().as_str());
    if let Some(line) = line {
        let carried = async {
            if let Some(arrival) = opening.carried(&mut stream).await {
                carry(&edge, &line, stream, arrival, &presence).await;
            }
        };
        return Box::pin(carried).await;
    }
    if let Some(config) = view.tls() {
        // Apart and boxed, so that a plain connection does not pay for the room TLS needs.
        let Some((arrival, secured)) = Box::pin(opening.secured(config, stream)).await else { return };
        let is_h2 = secured.is_h2;
        let wire = Wire::over_tls(secured.stream, presence.clone(), look(&edge, is_h2));
        let visitor = Visitor::new(edge, view, arrival, presence).with_session(secured.session);
        return Box::pin(converse(visitor, wire, is_h2)).await;
    }
    let Some((arrival, is_h2)) = opening.plain(&mut stream).await else { return };
    let wire = Wire::new(stream, presence.clone(), look(&edge, is_h2));
    converse(Visitor::new(edge, view, arrival, presence), wire, is_h2).await;
}

fn look(edge: &Arc<Edge>, is_h2: bool) -> Look {
    if is_h2 { Look::Frames(Box::new(Frames::new(edge.clone()))) } else { Look::Heads(Sniff::default()) }
}

async fn converse<S>(visitor: Visitor, wire: Wire<S>, is_h2: bool)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (edge, presence) = (visitor.edge.clone(), visitor.presence.clone());
    // Whom a PROXY protocol header names is counted here, since its proxy was not.
    let is_client = visitor.arrival.is_named && visitor.view().scope() == Scope::Public;
    let seat = is_client.then(|| edge.seat(visitor.arrival.peer.ip()));
    if let Some(None) = seat {
        return;
    }
    let visitor = Arc::new(visitor);
    let service = service_fn(move |request: Request<Incoming>| handle(visitor.clone(), request));
    let io = TokioIo::new(wire);
    let refused = if is_h2 {
        presence.speaks_h2();
        let connection = h2(&edge).serve_connection(io, service);
        drive(connection, &presence, |connection| connection.graceful_shutdown()).await
    } else {
        let connection = h1(&edge).serve_connection(io, service).with_upgrades();
        drive(connection, &presence, |connection| connection.graceful_shutdown()).await
    };
    if let Some(word) = presence.ended_for().or(refused) {
        edge.counts.refusals.count(word);
    }
    drop(seat);
}

fn h1(edge: &Edge) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // Time limits are the sweeper's: hyper's timer would cost a queue operation per request.
    // The head's hard limit is twice the configured one, so that the friendlier answer comes first.
    builder.max_header_size(edge.limits.header_bytes * 2).max_buf_size((edge.limits.header_bytes * 2).max(64 << 10));
    builder
}

fn h2(edge: &Edge) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(Streams);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(edge.limits.streams)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(LOCAL_RESETS)
        .max_header_list_size(u32::try_from(edge.limits.header_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(256 << 10)
        .initial_connection_window_size(1 << 20)
        .max_send_buf_size(128 << 10)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_PATIENCE);
    builder
}

/// Polls the connection, and looks at the sweeper's and the listener's wishes whenever it is woken; returns the word
/// for a head that hyper refused.
async fn drive<C>(connection: C, presence: &Presence, mut leave: impl FnMut(Pin<&mut C>)) -> Option<&'static str>
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut connection = pin!(connection);
    let mut is_registered = false;
    let mut is_leaving = false;
    std::future::poll_fn(|cx| {
        if !is_registered {
            // A task's waker stays the same for its life.
            presence.register(cx.waker());
            is_registered = true;
        }
        match presence.wish() {
            Wish::Break => return Poll::Ready(None),
            Wish::Leave if !is_leaving => {
                is_leaving = true;
                leave(connection.as_mut());
            }
            Wish::Leave | Wish::Stay => {}
        }
        connection.as_mut().poll(cx).map(|ended| {
            let error = ended.err()?;
            tracing::debug!(%error, "a client connection ended badly");
            fault::word(&error)
        })
    })
    .await
}
