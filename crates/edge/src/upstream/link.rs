//! One HTTP/1.1 connection to a target, driven by the request that uses it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::latch::{Latch, LatchWaker, Latched};
use super::wire::TargetWire;
use crate::proxy::upload::RequestBody;
use crate::uptime::{ms, now_ms};

/// A poll goes round at most this often before it lets other tasks run.
const ROUNDS: usize = 8;

/// The most lines of an answer's head; hyper by itself takes 100, which a sign-in with a cookie for each service passes.
const MOST_LINES: usize = 256;

/// The largest piece read from a target at once.
const READ_AT_ONCE: usize = 128 << 10;

/// What the sweeper can see of a connection.
#[derive(Debug)]
pub(crate) struct LinkState {
    latch: Latch,
    /// Since when the edge has been waiting for the target; 0 when it is not.
    waiting_since: AtomicU64,
    /// How long it may wait.
    patience_ms: u64,
    expired: AtomicBool,
    /// The client's body broke off inside its request, and with it the connection.
    is_clients_fault: AtomicBool,
}

impl LinkState {
    pub(crate) fn new(patience: Duration) -> LinkState {
        LinkState {
            latch: Latch::new(),
            waiting_since: AtomicU64::new(0),
            patience_ms: ms(patience),
            expired: AtomicBool::new(false),
            is_clients_fault: AtomicBool::new(false),
        }
    }

    /// The target has the word from now on.
    pub(crate) fn waits(&self) {
        self.waiting_since.store(now_ms(), Ordering::Relaxed);
    }

    /// The target has the word; the stamp of an earlier moment stays.
    pub(super) fn still_waits(&self) {
        if self.waiting_since.load(Ordering::Relaxed) == 0 {
            self.waits();
        }
    }

    /// The client has the word: its slowness is not the target's.
    pub(crate) fn rests(&self) {
        self.waiting_since.store(0, Ordering::Relaxed);
    }

    /// Ends the wait for a target that has kept silent for too long.
    pub(crate) fn sweep(&self, now: u64) {
        let since = self.waiting_since.load(Ordering::Relaxed);
        if since != 0 && now.saturating_sub(since) > self.patience_ms {
            self.expired.store(true, Ordering::Release);
            self.latch.notify();
        }
    }

    /// The client's body breaks the exchange off.
    pub(crate) fn blame_client(&self) {
        self.is_clients_fault.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_clients_fault(&self) -> bool {
        self.is_clients_fault.load(Ordering::Relaxed)
    }

    fn is_expired(&self) -> bool {
        self.expired.load(Ordering::Acquire)
    }

    /// Polls what is driven elsewhere and wakes by itself, and ends the wait when the patience is over.
    pub(super) fn poll_patiently<T>(
        &self,
        cx: &mut Context<'_>,
        piece: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<Result<T, Expired>> {
        self.latch.begin(cx.waker());
        if let Poll::Ready(done) = piece(cx) {
            return Poll::Ready(Ok(done));
        }
        if self.is_expired() {
            return Poll::Ready(Err(Expired));
        }
        if !self.latch.wait() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Latched for LinkState {
    fn latch(&self) -> &Latch {
        &self.latch
    }
}

/// Why an exchange brought no response.
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    /// The request, when not one byte of it was sent.
    pub(crate) unsent: Option<Request<RequestBody>>,
}

#[derive(Debug)]
pub(crate) enum FailureKind {
    /// The target kept silent for too long.
    Silent,
    /// The connection ended, or what came over it was no HTTP.
    Broken(hyper::Error),
}

/// One connection; whoever owns it drives it.
pub(crate) struct Link {
    sender: SendRequest<RequestBody>,
    /// `None` once the connection has ended.
    connection: Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>,
    state: Arc<LinkState>,
    waker: Waker,
    idle_since: u64,
    /// Whether silence inside the answer is as good as any; an answer at a time.
    pub(crate) may_rest: bool,
    /// Kept between requests so that remembering a request's head allocates nothing.
    pub(crate) scratch: Vec<u8>,
}

impl Link {
    /// Connects; `limit` bounds the TCP handshake, `patience` every later silence.
    pub(crate) async fn open(addr: SocketAddr, limit: Duration, patience: Duration) -> io::Result<Link> {
        let stream = match tokio::time::timeout(limit, TcpStream::connect(addr)).await {
            Ok(connected) => connected?,
            Err(_elapsed) => return Err(io::ErrorKind::TimedOut.into()),
        };
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(READ_AT_ONCE)
            .max_headers(MOST_LINES)
            .handshake(TokioIo::new(TargetWire::new(stream)))
            .await
            .map_err(io::Error::other)?;
        let state = Arc::new(LinkState::new(patience));
        let waker = LatchWaker::waker(&state);
        let connection: Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>> = Box::pin(connection.with_upgrades());
        Ok(Link {
            sender,
            connection: Some(connection),
            state,
            waker,
            idle_since: now_ms(),
            may_rest: false,
            scratch: Vec::new(),
        })
    }

    pub(crate) fn state(&self) -> &Arc<LinkState> {
        &self.state
    }

    /// Sends a request and waits for the head of its response.
    pub(crate) async fn exchange(&mut self, request: Request<RequestBody>) -> Result<Response<Incoming>, Failure> {
        self.state.waits();
        let answer = self.sender.try_send_request(request);
        let mut answer = pin!(answer);
        let outcome = std::future::poll_fn(|cx| self.drive(cx, |noop| answer.as_mut().poll(noop))).await;
        self.state.rests();
        match outcome {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(mut error)) => {
                let unsent = error.take_message();
                Err(Failure { kind: FailureKind::Broken(error.into_error()), unsent })
            }
            Err(Expired) => Err(Failure { kind: FailureKind::Silent, unsent: None }),
        }
    }

    /// Polls for the next piece of a response body.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut Incoming,
    ) -> Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, BodyError>>> {
        let polled = self.drive(cx, |noop| Pin::new(&mut *body).poll_frame(noop));
        match polled {
            Poll::Pending => {
                if !self.may_rest {
                    self.state.still_waits();
                }
                Poll::Pending
            }
            Poll::Ready(outcome) => {
                self.state.rests();
                Poll::Ready(match outcome {
                    Ok(frame) => frame.map(|f| f.map_err(BodyError::Broken)),
                    Err(Expired) => Some(Err(BodyError::Silent)),
                })
            }
        }
    }

    /// The piece of the body that came together with the head, without waiting.
    pub(crate) fn frame_at_hand(
        &self,
        body: &mut Incoming,
    ) -> Option<Result<hyper::body::Frame<bytes::Bytes>, hyper::Error>> {
        match Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(frame) => frame,
            Poll::Pending => None,
        }
    }

    /// Drives the connection to its end; for upgrades, where the end is the hand-over of the socket.
    pub(crate) async fn run(mut self) {
        std::future::poll_fn(|cx| {
            let drained = |_: &mut Context<'_>| Poll::<()>::Pending;
            match self.connection {
                None => Poll::Ready(()),
                Some(_) => self.drive(cx, drained).map(|_| ()),
            }
        })
        .await;
    }

    /// Whether the connection can carry another request at once; settles what the last one left behind.
    pub(crate) fn settle(&mut self) -> bool {
        for _ in 0..2 {
            if self.sender.is_ready() || self.connection.is_none() {
                break;
            }
            self.poll_connection();
        }
        self.connection.is_some() && self.sender.is_ready()
    }

    /// Goes to rest in the pool.
    pub(crate) fn rest(&mut self) {
        (self.idle_since, self.may_rest) = (now_ms(), false);
        self.state.rests();
        self.state.latch.rest();
    }

    /// Whether a resting connection may be used: young enough, and not closed by the target as far as is known.
    pub(crate) fn is_usable(&mut self, now: u64, idle_limit_ms: u64) -> bool {
        if now.saturating_sub(self.idle_since) > idle_limit_ms {
            return false;
        }
        if self.state.latch.stirred() {
            self.state.latch.begin_alone();
            self.poll_connection();
            self.state.latch.moved();
            self.state.latch.rest();
        }
        self.connection.is_some() && self.sender.is_ready()
    }

    /// Polls `piece` (with a waker that does nothing) and the connection in turn until one of them is stuck.
    ///
    /// Everything `piece` waits for comes out of this very connection, so the connection's waker is enough.
    fn drive<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut piece: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<Result<T, Expired>> {
        let mut noop = Context::from_waker(Waker::noop());
        self.state.latch.begin(cx.waker());
        for _ in 0..ROUNDS {
            if let Poll::Ready(done) = piece(&mut noop) {
                return Poll::Ready(Ok(done));
            }
            if self.state.is_expired() || self.connection.is_none() {
                return Poll::Ready(Err(Expired));
            }
            self.state.latch.moved();
            self.poll_connection();
            if let Poll::Ready(done) = piece(&mut noop) {
                return Poll::Ready(Ok(done));
            }
            if self.connection.is_some() && self.state.latch.wait() {
                return Poll::Pending;
            }
        }
        // Still moving after so many rounds: others get their turn, then we go on.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_connection(&mut self) {
        if let Some(connection) = self.connection.as_mut() {
            let mut cx = Context::from_waker(&self.waker);
            // Its error reaches the request through the response or the body; here only the end matters.
            if connection.as_mut().poll(&mut cx).is_ready() {
                self.connection = None;
            }
        }
    }
}

/// The patience is over.
pub(super) struct Expired;

/// A response body broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the target kept silent inside its response")]
    Silent,
    #[error("the target's response broke off")]
    Broken(#[source] hyper::Error),
}

impl BodyError {
    /// The word for it in the access log.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            BodyError::Silent => "target-silent",
            BodyError::Broken(_) => "target-broke-off",
        }
    }
}
