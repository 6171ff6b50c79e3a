//! Protection: what one client, one route or all of them together may use up, and who is refused first.
//!
//! One entry, [`enter`], is asked for every request whose route has limits, or while shedding is on; everything else
//! never comes here.
//! What a request was given (places, mostly) is a [`Permit`], which lives exactly as long as the request: until its
//! response's body has ended or its client has left.

pub(crate) mod client;
pub(crate) mod gate;
pub(crate) mod guard;
pub(crate) mod permit;
pub(crate) mod places;
pub(crate) mod rates;
pub(crate) mod rules;
pub(crate) mod shedder;

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Instant;

use http::HeaderMap;
use parking_lot::Mutex;

use crate::proxy::answer::Reason;
use crate::seen::route_tally::RouteTally;
use client::client_of;
use gate::{Gate, Turn};
use permit::Permit;
use places::{Place, Places};
use rates::Rates;
use rules::RouteRules;
use shedder::Shedder;

/// What outlives snapshots: counts and buckets, so that a new snapshot gives nobody a fresh start.
pub(crate) struct Protection {
    /// Keys of clients are hashed with it; unknown outside, so that nobody can choose to collide with another.
    seed: RandomState,
    rates: Rates,
    /// Requests of one client on one route.
    requests: Arc<Places>,
    /// Connections of one client.
    connections: Arc<Places>,
    gates: Mutex<HashMap<u64, Weak<Gate>>>,
    pub(crate) shedder: Arc<Shedder>,
}

/// Who asks, and when.
pub(crate) struct Asked<'a> {
    pub(crate) client: IpAddr,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) at: Instant,
}

/// The answer of [`enter`].
pub(crate) enum Entry {
    /// Go on, and keep this.
    In(Box<Permit>),
    /// Wait for a place first.
    Wait(Turn),
}

impl Protection {
    pub(crate) fn new() -> Protection {
        Protection {
            seed: RandomState::new(),
            rates: Rates::new(),
            requests: Arc::new(Places::new()),
            connections: Arc::new(Places::new()),
            gates: Mutex::new(HashMap::new()),
            shedder: Arc::new(Shedder::new()),
        }
    }

    /// A key for something that is counted.
    pub(crate) fn key(&self, thing: impl Hash) -> u64 {
        self.seed.hash_one(thing)
    }

    /// Counts a connection of a client in, unless it has `most` already.
    pub(crate) fn connection(&self, address: IpAddr, most: u32) -> Option<Place> {
        self.connections.take(self.key(client_of(address)), most)
    }

    /// The gate of a route: the living one when its limits did not change, or a new one.
    fn gate(&self, identity: u64, places: u32, queue: u32, queue_ms: u64, tally: &Arc<RouteTally>) -> Arc<Gate> {
        let key = self.key((identity, places, queue, queue_ms));
        let mut gates = self.gates.lock();
        gates.retain(|_, gate| gate.strong_count() > 0);
        if let Some(gate) = gates.get(&key).and_then(Weak::upgrade) {
            return gate;
        }
        let gate = Arc::new(Gate::new(places, queue, queue_ms, tally.clone()));
        gates.insert(key, Arc::downgrade(&gate));
        gate
    }
}

/// Decides about a request after its route is found and before a target is chosen.
///
/// The cheapest refusals come first, and what was given before a refusal is given back.
pub(crate) fn enter(
    protection: &Protection,
    rules: &RouteRules,
    sheds: bool,
    asked: &Asked<'_>,
) -> Result<Entry, Reason> {
    let mut permit = Box::new(Permit::default());
    if sheds {
        permit.shed = Some(shedder::enter(&protection.shedder, rules.priority)?);
    }
    match &rules.guard {
        Some(guard) => guard.enter(protection, rules, permit, asked),
        None => Ok(Entry::In(permit)),
    }
}
