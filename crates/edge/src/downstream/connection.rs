//! One client connection from its first byte to its last.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::TcpStream;

use super::arrival::Arrival;
use super::detect::{self, Spoken};
use super::fault;
use super::frames::Frames;
use super::opening::Opening;
use super::outbox::Slot;
use super::presence::{Presence, Wish};
use super::rest::{Rest, Socket};
use super::sniff::Sniff;
use super::streams::Streams;
use super::turns::Turns;
use super::visitor::{View, Visitor};
use super::wire::{Look, Wire};
use crate::edge::Edge;
use crate::protect::places::Place;
use crate::proxy::forward::handle;
use crate::snapshot::Scope;
use crate::tcp::carry::{carry, go_on};
use crate::tcp::lines::Line;
use crate::tls::accept::Session;

/// HTTP/2's answer to a client that opens streams only to reset them.
const PENDING_RESETS: usize = 64;
/// What a client sends for a request that was refused early counts, too: not so few that a connection that lives for
/// days comes to its end by them.
const LOCAL_RESETS: usize = 1_024;

/// How long the other side of a dead HTTP/2 connection goes unnoticed.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_PATIENCE: Duration = Duration::from_secs(20);

/// A part of a connection's life, which says what follows it.
///
/// A task is as large as the largest future in it, for as long as it lives. So each part is an allocation of its own,
/// and the task holds no more than the one that is lived now.
pub(crate) struct Stage(Pin<Box<dyn Future<Output = Option<Stage>> + Send>>);

impl Stage {
    pub(super) fn new(part: impl Future<Output = Option<Stage>> + Send + 'static) -> Stage {
        Stage(Box::pin(part))
    }

    /// From here to the connection's end.
    pub(crate) async fn live(mut self) {
        while let Some(next) = self.0.await {
            self = next;
        }
    }
}

/// The life of a connection until it ends or is asked to.
pub(crate) fn serve(
    edge: Arc<Edge>,
    view: Arc<View>,
    stream: TcpStream,
    peer: SocketAddr,
    presence: Arc<Presence>,
) -> Stage {
    let _ = stream.set_nodelay(true);
    let line = edge.table.load().lines.of(view.name().as_str());
    match (line, view.tls()) {
        (Some(line), _) => Stage::new(carried(edge, view, stream, peer, presence, line)),
        (None, Some(config)) => Stage::new(secured(edge, view, stream, peer, presence, config)),
        (None, None) => Stage::new(plain(edge, view, stream, peer, presence)),
    }
}

async fn carried(
    edge: Arc<Edge>,
    view: Arc<View>,
    mut stream: TcpStream,
    peer: SocketAddr,
    presence: Arc<Presence>,
    line: Arc<Line>,
) -> Option<Stage> {
    let opening = Opening { edge: &edge, view: &view, peer, presence: &presence };
    let arrival = opening.carried(&mut stream).await?;
    let Some(detect) = line.detect else {
        carry(&edge, &line, stream, arrival, &presence).await;
        return None;
    };
    let spoken = tokio::select! {
        biased;
        () = opening.is_unwanted() => return None,
        spoken = detect::spoken(&edge, &line, detect, &stream, &presence) => spoken?,
    };
    match spoken {
        Spoken::Bytes(None) => carry(&edge, &line, stream, arrival, &presence).await,
        Spoken::Bytes(Some(opened)) => go_on(&edge, &line, stream, opened, arrival, &presence).await,
        Spoken::Requests { is_h2 } => {
            let wire = Wire::new(stream, presence.clone(), look(&edge, is_h2));
            return Some(converse(Sides::new(edge, view, arrival, presence, None)?, wire, is_h2));
        }
    }
    None
}

async fn secured(
    edge: Arc<Edge>,
    view: Arc<View>,
    stream: TcpStream,
    peer: SocketAddr,
    presence: Arc<Presence>,
    config: Arc<ServerConfig>,
) -> Option<Stage> {
    let opening = Opening { edge: &edge, view: &view, peer, presence: &presence };
    let (arrival, secured) = opening.secured(config, stream).await?;
    let wire = Wire::new(Box::new(secured.stream), presence.clone(), look(&edge, secured.is_h2));
    Some(converse(Sides::new(edge, view, arrival, presence, Some(secured.session))?, wire, secured.is_h2))
}

async fn plain(
    edge: Arc<Edge>,
    view: Arc<View>,
    mut stream: TcpStream,
    peer: SocketAddr,
    presence: Arc<Presence>,
) -> Option<Stage> {
    let opening = Opening { edge: &edge, view: &view, peer, presence: &presence };
    let (arrival, is_h2) = opening.plain(&mut stream).await?;
    let wire = Wire::new(stream, presence.clone(), look(&edge, is_h2));
    Some(converse(Sides::new(edge, view, arrival, presence, None)?, wire, is_h2))
}

fn look(edge: &Arc<Edge>, is_h2: bool) -> Look {
    if is_h2 { Look::Frames(Box::new(Frames::new(edge.clone()))) } else { Look::Heads(Sniff::default()) }
}

/// What stays of a connection while it rests.
pub(super) struct Sides {
    pub(super) edge: Arc<Edge>,
    view: Arc<View>,
    arrival: Arrival,
    pub(super) presence: Arc<Presence>,
    /// What TLS agreed on.
    session: Option<Session>,
    _seat: Option<Place>,
}

impl Sides {
    /// `None` where the client has too many connections already.
    fn new(
        edge: Arc<Edge>,
        view: Arc<View>,
        arrival: Arrival,
        presence: Arc<Presence>,
        session: Option<Session>,
    ) -> Option<Arc<Sides>> {
        // Whom a PROXY protocol header names is counted here, since its proxy was not.
        let is_client = arrival.is_named && view.scope() == Scope::Public;
        let seat = if is_client { Some(edge.seat(arrival.peer.ip())?) } else { None };
        Some(Arc::new(Sides { edge, view, arrival, presence, session, _seat: seat }))
    }

    /// What requests see of the connection, made for as long as there are some.
    fn visitor(&self) -> Arc<Visitor> {
        let visitor = Visitor::new(self.edge.clone(), self.view.clone(), self.arrival, self.presence.clone());
        Arc::new(visitor.with_session(self.session.clone()))
    }

    /// The connection is over; a word for a head that hyper refused.
    pub(super) fn over(&self, refused: Option<&'static str>) {
        if let Some(word) = self.presence.ended_for().or(refused) {
            self.edge.counts.refusals.count(word);
            self.edge.counts.cuts.tell(word, self.arrival.peer.ip());
        }
    }
}

/// How a stretch of requests ended.
enum Stretch<S> {
    /// The connection is over; a word for a head that hyper refused.
    Over(Option<&'static str>),
    /// Nothing is under way, and nothing has been for a while.
    Idle(Wire<S>),
}

fn converse<S: Socket>(sides: Arc<Sides>, wire: Wire<S>, is_h2: bool) -> Stage {
    if !is_h2 {
        return talk(sides, wire);
    }
    Stage::new(async move {
        sides.over(many_at_once(&sides, wire).await);
        None
    })
}

/// Requests over HTTP/1, until the connection rests or is over.
pub(super) fn talk<S: Socket>(sides: Arc<Sides>, wire: Wire<S>) -> Stage {
    Stage::new(async move {
        match one_by_one(&sides, wire).await {
            Stretch::Idle(wire) => Some(Stage::new(Rest::new(sides, wire))),
            Stretch::Over(refused) => {
                sides.over(refused);
                None
            }
        }
    })
}

/// HTTP/1, until it is over or has nothing to do.
async fn one_by_one<S: Socket>(sides: &Sides, wire: Wire<S>) -> Stretch<S> {
    let visitor = sides.visitor();
    let service = service_fn(move |request: Request<Incoming>| handle(visitor.clone(), request));
    let mut connection = h1(&sides.edge).serve_connection(TokioIo::new(wire), service).with_upgrades();
    let leave = |connection: Pin<&mut http1::UpgradeableConnection<_, _>>| connection.graceful_shutdown();
    let poll = |connection: Pin<&mut http1::UpgradeableConnection<_, _>>, cx: &mut Context<'_>| connection.poll(cx);
    if let Some(ended) = drive(&mut connection, &sides.presence, poll, leave).await {
        return Stretch::Over(ended);
    }
    match connection.into_parts() {
        Some(parts) => Stretch::Idle(parts.io.into_inner().with_unread(parts.read_buf)),
        None => Stretch::Over(None),
    }
}

/// HTTP/2.
async fn many_at_once<S: Socket>(sides: &Sides, wire: Wire<S>) -> Option<&'static str> {
    let visitor = sides.visitor();
    let service = service_fn(move |request: Request<Incoming>| handle(visitor.clone(), request));
    sides.presence.speaks_h2();
    let slot = Slot::new(wire);
    let mut connection = h2(&sides.edge).serve_connection(TokioIo::new(slot.clone()), service);
    let leave = |connection: Pin<&mut http2::Connection<_, _, _>>| connection.graceful_shutdown();
    let mut turns = Turns::new();
    let poll = |connection: Pin<&mut http2::Connection<_, _, _>>, cx: &mut Context<'_>| {
        turns.poll(cx, !sides.presence.is_idle(), |cx| {
            let polled = connection.poll(cx);
            slot.send(cx, &sides.presence);
            polled
        })
    };
    drive(&mut connection, &sides.presence, poll, leave).await.flatten()
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
        // WebSockets (RFC 8441).
        .enable_connect_protocol()
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
/// for a head that hyper refused, and `None` when the connection has nothing to do and may rest.
async fn drive<C>(
    connection: &mut C,
    presence: &Presence,
    mut poll: impl FnMut(Pin<&mut C>, &mut Context<'_>) -> Poll<hyper::Result<()>>,
    mut leave: impl FnMut(Pin<&mut C>),
) -> Option<Option<&'static str>>
where
    C: Unpin,
{
    let mut is_leaving = false;
    std::future::poll_fn(|cx: &mut Context<'_>| {
        presence.hears(cx.waker());
        match presence.wish() {
            Wish::Break => return Poll::Ready(Some(None)),
            Wish::Leave if !is_leaving => {
                is_leaving = true;
                leave(Pin::new(connection));
            }
            Wish::Leave | Wish::Stay => {}
        }
        if let Poll::Ready(ended) = poll(Pin::new(connection), cx) {
            let word = ended.err().and_then(|error| {
                tracing::debug!(%error, "a client connection ended badly");
                fault::word(&error)
            });
            return Poll::Ready(Some(word));
        }
        if !is_leaving && presence.may_rest() { Poll::Ready(None) } else { Poll::Pending }
    })
    .await
}
