//! The words spoken over the control socket.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// The acknowledgement of a snapshot: traffic moves by it from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The epoch now served.
    pub epoch: u64,
    /// The hash now served.
    pub hash: String,
    /// False when the same snapshot was already served.
    pub changed: bool,
    /// Every listener, with the reason when one could not be opened.
    pub listeners: Vec<ListenerState>,
    /// What in the snapshot cannot work (a route to an unknown pool); the rest is served.
    #[serde(default)]
    pub problems: Vec<String>,
}

/// One listener as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerState {
    pub name: String,
    /// The address really bound (the picked port, where port 0 was asked for).
    pub bind: SocketAddr,
    /// Why it does not accept connections; it is tried again until it does.
    #[serde(default)]
    pub error: Option<String>,
}

/// Where the served snapshot came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// The agent pushed it to this process.
    #[serde(rename = "pushed")]
    Pushed,
    /// Read from the state folder at start.
    #[serde(rename = "file")]
    File,
    /// The newest file could not be read; the one before it is served.
    #[serde(rename = "previous file")]
    PreviousFile,
    /// Nothing is served yet.
    #[serde(rename = "empty")]
    Empty,
}

/// What the edge serves and does right now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub epoch: u64,
    pub hash: String,
    pub pid: u32,
    pub version: String,
    /// Unix milliseconds.
    pub started_ms: i64,
    pub source: Source,
    /// What a person should know about the start: a file that could not be read, and why.
    #[serde(default)]
    pub note: Option<String>,
    /// Why the access log is not written, while it is not.
    #[serde(default)]
    pub access_log: Option<String>,
    #[serde(default)]
    pub listeners: Vec<ListenerState>,
    pub pools: Vec<PoolState>,
    pub draining: Vec<DrainingPool>,
}

/// One pool that takes requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolState {
    pub name: String,
    pub release: String,
    pub targets: Vec<SocketAddr>,
    /// Requests and WebSockets under way.
    pub in_flight: u64,
    /// The WebSockets among them.
    pub websockets: u64,
    /// Since this process first served the release.
    pub requests_total: u64,
    /// The targets one by one.
    #[serde(default)]
    pub conditions: Vec<TargetState>,
    /// Whether new requests wait because the pool is being replaced.
    #[serde(default)]
    pub is_held: bool,
    /// Requests that wait now.
    #[serde(default)]
    pub held: u64,
}

/// One target as the edge sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetState {
    pub addr: SocketAddr,
    pub condition: TargetCondition,
    /// It gets a growing share of its turns.
    #[serde(default)]
    pub is_starting: bool,
}

/// Whether a target gets its turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetCondition {
    Well,
    /// Active looks found it unwell.
    Sick,
    /// It rests because of its answers.
    Ejected,
    /// The last connection attempt failed a moment ago.
    Unreachable,
}

/// One release that was switched away and still works on what it had begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainingPool {
    pub pool: String,
    pub release: String,
    pub in_flight: u64,
    pub websockets: u64,
}

/// Asks to wait until a release that was switched away is idle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainRequest {
    pub pool: String,
    pub release: String,
    pub budget_ms: u64,
    /// Of a release that goes on serving: waits for what is under way now, and for nothing that comes later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub serves_on: bool,
}

/// The answer to [`DrainRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drained {
    /// Requests and WebSockets still under way when the wait ended; 0 means drained.
    pub left: u64,
    /// Whether new requests still go to this pool and release.
    #[serde(default)]
    pub routed: bool,
}
