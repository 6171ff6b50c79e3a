//! From what serves to what the edge must know: a pure function, and the acknowledged push.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use edge::{Applied, Listener, Pool, Route, Snapshot};

use crate::error::DeployError;
use crate::release::Release;
use crate::store::Platform;
use crate::world::World;

/// The routing of every platform on this host.
/// A listener that cannot be parsed or a release without targets affects nothing else.
pub fn snapshot(epoch: u64, platforms: &[Platform], serving: &[Release]) -> Snapshot {
    let mut snapshot = Snapshot::new(epoch);
    let mut listeners: BTreeMap<String, Listener> = BTreeMap::new();
    for platform in platforms {
        for listener in public_listeners(platform).into_iter().chain(internal_listeners(platform)) {
            listeners.insert(listener.name.clone(), listener);
        }
        for release in serving.iter().filter(|release| release.scope == platform.scope) {
            routes(&mut snapshot, platform, release);
        }
    }
    snapshot.listeners = listeners.into_values().collect();
    snapshot.seal()
}

fn public_listeners(platform: &Platform) -> Vec<Listener> {
    let binds = platform.http.iter().filter_map(|bind| bind.parse::<SocketAddr>().ok());
    binds.map(|bind| Listener::new(public_name(&bind), bind, edge::Scope::Public)).collect()
}

fn public_name(bind: &SocketAddr) -> String {
    format!("http {bind}")
}

/// One listener per network and port: several services on the same port are told apart by the
/// name that their callers use as `Host`.
fn internal_listeners(platform: &Platform) -> Vec<Listener> {
    let mut listeners = Vec::new();
    for internal in &platform.internals {
        for network in &internal.networks {
            let Some(gateway) = platform.gateways.get(network) else { continue };
            let bind = SocketAddr::new(*gateway, internal.port);
            listeners.push(Listener::new(internal_name(network, internal.port), bind, edge::Scope::Internal));
        }
    }
    listeners
}

fn internal_name(network: &str, port: u16) -> String {
    format!("internal {network}:{port}")
}

fn routes(snapshot: &mut Snapshot, platform: &Platform, release: &Release) {
    if release.targets.is_empty() || release.plan.port.is_none() {
        return;
    }
    let pool = release.pool();
    snapshot.pools.push(Pool {
        drain_ms: millis(release.plan.drain),
        drain_websocket_ms: millis(release.plan.drain_websocket),
        ..Pool::new(pool.clone(), release.id.to_string(), release.targets.clone())
    });
    let public: Vec<String> = public_listeners(platform).into_iter().map(|listener| listener.name).collect();
    for route in &release.plan.routes {
        let host = route.host.as_deref().or(platform.domain.as_deref());
        snapshot.routes.push(Route {
            strip_prefix: route.strip_prefix,
            listeners: public.clone(),
            ..Route::new(host, route.path.clone(), pool.clone())
        });
    }
    let Some(internal) = platform.internals.iter().find(|internal| internal.service == release.service) else { return };
    let known = internal.networks.iter().filter(|network| platform.gateways.contains_key(*network));
    let names: Vec<String> = known.map(|network| internal_name(network, internal.port)).collect();
    if !names.is_empty() {
        snapshot.routes.push(Route {
            scope: edge::Scope::Internal,
            listeners: names,
            ..Route::new(Some(release.service.as_str()), "/", pool)
        });
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Counts epochs. The edge refuses a lower one than it has, so the counter is kept in the ledger.
const EPOCH: &str = "epoch";

impl World {
    /// Pushes what the ledger says and waits until the edge has acknowledged it.
    pub async fn push_routes(&self) -> Result<Applied, DeployError> {
        let _turn = self.switching.lock().await;
        let platforms = self.platforms()?;
        let serving = self.all_serving()?;
        let epoch = self
            .ledger
            .next_number(EPOCH)
            .map_err(|source| DeployError::Ledger { operation: "count the epoch", source })?;
        let snapshot = snapshot(epoch, &platforms, &serving);
        let applied = self.edge.apply(&snapshot).await;
        applied.map_err(|source| DeployError::Edge { operation: format!("apply routing epoch {epoch}"), source })
    }

    /// Pushes only when the edge does not already serve what the ledger says.
    pub async fn sync_routes(&self) -> Result<bool, DeployError> {
        let wanted = snapshot(0, &self.platforms()?, &self.all_serving()?);
        let status = self.edge.status().await;
        let status =
            status.map_err(|source| DeployError::Edge { operation: "ask for the routing epoch".into(), source })?;
        if status.hash == wanted.hash {
            return Ok(false);
        }
        self.raise_epoch(status.epoch)?;
        self.push_routes().await.map(|_| true)
    }

    /// After a lost ledger the edge may be ahead of our counter.
    fn raise_epoch(&self, seen: u64) -> Result<(), DeployError> {
        let failed = |source| DeployError::Ledger { operation: "count the epoch", source };
        let mut now = self.ledger.next_number(EPOCH).map_err(failed)?;
        while now < seen {
            now = self.ledger.next_number(EPOCH).map_err(failed)?;
        }
        Ok(())
    }
}
