//! One release of a pool while it takes or finishes requests.
//!
//! A generation owns its idle connections, so no connection to a stopped container is ever reused, and counts what
//! is in flight, so that a container is stopped only when nothing needs it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::gate::Gate;
use super::look;
use super::tally::Tally;
use super::target::Target;
use crate::snapshot::Pool;
use crate::uptime::now_ms;

/// See the module's text.
pub(crate) struct Generation {
    pub(crate) pool: Pool,
    /// Shared with the generation before and after, where only the list of one release's targets has changed.
    pub(crate) targets: Box<[Arc<Target>]>,
    pub(crate) tally: Arc<Tally>,
    /// Its guests' counters.
    guest_tally: Option<Arc<Tally>>,
    /// The pool's, whatever the release.
    pub(crate) gate: Arc<Gate>,
    pub(super) turn: AtomicUsize,
    /// Whether targets differ in more than whether they can be reached.
    pub(super) is_choosy: bool,
    looking: Mutex<Option<CancellationToken>>,
    /// What is in flight, of one cohort and of the other: who came before a look and who came after it.
    in_flight: [AtomicUsize; 2],
    /// The number of the cohort that counts in now, by its last bit.
    cohort: AtomicUsize,
    /// Who waits for something to end.
    watchers: AtomicUsize,
    tunnels: AtomicUsize,
    draining: AtomicBool,
    /// New requests wait at the gate; stays set for ever on a generation that was replaced while it was.
    held: AtomicBool,
    changed: Notify,
    /// Cancelled when its tunnels have had their time.
    cut: CancellationToken,
    is_hurried: AtomicBool,
}

impl Generation {
    pub(crate) fn new(pool: Pool, tally: Arc<Tally>, gate: Arc<Gate>, before: Option<&Generation>) -> Generation {
        Generation {
            targets: pool.targets.iter().map(|addr| target(*addr, before)).collect(),
            is_choosy: pool.health.is_some() || pool.outlier.is_some() || pool.slow_start_ms > 0,
            looking: Mutex::new(None),
            tally,
            guest_tally: None,
            gate,
            turn: AtomicUsize::new(0),
            in_flight: [AtomicUsize::new(0), AtomicUsize::new(0)],
            cohort: AtomicUsize::new(0),
            watchers: AtomicUsize::new(0),
            tunnels: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            held: AtomicBool::new(pool.is_held()),
            changed: Notify::new(),
            cut: CancellationToken::new(),
            is_hurried: AtomicBool::new(false),
            pool: Pool { hold: None, ..pool },
        }
    }

    /// The same, whose guests are counted here.
    pub(crate) fn with_guests(mut self, tally: Option<Arc<Tally>>) -> Generation {
        self.guest_tally = tally;
        self
    }

    /// The counters of the release that runs there, if it is another than this one.
    pub(crate) fn guest(&self, target: Option<usize>) -> Option<&Arc<Tally>> {
        let tally = self.guest_tally.as_ref()?;
        let addr = self.targets.get(target?)?.addr;
        let guests = self.pool.guests.as_ref()?;
        guests.targets.contains(&addr).then_some(tally)
    }

    /// Counts a request in; it is counted out when the guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> InFlight {
        let cohort = self.cohort.load(Ordering::SeqCst) & 1;
        self.in_flight[cohort].fetch_add(1, Ordering::SeqCst);
        InFlight { generation: self.clone(), cohort }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.iter().map(|count| count.load(Ordering::SeqCst)).sum()
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
        self.stop_looking();
        // A target that a later generation of the release has, too, keeps its connections.
        self.targets.iter().filter(|target| Arc::strong_count(target) == 1).for_each(|target| target.close_idle());
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

    /// Looks at its targets from now on, if the pool wants that and nobody does yet.
    pub(crate) fn look_after(self: &Arc<Self>) {
        let Some(health) = &self.pool.health else { return };
        let mut looking = self.looking.lock();
        if looking.is_none() {
            let stop = CancellationToken::new();
            look::start(self, health, &stop);
            *looking = Some(stop);
        }
    }

    fn stop_looking(&self) {
        if let Some(stop) = self.looking.lock().take() {
            stop.cancel();
        }
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
        self.until(|| self.in_flight() == 0).await;
    }

    /// From here on, what comes is counted apart; answers how much is left of what came before.
    pub(crate) fn part(&self) -> impl Fn() -> usize {
        let before = self.cohort.fetch_add(1, Ordering::SeqCst) & 1;
        move || self.in_flight[before].load(Ordering::SeqCst)
    }

    /// Waits until something holds that changes when requests end.
    pub(crate) async fn until(&self, holds: impl Fn() -> bool) {
        let _watching = Watching::new(&self.watchers);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before looking, so that a guard dropped in between is not missed.
            changed.as_mut().enable();
            if holds() {
                return;
            }
            changed.await;
        }
    }

    /// Ends its streams without an end now: it is stopped next, and who comes back waits for the release after it.
    pub(crate) fn end_streams(&self) {
        self.is_hurried.store(true, Ordering::SeqCst);
        self.cut.cancel();
    }

    /// Whether its streams end at once, and not one after the other.
    pub(crate) fn is_hurried(&self) -> bool {
        self.is_hurried.load(Ordering::SeqCst)
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.stop_looking();
    }
}

/// The target as the generation before knew it, or a new one, which among old ones starts slowly.
fn target(addr: SocketAddr, before: Option<&Generation>) -> Arc<Target> {
    let Some(before) = before else { return Arc::new(Target::new(addr)) };
    before.targets.iter().find(|target| target.addr == addr).cloned().unwrap_or_else(|| {
        let target = Target::new(addr);
        target.condition.starts_slowly(now_ms());
        Arc::new(target)
    })
}

/// Somebody waits for requests to end, until it is dropped.
struct Watching<'a>(&'a AtomicUsize);

impl Watching<'_> {
    fn new(watchers: &AtomicUsize) -> Watching<'_> {
        watchers.fetch_add(1, Ordering::SeqCst);
        Watching(watchers)
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// One request (or tunnel) in flight.
pub(crate) struct InFlight {
    generation: Arc<Generation>,
    cohort: usize,
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
        let before = self.generation.in_flight[self.cohort].fetch_sub(1, Ordering::SeqCst);
        if before == 1 && self.generation.watchers.load(Ordering::SeqCst) > 0 {
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
