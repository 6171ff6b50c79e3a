//! The edge's counters as numbers, from which a reader makes rates by looking twice.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::TargetState;

/// Everything counted so far by this process; they begin at zero with it, so a reader compares `pid` and `started_ms`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    pub pid: u32,
    pub version: String,
    /// Unix milliseconds.
    pub started_ms: i64,
    pub epoch: u64,
    /// When these were read, on a clock that never jumps; its zero means nothing.
    pub at_us: u64,
    /// Upper bounds of the buckets of all `times`; the last bucket has none.
    pub bounds_us: Vec<u64>,
    /// Releases that serve, and those that still finish something.
    pub releases: Vec<ReleaseCounters>,
    pub routes: Vec<RouteCounters>,
    /// Open connections of clients.
    pub connections: u64,
    /// TLS handshakes that came about, those among them that resumed a session, and those that came to nothing.
    pub handshakes: u64,
    pub resumed: u64,
    pub handshakes_failed: u64,
    /// Why requests and connections were refused or not served, by the stable words.
    pub refused: BTreeMap<String, u64>,
    /// Lines of the access log that were not written.
    pub log_dropped: u64,
}

/// One release of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReleaseCounters {
    pub pool: String,
    pub release: String,
    /// It was switched away and finishes what it had begun.
    pub is_draining: bool,
    /// Requests and WebSockets under way, and the WebSockets among them.
    pub in_flight: u64,
    pub websockets: u64,
    /// Requests that wait for the pool's next release, and all that ever had to.
    pub held: u64,
    pub held_total: u64,
    /// Of those that wanted to wait: found no room, or waited for too long.
    pub hold_refused: u64,
    /// Answers by class: 1xx to 5xx.
    pub classes: [u64; 5],
    /// Times to the head of the answer.
    pub times: Vec<u64>,
    pub connects: u64,
    pub connect_errors: u64,
    pub retries: u64,
    /// Requests that the edge answered for it.
    pub unanswered: u64,
    pub ejections: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub targets: Vec<TargetState>,
}

/// One route, by host and path as configured.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RouteCounters {
    /// `*` for any.
    pub host: String,
    pub path: String,
    /// Where it leads.
    pub pools: Vec<String>,
    pub classes: [u64; 5],
    pub times: Vec<u64>,
    pub rate_limited: u64,
    /// Found the queue full, or waited there in vain.
    pub queue_refused: u64,
    /// Wait in the queue now.
    pub waiting: u64,
}
