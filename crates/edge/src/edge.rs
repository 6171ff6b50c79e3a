//! The running edge: what every request, the control socket and the sweeper share.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use http::StatusCode;
use parking_lot::Mutex;
use tokio_util::task::TaskTracker;

use crate::control::Source;
use crate::downstream::cuts::Cuts;
use crate::downstream::listeners::Listeners;
use crate::downstream::presence::Presence;
use crate::error::EdgeError;
use crate::limits::Limits;
use crate::persist::{Loaded, Store};
use crate::protect::Protection;
use crate::protect::places::Place;
use crate::proxy::answer::Reason;
use crate::proxy::pace::Taking;
use crate::roster::Roster;
use crate::seen::log::Logging;
use crate::seen::refusals::Refusals;
use crate::seen::routes::Routes;
use crate::snapshot::{Listener, Snapshot};
use crate::table::Table;
use crate::table::mark::Marks;
use crate::takeover::{Heirloom, Watch};
use crate::tls::TlsServer;
use crate::upstream::gate::Gate;
use crate::upstream::generation::Generation;
use crate::upstream::link::LinkState;
use crate::upstream::tally::Tally;

/// See the module's text.
pub(crate) struct Edge {
    /// The one pointer that a switch changes.
    pub(crate) table: ArcSwap<Table>,
    /// Whether the table trusts any proxy, so that most edges need not look.
    pub(crate) trusts: AtomicBool,
    /// What cookies say instead of names and addresses.
    pub(crate) marks: Marks,
    pub(crate) limits: Limits,
    pub(crate) counts: Counts,
    pub(crate) protection: Protection,
    /// The counters of the snapshot's routes.
    pub(crate) routes: Routes,
    pub(crate) log: Logging,
    pub(crate) tls: TlsServer,
    pub(crate) presences: Roster<Presence>,
    pub(crate) links: Roster<LinkState>,
    pub(crate) takings: Roster<Taking>,
    /// Every connection, tunnel and accept loop.
    pub(crate) tasks: TaskTracker,
    pub(crate) store: Store,
    pub(crate) started_ms: i64,
    /// Held by whoever changes something; requests never take it.
    pub(crate) state: Mutex<State>,
    /// One snapshot at a time; held across the file's sync, so not the state's lock.
    pub(crate) applying: tokio::sync::Mutex<()>,
    /// A successor serves: nothing changes here any more.
    pub(crate) retired: AtomicBool,
    /// Sockets of the edge before us that no listener has taken yet.
    pub(crate) heirlooms: Mutex<Vec<Heirloom>>,
    /// Where sockets in other network namespaces are asked for.
    pub(crate) lender: Option<PathBuf>,
    /// The edge before us, while it finishes what it had begun.
    pub(crate) predecessor: ArcSwap<Watch>,
}

/// What changes with snapshots.
pub(crate) struct State {
    pub(crate) snapshot: Snapshot,
    pub(crate) source: Source,
    pub(crate) note: Option<String>,
    pub(crate) problems: Vec<String>,
    pub(crate) listeners: Listeners,
    pub(crate) draining: Vec<Arc<Generation>>,
    /// Counters by pool and release; they outlive generations, so that a roll-back goes on counting.
    pub(crate) tallies: BTreeMap<(String, String), Arc<Tally>>,
    /// Where requests wait, by pool.
    pub(crate) gates: BTreeMap<String, Arc<Gate>>,
}

/// Counters that belong to no release.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) redirected: AtomicU64,
    pub(crate) not_found: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) unanswered: AtomicU64,
    pub(crate) snapshots: AtomicU64,
    /// Clients' connections that rest now.
    pub(crate) resting: AtomicU64,
    /// By the stable word of the reason.
    pub(crate) refusals: Refusals,
    /// What the log was told of connections that were ended.
    pub(crate) cuts: Cuts,
}

impl Counts {
    /// Counts an answer of the edge itself.
    pub(crate) fn own_answer(&self, reason: &Reason) {
        if !reason.status.is_redirection() {
            self.refusals.count(reason.code);
        }
        let counter = match reason.status {
            StatusCode::NOT_FOUND => &self.not_found,
            status if status.is_redirection() => &self.redirected,
            status if status.is_client_error() => &self.refused,
            _ => &self.unanswered,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Edge {
    /// The inherited socket of a listener.
    pub(crate) fn heirloom(&self, wanted: &Listener) -> Option<OwnedFd> {
        let mut heirlooms = self.heirlooms.lock();
        let index = heirlooms.iter().position(|heirloom| heirloom.is(wanted))?;
        Some(heirlooms.swap_remove(index).socket)
    }

    /// Whether an address is a proxy's whose word counts.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.trusts.load(Ordering::Relaxed) && self.table.load().trusted.contains(address)
    }

    /// Counts a connection of a client in; `None` when it has enough of them.
    pub(crate) fn seat(&self, client: IpAddr) -> Option<Place> {
        let seat = self.protection.connection(client, self.limits.connections_per_client);
        if seat.is_none() {
            self.counts.refusals.count("connections-per-client");
        }
        seat
    }

    pub(crate) fn new(
        limits: Limits,
        store: Store,
        lender: Option<PathBuf>,
        loaded: &Loaded,
        started_ms: i64,
    ) -> Result<Arc<Edge>, EdgeError> {
        Ok(Arc::new(Edge {
            table: ArcSwap::from_pointee(Table::default()),
            trusts: AtomicBool::new(false),
            marks: Marks::new(store.secret()),
            limits,
            counts: Counts::default(),
            protection: Protection::new(),
            routes: Routes::default(),
            log: Logging::default(),
            tls: TlsServer::new().map_err(|source| EdgeError::Tls { source })?,
            presences: Roster::new(),
            links: Roster::new(),
            takings: Roster::new(),
            tasks: TaskTracker::new(),
            store,
            started_ms,
            state: Mutex::new(State {
                snapshot: Snapshot::new(0).seal(),
                source: loaded.source,
                note: loaded.note.clone(),
                problems: Vec::new(),
                listeners: Listeners::default(),
                draining: Vec::new(),
                tallies: BTreeMap::new(),
                gates: BTreeMap::new(),
            }),
            applying: tokio::sync::Mutex::new(()),
            retired: AtomicBool::new(false),
            heirlooms: Mutex::default(),
            lender,
            predecessor: ArcSwap::from_pointee(Watch::default()),
        }))
    }
}
