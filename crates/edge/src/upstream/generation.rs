//! One release of a pool while it takes or finishes requests.
//!
//! A generation owns its idle connections, so no connection to a stopped container is ever reused, and counts what
//! is in flight, so that a container is stopped only when nothing needs it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::gate::Gate;
use super::tally::Tally;
use super::target::Target;
use crate::snapshot::Pool;

/// See the module's text.
pub(crate) struct Generation {
    pub(crate) pool: Pool,
    pub(crate) targets: Box<[Target]>,
    pub(crate) tally: Arc<Tally>,
    /// The pool's, whatever the release.
    pub(crate) gate: Arc<Gate>,
    turn: AtomicUsize,
    in_flight: AtomicUsize,
    tunnels: AtomicUsize,
    draining: AtomicBool,
    /// New requests wait at the gate; stays set for ever on a generation that was replaced while it was.
    held: AtomicBool,
    changed: Notify,
    /// Cancelled when its tunnels have had their time.
    cut: CancellationToken,
}

impl Generation {
    pub(crate) fn new(pool: Pool, tally: Arc<Tally>, gate: Arc<Gate>) -> Generation {
        Generation {
            targets: pool.targets.iter().copied().map(Target::new).collect(),
            tally,
            gate,
            turn: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            tunnels: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            held: AtomicBool::new(pool.is_held()),
            changed: Notify::new(),
            cut: CancellationToken::new(),
            pool: Pool { hold: None, ..pool },
        }
    }

    /// Counts a request in; it is counted out when the guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        InFlight { generation: self.clone() }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    pub(crate) fn tunnels(&self) -> usize {
        self.tunnels.load(Ordering::SeqCst)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Whether new requests wait at the gate.
    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::SeqCst)
    }

    pub(crate) fn set_held(&self, is_held: bool) {
        self.held.store(is_held, Ordering::SeqCst);
    }

    /// Whether this is the pool as a snapshot has it; whether requests are held does not make another generation.
    pub(crate) fn is(&self, pool: &Pool) -> bool {
        self.pool.name == pool.name && self.pool == Pool { hold: None, ..pool.clone() }
    }

    pub(crate) fn cut(&self) -> &CancellationToken {
        &self.cut
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.pool.connect_timeout_ms)
    }

    pub(crate) fn response_timeout(&self) -> Duration {
        Duration::from_millis(self.pool.response_timeout_ms)
    }

    /// No new request comes in from now on: idle connections close, tunnels get their time and are then cut.
    pub(crate) fn drain(self: &Arc<Self>) {
        self.draining.store(true, Ordering::SeqCst);
        self.targets.iter().for_each(Target::close_idle);
        let generation = Arc::downgrade(self);
        let time = Duration::from_millis(self.pool.drain_websocket_ms);
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            if let Some(generation) = generation.upgrade()
                && generation.is_draining()
            {
                generation.cut.cancel();
            }
        });
    }

    /// Takes requests again, as when a roll-back comes; false when it is too late because its tunnels were cut.
    pub(crate) fn revive(&self) -> bool {
        if self.cut.is_cancelled() {
            return false;
        }
        self.draining.store(false, Ordering::SeqCst);
        true
    }

    /// Waits until nothing is in flight.
    pub(crate) async fn drained(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before looking, so that a guard dropped in between is not missed.
            changed.as_mut().enable();
            if self.in_flight() == 0 {
                return;
            }
            changed.await;
        }
    }

    /// The next target in turn; one that is down only when all are.
    pub(crate) fn choose(&self, avoid: Option<usize>) -> Option<usize> {
        let count = self.targets.len();
        match count {
            0 => return None,
            1 => return Some(0),
            _ => {}
        }
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let candidates = (0..count).map(|step| first.wrapping_add(step) % count).filter(|i| Some(*i) != avoid);
        let mut fallback = None;
        for index in candidates {
            if !self.targets[index].is_down() {
                return Some(index);
            }
            fallback.get_or_insert(index);
        }
        fallback
    }
}

/// One request (or tunnel) in flight.
pub(crate) struct InFlight {
    generation: Arc<Generation>,
}

impl InFlight {
    pub(crate) fn generation(&self) -> &Arc<Generation> {
        &self.generation
    }

    /// This request has become a tunnel.
    pub(crate) fn tunnel(self) -> Tunnel {
        self.generation.tunnels.fetch_add(1, Ordering::SeqCst);
        Tunnel { in_flight: self }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let before = self.generation.in_flight.fetch_sub(1, Ordering::SeqCst);
        if before == 1 && self.generation.is_draining() {
            self.generation.changed.notify_waiters();
        }
    }
}

/// One WebSocket (or other upgraded connection) in flight.
pub(crate) struct Tunnel {
    in_flight: InFlight,
}

impl Tunnel {
    pub(crate) fn generation(&self) -> &Arc<Generation> {
        &self.in_flight.generation
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.in_flight.generation.tunnels.fetch_sub(1, Ordering::SeqCst);
    }
}
