//! One address of a pool, and its idle connections.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::condition::Condition;
use super::link::Link;
use super::trunks::Trunks;
use crate::control::TargetCondition;
use crate::uptime::now_ms;

/// A target that could not be reached is asked last for this long.
const DOWN_MS: u64 = 1_000;

/// One address; the idle connections belong to it and so to one generation.
pub(crate) struct Target {
    pub(crate) addr: SocketAddr,
    idle: Mutex<Vec<Link>>,
    /// Where its pool speaks HTTP/2.
    pub(crate) trunks: Trunks,
    down_until: AtomicU64,
    pub(crate) condition: Condition,
    /// A connect attempt timed out: until somebody gets through, only one request at a time waits for it.
    swallows: AtomicBool,
}

impl Target {
    pub(crate) fn new(addr: SocketAddr) -> Target {
        Target {
            addr,
            idle: Mutex::new(Vec::new()),
            trunks: Trunks::default(),
            down_until: AtomicU64::new(0),
            condition: Condition::default(),
            swallows: AtomicBool::new(false),
        }
    }

    /// The most recently used idle connection: the others may go cold.
    pub(crate) fn take_idle(&self, idle_limit_ms: u64) -> Option<Link> {
        loop {
            let mut link = self.idle.lock().pop()?;
            // Checked outside the lock: the check may poll the socket.
            if link.is_usable(now_ms(), idle_limit_ms) {
                return Some(link);
            }
        }
    }

    /// Puts a connection to rest, or closes it when enough others rest already.
    pub(crate) fn give_back(&self, mut link: Link, most: usize) {
        link.rest();
        let mut idle = self.idle.lock();
        if idle.len() < most {
            idle.push(link);
        }
    }

    /// Closes what has rested for too long or was closed by the target.
    pub(crate) fn sweep(&self, now: u64, idle_limit_ms: u64) {
        let mut closed = Vec::new();
        {
            let mut idle = self.idle.lock();
            let mut index = 0;
            while index < idle.len() {
                if idle[index].is_usable(now, idle_limit_ms) {
                    index += 1;
                } else {
                    closed.push(idle.remove(index));
                }
            }
        }
        drop(closed);
    }

    /// Closes all idle connections, and every other one of HTTP/2 with the last of its calls.
    pub(crate) fn close_idle(&self) {
        self.trunks.close();
        let closed = std::mem::take(&mut *self.idle.lock());
        drop(closed);
    }

    pub(crate) fn is_down(&self) -> bool {
        let until = self.down_until.load(Ordering::Relaxed);
        until != 0 && now_ms() < until
    }

    /// For reports.
    pub(crate) fn state(&self) -> TargetCondition {
        match &self.condition {
            condition if condition.is_sick() => TargetCondition::Sick,
            condition if condition.is_ejected(now_ms()) => TargetCondition::Ejected,
            _ if self.is_down() => TargetCondition::Unreachable,
            _ => TargetCondition::Well,
        }
    }

    /// Whether an attempt would most likely only add to those that already wait for a timeout.
    pub(crate) fn is_swallowing(&self) -> bool {
        self.is_down() && self.swallows.load(Ordering::Relaxed)
    }

    /// A connection came about.
    pub(crate) fn reached(&self) {
        if self.down_until.load(Ordering::Relaxed) != 0 {
            self.down_until.store(0, Ordering::Relaxed);
            self.swallows.store(false, Ordering::Relaxed);
        }
    }

    /// No connection came about.
    pub(crate) fn missed(&self, timed_out: bool) {
        self.swallows.store(timed_out, Ordering::Relaxed);
        self.down_until.store(now_ms() + DOWN_MS, Ordering::Relaxed);
    }
}
