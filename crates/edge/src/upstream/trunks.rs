//! The HTTP/2 connections to one target: few of them, and opened when there are calls for them.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http2::SendRequest;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::trunk::{COMFORTABLE, Place, Trunk};
use crate::limits::Limits;
use crate::proxy::loan::Lent;

/// Connections per target; beyond them calls crowd together, and wait where the target takes no more.
const MOST: usize = 8;

/// Calls fill one connection after the other, so that those that are not needed fall idle.
#[derive(Default)]
pub(crate) struct Trunks {
    open: Mutex<Vec<Trunk>>,
    /// One connection is opened at a time; who waits for it most likely finds room on it.
    opening: tokio::sync::Mutex<()>,
    room: Arc<Notify>,
}

/// Somewhere to send a request.
pub(crate) struct Berth {
    pub(crate) sender: SendRequest<Lent>,
    pub(crate) place: Place,
    /// Whether the connection was opened for it.
    pub(crate) is_new: bool,
}

/// Why there is no place.
pub(crate) enum NoBerth {
    Unreachable(io::Error),
    /// All connections have as many calls as the target takes.
    Full,
}

impl Trunks {
    /// A place on an open connection, or on a new one; waits at most this long where the target takes no more calls.
    pub(crate) async fn enter(
        &self,
        addr: SocketAddr,
        connect: Duration,
        wait: Duration,
        how: &Limits,
    ) -> Result<Berth, NoBerth> {
        loop {
            if let Some(berth) = self.take() {
                return Ok(berth);
            }
            if !self.may_open() {
                let waited = tokio::time::timeout(wait, self.wait()).await.map_err(|_elapsed| NoBerth::Full)?;
                if let Some(berth) = waited {
                    return Ok(berth);
                }
            }
            let _turn = self.opening.lock().await;
            if let Some(berth) = self.take() {
                return Ok(berth);
            }
            if self.may_open() {
                let opened = Trunk::open(addr, connect, how, self.room.clone()).await.map_err(NoBerth::Unreachable)?;
                let taken = opened.take(usize::MAX);
                self.open.lock().push(opened);
                let (sender, place) = taken.ok_or(NoBerth::Full)?;
                return Ok(Berth { sender, place, is_new: true });
            }
        }
    }

    /// Waits for a place; `None` when another connection may be opened instead.
    async fn wait(&self) -> Option<Berth> {
        loop {
            let mut room = pin!(self.room.notified());
            // Registered before looking, so that a place that is given back in between is not missed.
            room.as_mut().enable();
            if let Some(berth) = self.take() {
                return Some(berth);
            }
            if self.may_open() {
                return None;
            }
            room.await;
        }
    }

    fn take(&self) -> Option<Berth> {
        let mut open = self.open.lock();
        open.retain(|trunk| !trunk.is_over());
        let crowded = || {
            let mut by_calls: Vec<&Trunk> = if open.len() < MOST { Vec::new() } else { open.iter().collect() };
            by_calls.sort_by_key(|trunk| trunk.calls());
            by_calls.into_iter().find_map(|trunk| trunk.take(usize::MAX))
        };
        let (sender, place) = open.iter().find_map(|trunk| trunk.take(COMFORTABLE)).or_else(crowded)?;
        Some(Berth { sender, place, is_new: false })
    }

    fn may_open(&self) -> bool {
        self.open.lock().len() < MOST
    }

    /// Lets go of what has carried nothing for a while; the target is told by GOAWAY.
    pub(crate) fn sweep(&self, now: u64, idle_limit_ms: u64) {
        let mut closed = Vec::new();
        {
            let mut open = self.open.lock();
            let mut index = 0;
            while index < open.len() {
                if open[index].is_over() || open[index].is_idle(now, idle_limit_ms) {
                    closed.push(open.swap_remove(index));
                } else {
                    index += 1;
                }
            }
        }
        drop(closed);
    }

    /// No new call goes over what is open now: each connection ends with the last of its calls.
    pub(crate) fn close(&self) {
        let closed = std::mem::take(&mut *self.open.lock());
        drop(closed);
    }
}
