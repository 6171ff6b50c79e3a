//! What a route, a pool or a listener asks for beyond "this goes there".
//!
//! Every part is optional, and absent means the plain behaviour, so that a short snapshot stays short.
//! Times are milliseconds. Addresses of networks are CIDR texts, as in `10.0.0.0/8`; one that cannot be read is
//! a problem that the acknowledgement names, and the rest is served.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How the edge speaks to a pool's targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 by prior knowledge, as gRPC servers speak it.
    H2c,
}

/// Active looks at a target, all the time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Health {
    /// Asked with GET, in what the pool speaks; 2xx and 3xx are well.
    pub path: String,
    /// Asked by gRPC's health protocol instead: SERVING is well, and so is a server that does not have it. Names the
    /// gRPC service; empty for the whole server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<String>,
    /// The `Host` of the looks, which requests of this pool name; the target's own address where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The looks say that they came over HTTPS, as the requests of this pool do: `X-Forwarded-Proto`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub https: bool,
    pub interval_ms: u64,
    pub timeout_ms: u64,
    /// So many failures in a row take a target out.
    pub fall: u32,
    /// So many successes in a row bring it back.
    pub rise: u32,
}

/// Passive health: a target that answers badly rests. The last one is never taken out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Outlier {
    /// So many failures in a row (5xx, broken or no connection) take a target out.
    pub consecutive: u32,
    /// For how long the first time; doubles with each time, up to ten times.
    pub eject_ms: u64,
}

/// Requests wait while the pool is being replaced, instead of failing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hold {
    /// Whether it is on now; the agent turns it off with the snapshot that has the new target.
    pub now: bool,
    pub max_requests: u32,
    /// Of request bodies already read while waiting.
    pub max_bytes: u64,
    /// Who has waited so long is answered 503 with `Retry-After`.
    pub max_ms: u64,
}

/// One share of a split route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    pub pool: String,
    /// Which of the pool's releases, where two of them are served side by side; the first of the pool when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Relative to the sum of all shares; 0 takes nothing but who already sticks to it.
    pub weight: u32,
}

impl Share {
    /// `pool`, or `pool@release`.
    pub(crate) fn full_name(&self) -> Cow<'_, str> {
        match &self.release {
            Some(release) => format!("{}@{release}", self.pool).into(),
            None => self.pool.as_str().into(),
        }
    }
}

/// Traffic of one route over several pools, as for a canary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    pub shares: Vec<Share>,
    /// With a name, a client stays with its first share by a cookie; without, every request is drawn anew.
    #[serde(default)]
    pub cookie: Option<String>,
    /// The cookie says the client's place among all of them instead of its share: when weights change, only those
    /// clients change their pool whose place now belongs to another. The shares' order counts then.
    #[serde(default, skip_serializing_if = "is_false")]
    pub by_place: bool,
}

/// Absent and `false` are one document with one hash, also to an edge that does not know the key.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// A client stays with one target of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sticky {
    /// The cookie's name.
    pub cookie: String,
    /// How long the browser keeps it; `None` for the browser's session.
    #[serde(default)]
    pub max_age_s: Option<u64>,
}

/// Answers with another address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// `{scheme}`, `{host}`, `{path}` (from `/`), `{rest}` (what follows the route's prefix) and `{query}` (with its
    /// `?`, or nothing) are filled in: `https://{host}{path}{query}`.
    pub to: String,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// Answers 503 with a page, except to the networks named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintenance {
    /// HTML shown to browsers; `None` shows the edge's own page.
    #[serde(default)]
    pub page: Option<String>,
    /// One sentence for programs and for the edge's own page.
    #[serde(default)]
    pub message: Option<String>,
    #[serde(default)]
    pub retry_after_s: Option<u32>,
    /// Client networks that get through.
    #[serde(default)]
    pub allow: Vec<String>,
}

/// Changes to headers, in the order remove, set, add. Hop-by-hop headers and `Host` cannot be named.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HeaderRules {
    #[serde(default)]
    pub remove: Vec<String>,
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    #[serde(default)]
    pub add: BTreeMap<String, String>,
}

impl HeaderRules {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}

/// Whose requests are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RateKey {
    /// The client's address (a /64 of IPv6).
    #[default]
    Client,
    /// Everybody on this route together.
    Route,
    /// The value of a header, as for API keys; requests without it count by client.
    Header(String),
}

/// So many requests in so long, with a burst on top (GCRA).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    pub requests: u32,
    pub per_ms: u64,
    #[serde(default)]
    pub burst: u32,
    #[serde(default)]
    pub by: RateKey,
}

/// Who goes first when the machine is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// Refused first: prefetching, feeds, reports.
    Low,
    #[default]
    Normal,
    /// Refused late: paying customers.
    High,
    /// Never refused: health checks, sign-in, payment hooks.
    Critical,
}

/// What one route may use up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RouteLimits {
    /// All of them must agree; the first that does not answers 429.
    #[serde(default)]
    pub rates: Vec<Rate>,
    /// Requests under way at a time; more wait in the queue, or are answered 503.
    #[serde(default)]
    pub in_flight: Option<u32>,
    /// Requests of one client under way at a time; more are answered 429.
    #[serde(default)]
    pub in_flight_per_client: Option<u32>,
    /// How many wait for a place, and for how long.
    #[serde(default)]
    pub queue: Option<u32>,
    #[serde(default)]
    pub queue_ms: Option<u64>,
    /// One request body; more is answered 413.
    #[serde(default)]
    pub body_bytes: Option<u64>,
    /// Bytes per second that a client must send and take of bodies; 0 asks nothing, `None` what the edge asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_rate: Option<u64>,
    /// From a request's head to the head of its response; longer is answered 504.
    #[serde(default)]
    pub response_ms: Option<u64>,
    #[serde(default)]
    pub priority: Priority,
}

/// `Strict-Transport-Security`, sent over TLS only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hsts {
    pub max_age_s: u64,
    #[serde(default)]
    pub include_subdomains: bool,
    #[serde(default)]
    pub preload: bool,
}

/// TLS on a listener; certificates are chosen by name from the snapshot's list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tls {
    /// PEM file of the authorities that client certificates must come from; asked for but not demanded, since a
    /// route says whether it demands one ([`super::Route::client_certificate`]).
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
    /// TLS 1.3 only.
    #[serde(default)]
    pub only_13: bool,
}

/// A certificate with its key, as PEM files that the edge reads, and reads again when their content changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The names it is served for; `*.example.com` covers one label. Empty: those in the certificate.
    #[serde(default)]
    pub names: Vec<String>,
    pub chain: PathBuf,
    pub key: PathBuf,
    /// SHA-256 (hex) of both files one after the other, so that a renewed certificate changes the snapshot.
    #[serde(default)]
    pub digest: String,
    /// Served to clients that name no known host.
    #[serde(default)]
    pub is_default: bool,
}

/// Bytes both ways, whatever they mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpRoute {
    /// The listener's name; it serves nothing else, unless `detect` is there.
    pub listener: String,
    pub pool: String,
    /// Silence in both directions that ends a connection; `None` never does.
    #[serde(default)]
    pub idle_ms: Option<u64>,
    /// Whether the target is told the client by a PROXY protocol v2 header.
    #[serde(default)]
    pub send_proxy: bool,
    /// Routes name the listener as well: each connection shows by its first bytes which of the two it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detect: Option<Detect>,
}

impl TcpRoute {
    /// All bytes of a listener to a pool.
    pub fn new(listener: impl Into<String>, pool: impl Into<String>) -> TcpRoute {
        TcpRoute { listener: listener.into(), pool: pool.into(), idle_ms: None, send_proxy: false, detect: None }
    }
}

/// How a connection is told apart on a listener that takes requests and bytes.
///
/// One that says nothing for a moment gets its connection to a target, and whoever speaks first decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detect {
    /// What may be HTTP is taken for requests, so that nothing gets around the edge by being written oddly.
    Likely,
    /// Only a line that surely asks a server over HTTP/1 is taken for a request: what a proxy would be asked
    /// (`CONNECT`, a whole URL) and HTTP/2 without TLS (gRPC) are carried as they come.
    Unknown,
}

/// One JSON line per request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessLog {
    /// Beside `access.log` in the edge's state folder when `None`.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// One of so many successful answers is written (1 writes all); errors and slow ones always are.
    pub sample: u32,
    /// An answer that took longer always is.
    pub slow_ms: u64,
    /// Query parameters whose values are masked, whatever the case; `token`, `password`, `secret`, `key`, `code` and
    /// `signature` always are.
    #[serde(default)]
    pub mask: Vec<String>,
    /// The last part of a client's address is left out.
    #[serde(default)]
    pub mask_client: bool,
    /// The file is moved to `access.log.1` at this size, and the one before removed.
    pub rotate_bytes: u64,
}

/// When the machine is short: which part of the requests is refused early so that the rest is served in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shedding {
    /// Requests under way in the whole edge at which `low` is refused; `normal` at one and a half times, `high` at
    /// twice; `critical` never.
    pub in_flight: u32,
    /// The time to the response's head that is aimed at; above it the number above shrinks, below it it grows back
    /// (additive increase, multiplicative decrease). `None` keeps it fixed.
    #[serde(default)]
    pub target_ms: Option<u64>,
}
