//! What the edge knows of one client connection: enough to end it when it misbehaves or when it is time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

use futures_util::task::AtomicWaker;

use crate::limits::Limits;
use crate::protect::permit::Permit;
use crate::uptime::{ms, now_ms};

/// The connection goes on.
const STAY: u8 = 0;
/// It ends with its next answer.
const LAST: u8 = 1;
/// It ends after what is under way: `Connection: close`, or GOAWAY.
const LEAVE: u8 = 2;
/// It ends now.
const BREAK: u8 = 3;

/// Shared by the connection's task, its requests, its socket and the sweeper.
#[derive(Debug)]
pub(crate) struct Presence {
    wish: AtomicU8,
    waker: AtomicWaker,
    requests: AtomicU32,
    /// Since when nothing has been under way; 0 while something is.
    idle_since: AtomicU64,
    /// When the first byte of a head came in; 0 outside heads.
    head_since: AtomicU64,
    /// Since when the client has not taken what was written; 0 when it does.
    blocked_since: AtomicU64,
    /// The head that is being read has both Content-Length and Transfer-Encoding.
    two_lengths: AtomicBool,
    is_h2: AtomicBool,
    /// The number of the listener it came through.
    listener: u64,
}

/// What the connection's task is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Stay,
    Leave,
    Break,
}

impl Presence {
    pub(crate) fn new(listener: u64) -> Presence {
        Presence {
            wish: AtomicU8::new(STAY),
            waker: AtomicWaker::new(),
            requests: AtomicU32::new(0),
            idle_since: AtomicU64::new(now_ms()),
            head_since: AtomicU64::new(0),
            blocked_since: AtomicU64::new(0),
            two_lengths: AtomicBool::new(false),
            is_h2: AtomicBool::new(false),
            listener,
        }
    }

    pub(crate) fn came_through(&self, listener: u64) -> bool {
        self.listener == listener
    }

    /// A request is under way until the guard is dropped.
    pub(crate) fn begin(this: &Arc<Presence>) -> Busy {
        this.requests.fetch_add(1, Ordering::Relaxed);
        this.idle_since.store(0, Ordering::Relaxed);
        this.head_since.store(0, Ordering::Relaxed);
        Busy { presence: this.clone(), permit: None }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.requests.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn speaks_h2(&self) {
        self.is_h2.store(true, Ordering::Relaxed);
    }

    pub(crate) fn register(&self, waker: &std::task::Waker) {
        self.waker.register(waker);
    }

    pub(crate) fn wish(&self) -> Wish {
        match self.wish.load(Ordering::Acquire) {
            STAY | LAST => Wish::Stay,
            LEAVE => Wish::Leave,
            _ => Wish::Break,
        }
    }

    /// Asks the connection to end with its next answer; one of HTTP/2, which can say so at any time, says it now.
    pub(crate) fn wind_down(&self) {
        if self.is_h2.load(Ordering::Relaxed) {
            return self.leave();
        }
        self.ask(LAST);
    }

    /// Whether the next answer is to be the connection's last.
    pub(crate) fn is_last(&self) -> bool {
        self.wish.load(Ordering::Relaxed) == LAST && !self.is_h2.load(Ordering::Relaxed)
    }

    /// Asks the connection to end after what is under way.
    pub(crate) fn leave(&self) {
        self.ask(LEAVE);
    }

    /// Ends the connection now.
    pub(crate) fn break_off(&self) {
        self.ask(BREAK);
    }

    fn ask(&self, wish: u8) {
        if self.wish.fetch_max(wish, Ordering::AcqRel) < wish {
            self.waker.wake();
        }
    }

    /// Bytes came in.
    pub(crate) fn received(&self) {
        if self.is_idle() && self.head_since.load(Ordering::Relaxed) == 0 {
            self.head_since.store(now_ms(), Ordering::Relaxed);
        }
    }

    /// The client takes what is written, or does not.
    pub(crate) fn blocked(&self, is_blocked: bool) {
        let since = self.blocked_since.load(Ordering::Relaxed);
        match (is_blocked, since) {
            (true, 0) => self.blocked_since.store(now_ms(), Ordering::Relaxed),
            (false, 1..) => self.blocked_since.store(0, Ordering::Relaxed),
            _ => {}
        }
    }

    pub(crate) fn note_two_lengths(&self, is_seen: bool) {
        if self.two_lengths.load(Ordering::Relaxed) != is_seen {
            self.two_lengths.store(is_seen, Ordering::Relaxed);
        }
    }

    pub(crate) fn saw_two_lengths(&self) -> bool {
        self.two_lengths.load(Ordering::Relaxed)
    }

    /// Ends the connection when its client is too slow or has been idle for too long.
    pub(crate) fn sweep(&self, now: u64, limits: &Limits) {
        let is_over = |since: u64, limit| since != 0 && now.saturating_sub(since) > ms(limit);
        if is_over(self.blocked_since.load(Ordering::Relaxed), limits.client_write) {
            return self.break_off();
        }
        if !self.is_idle() {
            return;
        }
        let is_h2 = self.is_h2.load(Ordering::Relaxed);
        if !is_h2 && is_over(self.head_since.load(Ordering::Relaxed), limits.header_read) {
            self.break_off();
        } else if is_over(self.idle_since.load(Ordering::Relaxed), limits.client_idle) {
            self.leave();
        }
    }
}

/// One request under way.
pub(crate) struct Busy {
    presence: Arc<Presence>,
    /// What protection gave it, where anything is limited.
    pub(crate) permit: Option<Box<Permit>>,
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.presence.requests.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.presence.idle_since.store(now_ms(), Ordering::Relaxed);
        }
    }
}
