//! One HTTP/2 connection to a target: many calls share it, and a task of its own drives it.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::limits::Limits;
use crate::proxy::loan::Lent;
use crate::uptime::now_ms;

/// Calls on one connection before another one is opened, whatever the target allows.
pub(super) const COMFORTABLE: usize = 64;

/// What one call's answer may have under way to a client that does not take it.
const CALL_WINDOW: u32 = 128 << 10;

/// So large that as many slow clients as a connection has calls cannot keep the others from being answered.
const TRUNK_WINDOW: u32 = CALL_WINDOW * COMFORTABLE as u32;

/// What of one call's request waits for the target.
const SEND_BUFFER: usize = 128 << 10;

/// The largest head of an answer, and the largest trailers.
///
/// h2 leaves out without a word what is beyond in trailers, and the status of a call is mostly among the first of
/// them. So this is far above what any service means to send.
const LARGEST_HEAD: u32 = 1 << 20;

/// Streams that were reset lately, whose late frames are no mistake.
const REMEMBERED_RESETS: usize = 1_000;

/// Finds targets whose machine is gone; one that hangs is found by pings.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// A connection whose target has said how many calls it takes.
pub(super) struct Trunk {
    sender: SendRequest<Lent>,
    state: Arc<TrunkState>,
}

/// What its calls, its task and the sweeper share of a connection.
#[derive(Debug)]
pub(super) struct TrunkState {
    calls: AtomicUsize,
    /// How many the target takes; 0 until it has said so.
    limit: AtomicUsize,
    idle_since: AtomicU64,
    is_over: AtomicBool,
    /// Told when the first words have come, or never will.
    settled: Notify,
    /// Told when there is room for a call again; shared by the target's connections.
    room: Arc<Notify>,
}

/// One call's place on a connection; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<TrunkState>);

impl Trunk {
    /// Connects, and waits for the target's first words: what is no HTTP/2 server is told before a request is at stake.
    pub(super) async fn open(addr: SocketAddr, limit: Duration, how: &Limits, room: Arc<Notify>) -> io::Result<Trunk> {
        let stream = match tokio::time::timeout(limit, TcpStream::connect(addr)).await {
            Ok(connected) => connected?,
            Err(_elapsed) => return Err(io::ErrorKind::TimedOut.into()),
        };
        stream.set_nodelay(true)?;
        let _ = SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
        let ear = Arc::new(Ear::default());
        let wire = TokioIo::new(Heard { stream, ear: ear.clone() });
        let (sender, connection) = builder(how).handshake(wire).await.map_err(io::Error::other)?;
        let state = Arc::new(TrunkState {
            calls: AtomicUsize::new(0),
            limit: AtomicUsize::new(0),
            idle_since: AtomicU64::new(now_ms()),
            is_over: AtomicBool::new(false),
            settled: Notify::new(),
            room,
        });
        let driven = state.clone();
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            let ended = std::future::poll_fn(|cx| {
                ear.task.register(cx.waker());
                let polled = connection.as_mut().poll(cx);
                // The number is whatever was asked for at first, which is none, until the target has spoken.
                driven.allows(connection.current_max_send_streams(), &ear);
                polled
            })
            .await;
            if let Err(error) = ended {
                tracing::debug!(%error, %addr, "an HTTP/2 connection to a target ended badly");
            }
            driven.ended();
        });
        let trunk = Trunk { sender, state };
        match tokio::time::timeout(how.target_first_words, trunk.state.settled.notified()).await {
            Ok(()) if trunk.is_over() => Err(io::Error::new(io::ErrorKind::InvalidData, "no HTTP/2")),
            Ok(()) => Ok(trunk),
            Err(_elapsed) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// A place, if fewer calls than this and than the target takes are under way.
    pub(super) fn take(&self, most: usize) -> Option<(SendRequest<Lent>, Place)> {
        let most = most.min(self.state.limit.load(Ordering::Relaxed));
        let one_more = |calls: usize| (calls < most).then_some(calls + 1);
        self.state.calls.fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_more).ok()?;
        Some((self.sender.clone(), Place(self.state.clone())))
    }

    pub(super) fn calls(&self) -> usize {
        self.state.calls.load(Ordering::Relaxed)
    }

    /// Nothing more can be asked over it.
    pub(super) fn is_over(&self) -> bool {
        self.state.is_over.load(Ordering::Acquire) || self.sender.is_closed()
    }

    /// Whether it has carried nothing for longer than this.
    pub(super) fn is_idle(&self, now: u64, limit_ms: u64) -> bool {
        self.calls() == 0 && now.saturating_sub(self.state.idle_since.load(Ordering::Relaxed)) > limit_ms
    }
}

impl TrunkState {
    fn allows(&self, limit: usize, ear: &Ear) {
        if self.limit.swap(limit, Ordering::Relaxed) < limit {
            ear.is_done.store(true, Ordering::Relaxed);
            self.settled.notify_one();
            self.room.notify_waiters();
        }
    }

    fn ended(&self) {
        self.is_over.store(true, Ordering::Release);
        self.settled.notify_one();
        self.room.notify_waiters();
    }
}

impl Place {
    /// Nothing more is to be asked over this connection: its target takes no more calls.
    pub(crate) fn forsake(&self) {
        self.0.is_over.store(true, Ordering::Release);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.idle_since.store(now_ms(), Ordering::Relaxed);
        self.0.calls.fetch_sub(1, Ordering::AcqRel);
        self.0.room.notify_one();
    }
}

fn builder(how: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        // None before the target has said how many.
        .initial_max_send_streams(0)
        .initial_stream_window_size(CALL_WINDOW)
        .initial_connection_window_size(TRUNK_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(LARGEST_HEAD)
        // Calls that clients have given up are reset, and what their target had sent by then still comes in. h2 takes
        // what comes for a stream that it has forgotten for an offence of the target, and ends the connection with
        // every call on it after a number of those.
        .max_concurrent_reset_streams(REMEMBERED_RESETS)
        .max_local_error_reset_streams(None)
        .keep_alive_interval(how.target_ping)
        .keep_alive_timeout(how.target_ping_patience);
    builder
}

/// Wakes the connection's own task when something may have come of the target's first words.
///
/// hyper drives the bytes in a task apart and tells nobody about SETTINGS. They hold once they are acknowledged, and
/// the acknowledgement is written.
#[derive(Debug, Default)]
struct Ear {
    task: AtomicWaker,
    has_read: AtomicBool,
    is_done: AtomicBool,
}

impl Ear {
    fn wrote(&self) {
        if !self.is_done.load(Ordering::Relaxed) && self.has_read.load(Ordering::Relaxed) {
            self.task.wake();
        }
    }
}

struct Heard {
    stream: TcpStream,
    ear: Arc<Ear>,
}

impl AsyncRead for Heard {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        if polled.is_ready() {
            this.ear.has_read.store(true, Ordering::Relaxed);
        }
        polled
    }
}

impl AsyncWrite for Heard {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.ear.wrote();
        Pin::new(&mut this.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.ear.wrote();
        Pin::new(&mut this.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
