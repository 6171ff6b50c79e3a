//! What the edge knows of one client connection: enough to end it when it misbehaves or when it is time.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use futures_util::task::AtomicWaker;

use super::fault::Fault;
use crate::limits::Limits;
use crate::protect::permit::Permit;
use crate::seen::record::Record;
use crate::upstream::tally::Tally;
use crate::uptime::{ms, now_ms};

/// The connection goes on.
const STAY: u8 = 0;
/// It ends with its next answer.
const LAST: u8 = 1;
/// It ends after what is under way: `Connection: close`, or GOAWAY.
const LEAVE: u8 = 2;
/// It ends now.
const BREAK: u8 = 3;

/// How long a connection is idle before it rests.
const REST_AFTER_MS: u64 = 250;

/// Frames that cost their sender nothing and that a connection may send at once: as much as a page that is left while
/// hundreds of its pictures load, and some.
const PATIENCE: u32 = 1_000;

/// How many of them each look of the sweeper forgives; it looks four times a second or more often.
const FORGIVEN: u32 = 50;

/// Shared by the connection's task, its requests, its socket and the sweeper.
#[derive(Debug)]
pub(crate) struct Presence {
    wish: AtomicU8,
    waker: AtomicWaker,
    /// The waker was used, which uses it up.
    is_called: AtomicBool,
    requests: AtomicU32,
    /// Since when nothing has been under way; 0 while something is.
    idle_since: AtomicU64,
    /// When the first byte of a head came in; 0 outside heads.
    head_since: AtomicU64,
    /// When the client ended its sending with a request under way; 0 while it has not.
    ended_sending: AtomicU64,
    /// It carries bytes for good: the end of one side is the other's to know at once.
    is_tunnel: AtomicBool,
    /// It has waited long enough for its answer, and counts as gone.
    is_gone: AtomicBool,
    /// Since when the client has not taken what was written; 0 when it does.
    blocked_since: AtomicU64,
    /// What is wrong with the raw bytes of a head, as a [`Fault`]'s number. It stays: who sends such a head once is
    /// refused until the connection is over.
    fault: AtomicU8,
    /// Since when an HTTP/2 client owes the rest of its preface or of a header block; 0 when it does not.
    block_since: AtomicU64,
    /// Frames of late that cost their sender nothing; the sweeper forgets them with time.
    bother: AtomicU32,
    /// Why the connection was ended, for the counters.
    ended_for: OnceLock<&'static str>,
    /// Bodies of HTTP/2 responses whose next piece waits for the client, and all pieces so far.
    owed: AtomicU32,
    pieces: AtomicU32,
    /// What the sweeper saw last, and since when it has not changed.
    pieces_seen: AtomicU32,
    owed_since: AtomicU64,
    is_h2: AtomicBool,
    /// The sweeper found nothing under way for a while.
    may_rest: AtomicBool,
    /// The beginning of the idle time for which that was said last.
    rested_since: AtomicU64,
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
            is_called: AtomicBool::new(true),
            requests: AtomicU32::new(0),
            idle_since: AtomicU64::new(now_ms()),
            head_since: AtomicU64::new(0),
            ended_sending: AtomicU64::new(0),
            is_tunnel: AtomicBool::new(false),
            is_gone: AtomicBool::new(false),
            blocked_since: AtomicU64::new(0),
            fault: AtomicU8::new(0),
            block_since: AtomicU64::new(0),
            bother: AtomicU32::new(0),
            ended_for: OnceLock::new(),
            owed: AtomicU32::new(0),
            pieces: AtomicU32::new(0),
            pieces_seen: AtomicU32::new(0),
            owed_since: AtomicU64::new(0),
            is_h2: AtomicBool::new(false),
            may_rest: AtomicBool::new(false),
            rested_since: AtomicU64::new(0),
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
        Busy { presence: this.clone(), permit: None, record: None, guest: None, has_failed: false, is_owed: false }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.requests.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn speaks_h2(&self) {
        // The preface has begun; its first frame must follow.
        self.in_header_block(true);
        self.is_h2.store(true, Ordering::Relaxed);
    }

    /// The connection's task can be called with this waker; asked before each look at the wishes, and cheap unless the
    /// task has been called since.
    pub(crate) fn hears(&self, waker: &std::task::Waker) {
        if self.is_called.load(Ordering::Relaxed) && self.is_called.swap(false, Ordering::AcqRel) {
            self.waker.register(waker);
        }
    }

    fn call(&self) {
        self.is_called.store(true, Ordering::Release);
        self.waker.wake();
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

    /// Whether the connection has nothing to do and has had nothing for a while; asking forgets it.
    pub(crate) fn may_rest(&self) -> bool {
        // The invitation may have come during the handshake, when nobody knew yet that HTTP/2 would be spoken.
        self.may_rest.load(Ordering::Relaxed)
            && self.may_rest.swap(false, Ordering::Relaxed)
            && !self.is_h2.load(Ordering::Relaxed)
            && self.is_still()
    }

    /// Nothing is under way in either direction.
    fn is_still(&self) -> bool {
        self.is_idle()
            && self.head_since.load(Ordering::Relaxed) == 0
            && self.blocked_since.load(Ordering::Relaxed) == 0
    }

    /// A connection that has just become idle goes on as it is: most clients ask again at once.
    fn invite_to_rest(&self, now: u64, idle_since: u64, is_h2: bool) {
        // Once for each idle time: who rests is not woken again.
        if is_h2 || now.saturating_sub(idle_since) < REST_AFTER_MS || !self.is_still() {
            return;
        }
        if self.rested_since.swap(idle_since, Ordering::Relaxed) != idle_since {
            self.may_rest.store(true, Ordering::Relaxed);
            self.call();
        }
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
            self.call();
        }
    }

    /// Bytes came in.
    pub(crate) fn received(&self) {
        if self.is_idle() && self.head_since.load(Ordering::Relaxed) == 0 {
            self.head_since.store(now_ms(), Ordering::Relaxed);
        }
    }

    /// The client has sent a whole request and then ended its sending: whether it may still wait for the answer.
    /// The connection's task is called when that changes.
    pub(crate) fn may_wait_for_answer(&self) -> bool {
        let is_answered = self.is_idle() && self.head_since.load(Ordering::Relaxed) == 0;
        if is_answered || self.is_gone.load(Ordering::Relaxed) || self.is_tunnel.load(Ordering::Relaxed) {
            return false;
        }
        let _ = self.ended_sending.compare_exchange(0, now_ms(), Ordering::Relaxed, Ordering::Relaxed);
        true
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

    pub(crate) fn note_fault(&self, fault: Fault) {
        self.fault.store(fault.number(), Ordering::Relaxed);
    }

    pub(crate) fn has_fault(&self, fault: Fault) -> bool {
        self.fault.load(Ordering::Relaxed) == fault.number()
    }

    /// An HTTP/2 client has begun a header block and not ended it, or has.
    pub(crate) fn in_header_block(&self, is_open: bool) {
        match (is_open, self.block_since.load(Ordering::Relaxed)) {
            (true, 0) => self.block_since.store(now_ms(), Ordering::Relaxed),
            (false, 1..) => self.block_since.store(0, Ordering::Relaxed),
            _ => {}
        }
    }

    /// A frame came that cost its sender nothing; too many of them end the connection.
    pub(crate) fn bothered(&self, word: &'static str) {
        if self.bother.fetch_add(1, Ordering::Relaxed) >= PATIENCE {
            self.end_for(word);
        }
    }

    /// Ends the connection now, for a reason that is counted.
    pub(crate) fn end_for(&self, word: &'static str) {
        if self.ended_for.set(word).is_ok() {
            self.break_off();
        }
    }

    /// Why the edge ended the connection.
    pub(crate) fn ended_for(&self) -> Option<&'static str> {
        self.ended_for.get().copied()
    }

    /// Ends the connection when its client is too slow or has been idle for too long.
    pub(crate) fn sweep(&self, now: u64, limits: &Limits) {
        let is_over = |since: u64, limit| since != 0 && now.saturating_sub(since) > ms(limit);
        if is_over(self.blocked_since.load(Ordering::Relaxed), limits.client_write) {
            return self.end_for("slow-reader");
        }
        if is_over(self.ended_sending.load(Ordering::Relaxed), limits.client_half_closed)
            && !self.is_gone.swap(true, Ordering::Relaxed)
        {
            self.call();
        }
        let is_h2 = self.is_h2.load(Ordering::Relaxed);
        if is_h2 {
            self.forget_bother();
            if is_over(self.block_since.load(Ordering::Relaxed), limits.header_read) {
                return self.end_for("slow-head");
            }
            if is_over(self.owed_since(now), limits.client_write) {
                return self.end_for("slow-reader");
            }
        }
        if !self.is_idle() {
            return;
        }
        let idle_since = self.idle_since.load(Ordering::Relaxed);
        if !is_h2 && is_over(self.head_since.load(Ordering::Relaxed), limits.header_read) {
            self.end_for("slow-head");
        } else if is_over(idle_since, limits.client_idle.saturating_add(limits.client_write)) {
            // Asked to leave and still there: it does not take what was written long ago.
            self.end_for("slow-reader");
        } else if is_over(idle_since, limits.client_idle) {
            self.leave();
        } else if idle_since != 0 {
            self.invite_to_rest(now, idle_since, is_h2);
        }
    }

    /// Since when no response has got on although a client could have taken a piece; 0 when that is not so.
    fn owed_since(&self, now: u64) -> u64 {
        let pieces = self.pieces.load(Ordering::Relaxed);
        let is_still = self.pieces_seen.swap(pieces, Ordering::Relaxed) == pieces;
        if self.owed.load(Ordering::Relaxed) == 0 || !is_still {
            self.owed_since.store(0, Ordering::Relaxed);
        } else if self.owed_since.load(Ordering::Relaxed) == 0 {
            self.owed_since.store(now, Ordering::Relaxed);
        }
        self.owed_since.load(Ordering::Relaxed)
    }

    /// Each look of the sweeper forgives some frames: a few hundred a second in all.
    fn forget_bother(&self) {
        let forgiven = |bother: u32| (bother > 0).then(|| bother.saturating_sub(FORGIVEN));
        let _ = self.bother.fetch_update(Ordering::Relaxed, Ordering::Relaxed, forgiven);
    }
}

/// One request under way.
pub(crate) struct Busy {
    presence: Arc<Presence>,
    /// What protection gave it, where anything is limited.
    pub(crate) permit: Option<Box<Permit>>,
    /// What the access log will tell of it, while the log is on.
    pub(crate) record: Option<Box<Record>>,
    /// Who counts its answer, where that came from a guest of its pool.
    pub(crate) guest: Option<Arc<Tally>>,
    /// Whether its answer's status tells of a failure already.
    pub(crate) has_failed: bool,
    /// Whether the next piece of its response waits for the client.
    is_owed: bool,
}

impl Busy {
    pub(crate) fn presence(&self) -> &Arc<Presence> {
        &self.presence
    }

    /// A piece of the response was asked for, and is there for the client or not.
    ///
    /// Over HTTP/1 the socket itself tells whether the client takes what it asked for; over HTTP/2 a client can keep
    /// the socket open and its window shut.
    pub(crate) fn piece(&mut self, is_there: bool) {
        if !self.presence.is_h2.load(Ordering::Relaxed) {
            return;
        }
        self.presence.pieces.fetch_add(1, Ordering::Relaxed);
        self.owe(is_there);
    }

    fn owe(&mut self, is_owed: bool) {
        if is_owed != self.is_owed {
            self.is_owed = is_owed;
            match is_owed {
                true => self.presence.owed.fetch_add(1, Ordering::Relaxed),
                false => self.presence.owed.fetch_sub(1, Ordering::Relaxed),
            };
        }
    }
}

impl Busy {
    /// From here on no request is answered any more: bytes are carried both ways.
    pub(crate) fn becomes_tunnel(&self) {
        self.presence.is_tunnel.store(true, Ordering::Relaxed);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.owe(false);
        if let Some(mut record) = self.record.take() {
            // What was under way when the edge ended the connection is told by that reason.
            record.code = record.code.or_else(|| self.presence.ended_for());
            record.end();
        }
        if self.presence.requests.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.presence.idle_since.store(now_ms(), Ordering::Relaxed);
            if self.presence.ended_sending.load(Ordering::Relaxed) != 0 {
                self.presence.call();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::{Wake, Waker};

    use super::*;

    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn an_http_2_connection_that_was_invited_during_its_handshake_does_not_rest() {
        for (is_h2, rests) in [(false, true), (true, false)] {
            let presence = Presence::new(1);
            presence.may_rest.store(true, Ordering::Relaxed);
            if is_h2 {
                presence.speaks_h2();
            }
            assert_eq!(presence.may_rest(), rests);
        }
    }

    #[test]
    fn a_connection_that_was_asked_to_leave_can_still_be_broken_off() {
        let (presence, count) = (Presence::new(1), Arc::new(Count(AtomicUsize::new(0))));
        let waker = Waker::from(count.clone());
        presence.hears(&waker);
        presence.leave();
        assert_eq!((presence.wish(), count.0.load(Ordering::SeqCst)), (Wish::Leave, 1));
        presence.hears(&waker);
        presence.break_off();
        assert_eq!((presence.wish(), count.0.load(Ordering::SeqCst)), (Wish::Break, 2));
    }
}
