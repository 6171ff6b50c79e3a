//! The routing snapshot: everything the edge needs to know, in one value.
//!
//! The agent makes it, the edge serves it.
//! It carries an epoch (which one is newer) and a hash (whether anything changed at all).

mod policy;

use std::net::SocketAddr;

pub use policy::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The newest snapshot schema this edge understands.
pub const SCHEMA: u32 = 2;

/// One complete routing state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Version of this document's shape; a newer one is refused.
    #[serde(default = "schema")]
    pub schema: u32,
    /// Grows with every change; a lower one than the current is refused.
    pub epoch: u64,
    /// SHA-256 (hex) of everything but `epoch` and `hash`; see [`Snapshot::seal`].
    #[serde(default)]
    pub hash: String,
    /// The addresses to accept connections on.
    #[serde(default)]
    pub listeners: Vec<Listener>,
    /// The groups of equal targets, one release each.
    #[serde(default)]
    pub pools: Vec<Pool>,
    /// Which request goes to which pool.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// Listeners that carry bytes instead of requests.
    #[serde(default)]
    pub tcp: Vec<TcpRoute>,
    /// What TLS listeners show; one that cannot be read is named as a problem, and the others serve.
    #[serde(default)]
    pub certificates: Vec<Certificate>,
    /// Networks whose forwarding headers and PROXY protocol are believed.
    #[serde(default)]
    pub trusted_proxies: Vec<String>,
    #[serde(default)]
    pub access_log: Option<AccessLog>,
    #[serde(default)]
    pub shedding: Option<Shedding>,
}

/// An address the edge accepts connections on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// A name for reports and metrics.
    pub name: String,
    /// Where to listen; port 0 picks a free one, which the acknowledgement names.
    pub bind: SocketAddr,
    /// Which routes are seen through this listener.
    #[serde(default)]
    pub scope: Scope,
    /// Serves TLS instead of plain text.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// Every connection from a trusted proxy begins with a PROXY protocol header, v1 or v2; from others it is refused.
    #[serde(default)]
    pub proxy_protocol: bool,
    /// The network namespace that the address is in, as a file of it; `None`: the host's own. The edge cannot enter
    /// another one, so it is given the socket (see [`crate::lend`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

impl Listener {
    /// A plain listener.
    pub fn new(name: impl Into<String>, bind: SocketAddr, scope: Scope) -> Listener {
        Listener { name: name.into(), bind, scope, tls: None, proxy_protocol: false, namespace: None }
    }
}

/// Who may reach a route: the world, or the containers of a Docker network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Listeners and routes for the outside.
    #[default]
    Public,
    /// Listeners on a Docker network's gateway, and the routes between services.
    Internal,
}

/// Equal targets that run one release of a service.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pool {
    /// `platform/environment/service`, as in `ytempire/production/api`.
    /// Two releases of a service side by side are two pools of one name; the name alone then means the first.
    pub name: String,
    /// The release the targets run, as in `r12`.
    pub release: String,
    /// Where the containers listen.
    #[serde(default)]
    pub targets: Vec<SocketAddr>,
    /// How long the agent waits for requests after their release was switched away (milliseconds).
    ///
    /// The edge itself cuts no request: as long as the old container lives, a long download may end.
    #[serde(default = "drain_ms")]
    pub drain_ms: u64,
    /// How long a WebSocket may go on after its release was switched away (milliseconds); the edge then closes it.
    #[serde(default = "drain_websocket_ms")]
    pub drain_websocket_ms: u64,
    /// How long one connection attempt may take (milliseconds).
    #[serde(default = "connect_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// How long a target may keep silent, before its answer and inside it (milliseconds).
    #[serde(default = "response_timeout_ms")]
    pub response_timeout_ms: u64,
    /// What the targets speak.
    #[serde(default)]
    pub protocol: Protocol,
    #[serde(default)]
    pub health: Option<Health>,
    #[serde(default)]
    pub outlier: Option<Outlier>,
    /// A target that comes (back) gets its full share only after so long (milliseconds); 0 at once.
    #[serde(default)]
    pub slow_start_ms: u64,
    #[serde(default)]
    pub hold: Option<Hold>,
    /// Those of its targets that run the release which comes in beside this one, copy by copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guests: Option<Guests>,
}

/// What these targets answer counts as their own release's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Guests {
    pub release: String,
    pub targets: Vec<SocketAddr>,
}

impl Pool {
    /// Whether its requests wait.
    pub(crate) fn is_held(&self) -> bool {
        self.hold.as_ref().is_some_and(|hold| hold.now)
    }

    /// A pool with the default times.
    pub fn new(name: impl Into<String>, release: impl Into<String>, targets: Vec<SocketAddr>) -> Pool {
        Pool {
            name: name.into(),
            release: release.into(),
            targets,
            drain_ms: drain_ms(),
            drain_websocket_ms: drain_websocket_ms(),
            connect_timeout_ms: connect_timeout_ms(),
            response_timeout_ms: response_timeout_ms(),
            protocol: Protocol::default(),
            health: None,
            outlier: None,
            slow_start_ms: 0,
            hold: None,
            guests: None,
        }
    }
}

/// Sends what matches to a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Which listeners show this route.
    #[serde(default)]
    pub scope: Scope,
    /// The exact host name, without a port; `None` matches every host that has no better route.
    #[serde(default)]
    pub host: Option<String>,
    /// A path prefix that ends on a segment boundary: `/api` takes `/api` and `/api/x`, never `/apix`.
    #[serde(default = "root_path")]
    pub path: String,
    /// Whether the prefix is cut off before the request goes on.
    #[serde(default)]
    pub strip_prefix: bool,
    /// Names of the listeners that show this route; empty means every listener of the scope.
    ///
    /// Two environments on one host have listeners of their own, and two platforms may both call a
    /// service `api`: the routing table must keep them apart by listener (a table per listener).
    #[serde(default)]
    pub listeners: Vec<String>,
    /// The pool's name; empty when the route answers by itself (a redirect).
    #[serde(default)]
    pub pool: String,
    /// Among routes of the same host and prefix, the higher one is asked first; the next one when it does not match.
    #[serde(default)]
    pub priority: i32,
    /// Only these methods; empty means all.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Several pools instead of `pool`.
    #[serde(default)]
    pub split: Option<Split>,
    #[serde(default)]
    pub sticky: Option<Sticky>,
    #[serde(default)]
    pub redirect: Option<Redirect>,
    /// Plain requests are sent to the same address with `https://` (308).
    #[serde(default)]
    pub https_only: bool,
    #[serde(default)]
    pub hsts: Option<Hsts>,
    /// Refused with 403 unless the client showed a certificate that its listener's authorities signed.
    #[serde(default)]
    pub client_certificate: bool,
    #[serde(default)]
    pub maintenance: Option<Maintenance>,
    #[serde(default)]
    pub request_headers: HeaderRules,
    #[serde(default)]
    pub response_headers: HeaderRules,
    #[serde(default)]
    pub limits: RouteLimits,
}

impl Route {
    /// A plain route: everything under `path`, on every public listener.
    pub fn new(host: Option<&str>, path: impl Into<String>, pool: impl Into<String>) -> Route {
        Route {
            scope: Scope::Public,
            host: host.map(str::to_owned),
            path: path.into(),
            strip_prefix: false,
            listeners: vec![],
            pool: pool.into(),
            priority: 0,
            methods: vec![],
            split: None,
            sticky: None,
            redirect: None,
            https_only: false,
            hsts: None,
            client_certificate: false,
            maintenance: None,
            request_headers: HeaderRules::default(),
            response_headers: HeaderRules::default(),
            limits: RouteLimits::default(),
        }
    }
}

impl Snapshot {
    /// An empty snapshot of the given epoch, to be filled and sealed.
    pub fn new(epoch: u64) -> Snapshot {
        Snapshot {
            schema: SCHEMA,
            epoch,
            hash: String::new(),
            listeners: vec![],
            pools: vec![],
            routes: vec![],
            tcp: vec![],
            certificates: vec![],
            trusted_proxies: vec![],
            access_log: None,
            shedding: None,
        }
    }

    /// Computes the hash over the contents, so that equal contents are seen as equal.
    #[must_use]
    pub fn seal(mut self) -> Snapshot {
        self.hash = self.content_hash();
        self
    }

    /// The hash of the contents: SHA-256 over their JSON in the order of this type's fields.
    pub fn content_hash(&self) -> String {
        let Snapshot { schema, epoch: _, hash: _, listeners, pools, routes, tcp, certificates, .. } = self;
        let Snapshot { trusted_proxies, access_log, shedding, .. } = self;
        let contents = (schema, listeners, pools, routes, tcp, certificates, trusted_proxies, access_log, shedding);
        // These types have no map with non-string keys and no failing serializer: the default is never taken.
        let text = serde_json::to_vec(&contents).unwrap_or_default();
        let digest = Sha256::digest(&text);
        digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
            use std::fmt::Write;
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

fn schema() -> u32 {
    SCHEMA
}

fn drain_ms() -> u64 {
    30_000
}

fn drain_websocket_ms() -> u64 {
    60_000
}

fn connect_timeout_ms() -> u64 {
    2_000
}

fn response_timeout_ms() -> u64 {
    60_000
}

fn root_path() -> String {
    "/".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_contents_have_equal_hashes_whatever_the_epoch() {
        assert_eq!(Snapshot::new(1).seal().hash, Snapshot::new(2).seal().hash);
    }

    #[test]
    fn a_changed_target_changes_the_hash() {
        let mut one = Snapshot::new(1);
        one.pools.push(Pool::new("p", "r1", vec![]));
        let mut two = one.clone();
        two.pools[0].targets.push(([127, 0, 0, 1], 80).into());
        assert_ne!(one.seal().hash, two.seal().hash);
    }

    #[test]
    fn a_short_document_gets_the_defaults() {
        let text = r#"{"epoch":3,"pools":[{"name":"p","release":"r1"}],"routes":[{"pool":"p"}]}"#;
        let snapshot: Snapshot = serde_json::from_str(text).unwrap();
        assert_eq!(snapshot.schema, SCHEMA);
        assert_eq!(snapshot.pools[0].drain_ms, 30_000);
        assert_eq!(snapshot.routes[0].path, "/");
        assert_eq!(snapshot.routes[0].scope, Scope::Public);
    }

    /// What an edge has saved, its successor of a later version must be able to read: it is refused otherwise, and after
    /// a crash the routes would be lost. A new field is left out of the JSON while it says nothing
    /// (`skip_serializing_if`), so that its absence does not change the hash.
    #[test]
    fn a_snapshot_as_it_was_written_before_keeps_its_hash() {
        let kept: Snapshot = serde_json::from_str(include_str!("snapshot/kept.json")).unwrap();
        assert_eq!(kept.hash, kept.content_hash());
    }
}
