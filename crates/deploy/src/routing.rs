//! From what serves to what the edge must know: a pure function, and the acknowledged push.

mod gateways;
mod host_wide;
mod listeners;
mod pools;
mod routes;
mod shares;
mod unlisted;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use edge::snapshot::Split;
use edge::{Applied, Listener, Route, Snapshot, TcpRoute};

use crate::absent;
use crate::canary::Trial;
use crate::error::DeployError;
use crate::release::Release;
use crate::store::{InternalRecord, Platform};
use crate::world::World;

/// The routing of every platform on this host.
/// A listener that cannot be parsed or a release without targets affects nothing else.
pub fn snapshot(epoch: u64, platforms: &[Platform], serving: &[Release], trials: &[Trial]) -> Snapshot {
    let mut snapshot = Snapshot::new(epoch);
    let mut doors: BTreeMap<String, Listener> = BTreeMap::new();
    for platform in platforms {
        host_wide::add(&mut snapshot, platform);
        for listener in listeners::public(platform) {
            open(&mut doors, listener);
        }
        let unlisted = unlisted::of(platform, serving);
        let gateways = gateways::of(platform, serving);
        for listener in gateways.iter().filter(|one| !one.tcp).flat_map(|one| listeners::gateway(platform, one)) {
            open(&mut doors, listener);
        }
        for release in serving.iter().filter(|release| release.scope == platform.scope) {
            let trial = trials.iter().find(|trial| trial.is_beside(release));
            let split = trial.map(shares::split);
            snapshot.routes.extend(routes::public(platform, release, split.as_ref()));
            for (listener, detect) in listeners::own(platform, &release.service) {
                // Whatever is no request there goes to the same pool, as bytes.
                let bytes = detect.filter(|_| is_routed(release));
                snapshot.tcp.extend(bytes.map(|detect| TcpRoute {
                    detect: Some(detect),
                    ..TcpRoute::new(listener.name.clone(), release.pool())
                }));
                open(&mut doors, listener);
            }
            if is_routed(release) {
                snapshot.routes.extend(routes::own(platform, release, split.as_ref()));
                snapshot.pools.push(pools::pool(release));
                snapshot.pools.extend(trial.map(|trial| pools::pool(&trial.release)));
                for internal in inside(platform, release).filter(|internal| !internal.tcp) {
                    let held = listeners::held(platform, internal);
                    snapshot.routes.extend(internal_route(release, internal, &held, split.as_ref()));
                    held.into_iter().for_each(|listener| open(&mut doors, listener));
                    if gateways.contains(&internal) {
                        snapshot.routes.extend(gateways::routes(platform, release, internal, split.as_ref()));
                    }
                    if Some(internal.port) != release.plan.port {
                        snapshot.pools.push(pools::at(release, internal.port));
                    }
                }
            }
            tcp(&mut snapshot, &mut doors, platform, release, &gateways);
            for internal in unlisted.iter().filter(|one| one.service == release.service && is_routed(release)) {
                let held = listeners::held(platform, internal);
                carry(&mut snapshot, &mut doors, held, pools::tcp(release, internal.port));
            }
        }
    }
    let closed: BTreeSet<&String> = platforms.iter().flat_map(|platform| &platform.closed).collect();
    snapshot.listeners = doors.into_values().filter(|listener| !closed.contains(&listener.bind.to_string())).collect();
    let is_open = |name: &String| snapshot.listeners.iter().any(|listener| listener.name == *name);
    let open: Vec<TcpRoute> =
        snapshot.tcp.iter().filter(|tcp| closed.is_empty() || is_open(&tcp.listener)).cloned().collect();
    snapshot.tcp = open;
    snapshot.seal()
}

fn open(doors: &mut BTreeMap<String, Listener>, listener: Listener) {
    match doors.get_mut(&listener.name) {
        Some(first) => listeners::merge(first, listener),
        None => drop(doors.insert(listener.name.clone(), listener)),
    }
}

/// A release that is stopped for the next one keeps its routes, so that requests wait instead of getting a 404.
fn is_routed(release: &Release) -> bool {
    release.plan.port.is_some() && (release.is_held() || !release.all_targets().is_empty())
}

/// The names of all pools that lead to a release: of its requests, and one for each of its TCP ports.
pub fn pools_of(platform: Option<&Platform>, release: &Release) -> Vec<String> {
    let requests = (!release.all_targets().is_empty()).then(|| release.pool());
    let outside = platform.iter().flat_map(|platform| &platform.edge.tcp);
    let outside = outside.filter(|tcp| tcp.service == release.service).map(|tcp| tcp.port);
    let inside = platform.iter().flat_map(|platform| inside(platform, release));
    let inside = inside.filter(|one| one.tcp || Some(one.port) != release.plan.port).map(|one| one.port);
    let main = release.plan.port;
    let unlisted = release.listens.iter().copied().filter(|port| Some(*port) != main);
    let ports: BTreeSet<u16> = outside.chain(inside).chain(unlisted).collect();
    requests.into_iter().chain(ports.into_iter().map(|port| pools::tcp_name(release, port))).collect()
}

/// The ports on which other containers reach a release's service.
fn inside<'a>(platform: &'a Platform, release: &Release) -> impl Iterator<Item = &'a InternalRecord> {
    let service = release.service.clone();
    platform.internals.iter().filter(move |internal| internal.service == service)
}

/// What other containers see of a release on the listeners of one of its ports, without the rules for the world: whoever
/// got there has asked for its name.
fn internal_route(
    release: &Release,
    internal: &InternalRecord,
    listeners: &[Listener],
    split: Option<&Split>,
) -> Option<Route> {
    (!listeners.is_empty()).then(|| Route {
        listeners: listeners.iter().map(|listener| listener.name.clone()).collect(),
        ..inner(release, internal, None, split)
    })
}

fn inner(release: &Release, internal: &InternalRecord, host: Option<&str>, split: Option<&Split>) -> Route {
    let is_main = Some(internal.port) == release.plan.port;
    let pool = if is_main { release.pool() } else { pools::tcp_name(release, internal.port) };
    Route {
        scope: edge::Scope::Internal,
        // Programs keep no cookies. A release on trial is asked on its main port alone.
        split: split.filter(|_| is_main).map(|split| Split { cookie: None, by_place: false, ..split.clone() }),
        ..Route::new(host, "/", pool)
    }
}

/// Listener, route and pool come together: a listener without its route would answer in HTTP.
fn tcp(
    snapshot: &mut Snapshot,
    doors: &mut BTreeMap<String, Listener>,
    platform: &Platform,
    release: &Release,
    gateways: &[&InternalRecord],
) {
    for port in platform.edge.tcp.iter().filter(|port| port.service == release.service) {
        let Some(listener) = listeners::tcp(platform, &port.listen) else { continue };
        let pool = pools::tcp(release, port.port);
        snapshot.tcp.push(TcpRoute {
            listener: listener.name.clone(),
            pool: pool.name.clone(),
            idle_ms: port.idle.map(millis),
            send_proxy: port.send_proxy,
            detect: None,
        });
        // Two ports of the host may lead to one port of the service.
        if !snapshot.pools.iter().any(|other| other.name == pool.name) {
            snapshot.pools.push(pool);
        }
        open(doors, listener);
    }
    for internal in platform.internals.iter().filter(|internal| internal.tcp && internal.service == release.service) {
        let gateway = gateways.contains(&internal).then(|| listeners::gateway(platform, internal));
        let all = listeners::held(platform, internal).into_iter().chain(gateway.into_iter().flatten());
        carry(snapshot, doors, all.collect(), pools::tcp(release, internal.port));
    }
}

/// What comes to these listeners goes to the pool as bytes.
fn carry(snapshot: &mut Snapshot, doors: &mut BTreeMap<String, Listener>, listeners: Vec<Listener>, pool: edge::Pool) {
    for listener in listeners {
        snapshot.tcp.push(TcpRoute::new(listener.name.clone(), pool.name.clone()));
        open(doors, listener);
    }
    if !snapshot.pools.iter().any(|other| other.name == pool.name) {
        snapshot.pools.push(pool);
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn routed<'a>(serving: &'a [Release], trials: &'a [Trial]) -> Vec<&'a Release> {
    serving.iter().chain(trials.iter().map(|trial| &trial.release)).collect()
}

/// The routing without the addresses that nobody has any more.
fn present(mut snapshot: Snapshot, absent: &absent::Absent) -> Snapshot {
    if absent.is_empty() {
        return snapshot;
    }
    absent::withdraw(&mut snapshot, absent);
    snapshot.seal()
}

/// Counts epochs. The edge refuses a lower one than it has, so the counter is kept in the ledger.
const EPOCH: &str = "epoch";
const ROUTING: &str = "routing";
/// The hash of the routing that was pushed last.
const PUSHED: &str = "pushed";

impl World {
    /// Pushes what the ledger says and waits until the edge has acknowledged it.
    pub async fn push_routes(&self) -> Result<Applied, DeployError> {
        let _turn = self.switching.lock().await;
        let platforms = self.platforms()?;
        let (serving, trials) = self.routed()?;
        absent::confirm(self, &routed(&serving, &trials)).await?;
        let epoch = self
            .ledger
            .next_number(EPOCH)
            .map_err(|source| DeployError::Ledger { operation: "count the epoch", source })?;
        let absent = absent::of(self, &routed(&serving, &trials))?;
        let snapshot = present(snapshot(epoch, &platforms, &serving, &trials), &absent);
        let failed = |source| DeployError::Ledger { operation: "note the routing", source };
        self.ledger.put_record(ROUTING, PUSHED, &snapshot.hash).map_err(failed)?;
        let applied = self.edge.apply(&snapshot).await;
        let applied = applied
            .map_err(|source| DeployError::Edge { operation: format!("apply routing epoch {epoch}"), source })?;
        self.lent.keep_only(&snapshot);
        // The rest of the snapshot is served, so this ends nothing; but nobody else would tell it.
        let is_absent = |problem: &&String| absent.keys().any(|(pool, _)| problem.contains(pool.as_str()));
        for problem in applied.problems.iter().filter(|problem| !is_absent(problem)) {
            tracing::warn!(epoch, problem, "the edge cannot serve a part of its snapshot");
            self.talk.say(None, format!("warning from the edge: {problem}"));
        }
        Ok(applied)
    }

    /// Waits until nothing is under way any more to what a release does not serve now, on all of its ports.
    /// Answers how much was left when the time was over.
    pub async fn drained(&self, release: &Release) -> Result<u64, DeployError> {
        self.drained_within(release, release.plan.drain.max(release.plan.drain_websocket)).await
    }

    /// The same for a release that makes way for the next one, whose requests wait meanwhile: its streams without an
    /// end are ended, and all else gets its drain.
    pub async fn made_way(&self, release: &Release) -> Result<u64, DeployError> {
        self.drained_within(release, release.plan.drain).await
    }

    async fn drained_within(&self, release: &Release, budget: Duration) -> Result<u64, DeployError> {
        let pools = pools_of(self.platform(&release.scope)?.as_ref(), release);
        let waits = pools.iter().map(|pool| self.edge.drained(pool, release.id.as_ref(), budget));
        let left = futures_util::future::try_join_all(waits).await;
        let failed =
            |source| DeployError::Edge { operation: format!("drain {} of `{}`", release.id, release.service), source };
        Ok(left.map_err(failed)?.into_iter().sum())
    }

    /// Waits until what is under way now at a release that goes on serving has ended, for its drain at most; returns
    /// what is left of it.
    pub async fn settled(&self, release: &Release) -> Result<u64, DeployError> {
        let pools = pools_of(self.platform(&release.scope)?.as_ref(), release);
        let waits = pools.iter().map(|pool| self.edge.settled(pool, release.id.as_ref(), release.plan.drain));
        let left = futures_util::future::try_join_all(waits).await;
        let failed = |source| DeployError::Edge {
            operation: format!("wait for the requests of {} of `{}`", release.id, release.service),
            source,
        };
        Ok(left.map_err(failed)?.into_iter().sum())
    }

    /// What the edge should serve, as of the last push.
    pub fn pushed(&self) -> Result<Option<String>, DeployError> {
        let found = self.ledger.get_record(ROUTING, PUSHED);
        found.map_err(|source| DeployError::Ledger { operation: "read the routing", source })
    }

    /// What the edge is to serve, whatever it serves now.
    pub fn wanted_routes(&self) -> Result<Snapshot, DeployError> {
        let (serving, trials) = self.routed()?;
        let absent = absent::of(self, &routed(&serving, &trials))?;
        Ok(present(snapshot(0, &self.platforms()?, &serving, &trials), &absent))
    }

    /// What requests go to, as it is written down.
    fn routed(&self) -> Result<(Vec<Release>, Vec<Trial>), DeployError> {
        let serving = self.all_serving()?;
        let trials = self.trials(&serving)?;
        Ok((serving, trials))
    }

    /// Pushes only when the edge does not already serve what the ledger says.
    pub async fn sync_routes(&self) -> Result<bool, DeployError> {
        let wanted = self.wanted_routes()?;
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
    pub(crate) fn raise_epoch(&self, seen: u64) -> Result<(), DeployError> {
        let failed = |source| DeployError::Ledger { operation: "count the epoch", source };
        let mut now = self.ledger.next_number(EPOCH).map_err(failed)?;
        while now < seen {
            now = self.ledger.next_number(EPOCH).map_err(failed)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
