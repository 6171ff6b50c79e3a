//! Taking a snapshot: check, save, open listeners, swap one pointer, let the old generations drain.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use machine::clock::{Clock, SystemClock};

use crate::control::{Applied, Source};
use crate::edge::{Edge, State};
use crate::error::{EdgeError, Refusal};
use crate::lend;
use crate::protect::rules::Rules;
use crate::snapshot::{Listener, Pool, SCHEMA, Snapshot};
use crate::table::{Table, named};
use crate::tcp::lines::Lines;
use crate::tls::Prepared;
use crate::upstream::generation::Generation;
use crate::upstream::tally::Tally;

/// Releases per pool whose counters are kept after they are gone.
const KEPT_TALLIES: usize = 8;

/// Whether a checked snapshot brings anything.
enum Verdict {
    New,
    Known,
}

/// Applies a snapshot that the agent pushed; the answer is the acknowledgement that traffic moves by it.
pub(crate) async fn apply(edge: &Arc<Edge>, snapshot: Snapshot) -> Result<Applied, EdgeError> {
    let _turn = edge.applying.lock().await;
    if edge.retired.load(Ordering::Relaxed) {
        return Err(EdgeError::Retired);
    }
    let verdict = check(&edge.state.lock().snapshot, &snapshot)?;
    match verdict {
        Verdict::Known => {
            open_missing(edge).await;
            Ok(acknowledgement(edge, false))
        }
        Verdict::New => {
            let (store, copy) = (edge.store.clone(), snapshot.clone());
            // Saved before it is served: after a crash nothing older than what was acknowledged comes back.
            let saved = tokio::task::spawn_blocking(move || store.save(&copy)).await;
            let epoch = snapshot.epoch;
            saved.map_err(|error| EdgeError::Save { epoch, source: error.into() })??;
            let prepared = prepare(edge, &snapshot).await?;
            install(edge, snapshot, Source::Pushed, prepared);
            // What an edge before us still finishes goes by it too before anybody acts on the acknowledgement.
            edge.predecessor.load_full().follow().await;
            Ok(acknowledgement(edge, true))
        }
    }
}

/// Tries listeners again that are not open.
pub(crate) async fn open_missing(edge: &Arc<Edge>) {
    let wanted = edge.state.lock().snapshot.listeners.clone();
    borrow(edge, &wanted).await;
    edge.state.lock().listeners.open_missing(edge);
}

/// Gets the sockets that are in other network namespaces; a listener without one is opened later.
async fn borrow(edge: &Arc<Edge>, wanted: &[Listener]) {
    let elsewhere = edge.state.lock().listeners.elsewhere(wanted);
    let known = |one: &Listener| edge.heirlooms.lock().iter().any(|heirloom| heirloom.is(one));
    let elsewhere: Vec<Listener> = elsewhere.into_iter().filter(|one| !known(one)).collect();
    let Some(lender) = edge.lender.as_ref().filter(|_| !elsewhere.is_empty()) else { return };
    match lend::borrow(lender, elsewhere).await {
        Ok(sockets) => edge.heirlooms.lock().extend(sockets),
        Err(error) => tracing::warn!(%error, "the agent gave no sockets; they are asked for again"),
    }
}

/// Reads what the snapshot names but does not hold, before anything is locked.
pub(crate) async fn prepare(edge: &Arc<Edge>, snapshot: &Snapshot) -> Result<Prepared, EdgeError> {
    borrow(edge, &snapshot.listeners).await;
    let (tls, copy, epoch) = (edge.clone(), snapshot.clone(), snapshot.epoch);
    let now = SystemClock::new().now_ms();
    let prepared = tokio::task::spawn_blocking(move || tls.tls.prepare(&copy, now)).await;
    prepared.map_err(|error| EdgeError::Prepare { epoch, source: error.into() })
}

/// The epoch rules.
fn check(current: &Snapshot, offered: &Snapshot) -> Result<Verdict, Refusal> {
    if offered.schema > SCHEMA {
        return Err(Refusal::NewerSchema { found: offered.schema, known: SCHEMA });
    }
    if offered.hash != offered.content_hash() {
        return Err(Refusal::WrongHash);
    }
    if offered.epoch < current.epoch {
        return Err(Refusal::OlderEpoch { offered: offered.epoch, current: current.epoch });
    }
    if offered.epoch == current.epoch && current.epoch != 0 {
        let is_same = offered.hash == current.hash;
        return if is_same { Ok(Verdict::Known) } else { Err(Refusal::EpochTaken { epoch: offered.epoch }) };
    }
    Ok(Verdict::New)
}

/// Serves a snapshot from now on.
pub(crate) fn install(edge: &Arc<Edge>, snapshot: Snapshot, source: Source, mut prepared: Prepared) {
    let mut guard = edge.state.lock();
    let state = &mut *guard;
    let mut problems = problems(&snapshot);
    let (old, table) = compile(edge, state, &snapshot, &mut problems);
    edge.log.set(snapshot.access_log.as_ref(), edge.store.folder());
    state.problems = problems;
    state.problems.append(&mut prepared.problems);
    edge.tls.replace(prepared);
    // Listeners that stay see the new routes only after the swap; a new one must not answer by the old table,
    // so the swap comes first.
    swap(edge, state, &snapshot, &table);
    state.listeners.arrange(edge, &snapshot.listeners);
    retire(state, &old, &table);
    state.snapshot = snapshot;
    state.source = source;
    if source == Source::Pushed {
        state.note = None;
    }
    edge.counts.snapshots.fetch_add(1, Ordering::Relaxed);
}

/// Goes by a snapshot that the successor took, for those who are still here: who is held, and who asks once more on an
/// open connection. Listeners, certificates and the log are the successor's.
pub(crate) fn follow(edge: &Arc<Edge>, snapshot: Snapshot) {
    let mut guard = edge.state.lock();
    let state = &mut *guard;
    if snapshot.epoch <= state.snapshot.epoch {
        return;
    }
    let (old, table) = compile(edge, state, &snapshot, &mut Vec::new());
    swap(edge, state, &snapshot, &table);
    retire(state, &old, &table);
    state.snapshot = snapshot;
}

/// The table before, and the one of a snapshot, whose held pools are closed already.
fn compile(
    edge: &Edge,
    state: &mut State,
    snapshot: &Snapshot,
    problems: &mut Vec<String>,
) -> (Arc<Table>, Arc<Table>) {
    let old = edge.table.load_full();
    let generations = generations(state, &old, snapshot);
    hold(state, snapshot, &generations);
    let mut table = Table::compile(snapshot, generations, &edge.marks, problems);
    table.lines = Lines::compile(snapshot, problems);
    table.rules = Rules::compile(snapshot, &edge.protection, &edge.routes);
    edge.routes.keep_only(snapshot);
    (old, Arc::new(table))
}

/// From here on requests go by the new table.
fn swap(edge: &Edge, state: &mut State, snapshot: &Snapshot, table: &Arc<Table>) {
    edge.trusts.store(!table.trusted.is_empty(), Ordering::Relaxed);
    edge.table.store(table.clone());
    release(state, snapshot, table);
    table.generations.iter().for_each(Generation::look_after);
}

/// One generation per pool: the living one when nothing about it changed, a draining one that comes back, or a new one.
fn generations(state: &mut State, old: &Table, snapshot: &Snapshot) -> Vec<Arc<Generation>> {
    let mut names = BTreeSet::new();
    let mut chosen = Vec::with_capacity(snapshot.pools.len());
    for pool in snapshot.pools.iter().filter(|pool| names.insert((&pool.name, &pool.release))) {
        // One whose streams were ended before it was stopped, and that serves on after all, begins anew.
        let is_living = |generation: &&Arc<Generation>| generation.is(pool) && !generation.cut().is_cancelled();
        let living = old.generations.iter().find(is_living).cloned();
        let generation = living.or_else(|| revived(state, pool)).unwrap_or_else(|| {
            let tally = tally_of(state, pool, &pool.release);
            let guests = pool.guests.as_ref().map(|guests| tally_of(state, pool, &guests.release));
            let gate = state.gates.entry(pool.name.clone()).or_default();
            let same = |g: &&Arc<Generation>| g.pool.name == pool.name && g.pool.release == pool.release;
            let before = old.generations.iter().find(same).or_else(|| state.draining.iter().find(same));
            Arc::new(Generation::new(pool.clone(), tally, gate.clone(), before.map(|g| &**g)).with_guests(guests))
        });
        chosen.push(generation);
    }
    chosen
}

fn tally_of(state: &mut State, pool: &Pool, release: &str) -> Arc<Tally> {
    state.tallies.entry((pool.name.clone(), release.to_owned())).or_default().clone()
}

fn revived(state: &mut State, pool: &Pool) -> Option<Arc<Generation>> {
    let index = state.draining.iter().position(|generation| generation.is(pool))?;
    state.draining[index].revive().then(|| state.draining.swap_remove(index))
}

/// Closes gates before the table is swapped: no request reaches a target that the snapshot holds.
fn hold(state: &State, snapshot: &Snapshot, generations: &[Arc<Generation>]) {
    for pool in &snapshot.pools {
        if let (Some(hold), Some(gate)) = (pool.hold.as_ref().filter(|hold| hold.now), state.gates.get(&pool.name)) {
            gate.close(hold);
            generations.iter().filter(|g| g.pool.name == pool.name).for_each(|g| g.set_held(true));
        }
    }
}

/// Opens gates after the table was swapped: who waited finds the new generation, never the one being replaced.
fn release(state: &mut State, snapshot: &Snapshot, table: &Table) {
    for generation in &table.generations {
        if !snapshot.pools.iter().any(|pool| pool.is_held() && pool.name == generation.pool.name) {
            generation.set_held(false);
        }
    }
    for (name, gate) in &state.gates {
        if !snapshot.pools.iter().any(|pool| pool.is_held() && pool.name == *name) {
            gate.open();
        }
    }
    state.gates.retain(|name, gate| gate.waiting() > 0 || snapshot.pools.iter().any(|pool| pool.name == *name));
}

/// Lets what is no longer routed drain, and forgets what has drained.
fn retire(state: &mut State, old: &Table, new: &Table) {
    for generation in &old.generations {
        if !new.generations.iter().any(|kept| Arc::ptr_eq(kept, generation)) {
            generation.drain();
            state.draining.push(generation.clone());
        }
    }
    tidy(state, new);
}

/// Forgets drained generations, and the counters of releases long gone.
pub(crate) fn tidy(state: &mut State, table: &Table) {
    state.draining.retain(|generation| generation.in_flight() > 0);
    let mut per_pool = std::collections::BTreeMap::<String, usize>::new();
    let is_used = |key: &(String, String)| {
        let is_guest = |g: &Generation| g.pool.guests.as_ref().is_some_and(|guests| guests.release == key.1);
        let same = |g: &&Arc<Generation>| g.pool.name == key.0 && (g.pool.release == key.1 || is_guest(g));
        table.generations.iter().find(same).or(state.draining.iter().find(same)).is_some()
    };
    let unused: Vec<_> = state.tallies.keys().filter(|key| !is_used(key)).cloned().collect();
    // The highest release numbers are the youngest; text order is close enough for forgetting.
    for key in unused.into_iter().rev() {
        let kept = per_pool.entry(key.0.clone()).or_default();
        *kept += 1;
        if *kept > KEPT_TALLIES {
            state.tallies.remove(&key);
        }
    }
}

/// What cannot work in a snapshot; the rest of it is served.
pub(crate) fn problems(snapshot: &Snapshot) -> Vec<String> {
    let mut found = Vec::new();
    let mut names = BTreeSet::new();
    let mut releases = BTreeSet::new();
    for pool in &snapshot.pools {
        names.insert(pool.name.as_str());
        if !releases.insert((pool.name.as_str(), pool.release.as_str())) {
            found.push(format!("pool `{}` ({}) is there twice; the first is used", pool.name, pool.release));
        }
        if pool.targets.is_empty() && !pool.is_held() {
            found.push(format!("pool `{}` ({}) has no target", pool.name, pool.release));
        }
    }
    for route in &snapshot.routes {
        // A redirect needs no pool; a split names its own.
        let is_own_answer = route.redirect.is_some() && route.pool.is_empty();
        let one = (!is_own_answer && route.split.is_none()).then_some(&route.pool);
        for pool in one.into_iter().filter(|pool| !names.contains(pool.as_str())) {
            found.push(format!("{} goes to pool `{pool}`, which is not there", named(route)));
        }
        for share in route.split.iter().flat_map(|split| &split.shares) {
            let is_there = match &share.release {
                Some(release) => releases.contains(&(share.pool.as_str(), release.as_str())),
                None => names.contains(share.pool.as_str()),
            };
            if !is_there {
                found.push(format!("{} goes to pool `{}`, which is not there", named(route), share.full_name()));
            }
        }
    }
    let listeners: BTreeSet<_> = snapshot.listeners.iter().map(|listener| listener.name.as_str()).collect();
    for route in &snapshot.routes {
        for name in route.listeners.iter().filter(|name| !listeners.contains(name.as_str())) {
            found.push(format!("{} names listener `{name}`, which is not there", named(route)));
        }
    }
    if snapshot.trusted_proxies.is_empty() {
        let deaf = snapshot.listeners.iter().filter(|listener| listener.proxy_protocol);
        found.extend(deaf.map(|listener| {
            format!(
                "listener `{}` wants the PROXY protocol, but no proxy is trusted: it refuses everybody",
                listener.name
            )
        }));
    }
    found
}

fn acknowledgement(edge: &Edge, changed: bool) -> Applied {
    let state = edge.state.lock();
    Applied {
        epoch: state.snapshot.epoch,
        hash: state.snapshot.hash.clone(),
        changed,
        listeners: state.listeners.states(),
        problems: state.problems.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(epoch: u64, pool: &str) -> Snapshot {
        let mut snapshot = Snapshot::new(epoch);
        snapshot.pools.push(Pool::new(pool, "r1", vec![]));
        snapshot.seal()
    }

    #[test]
    fn an_epoch_only_grows() {
        let current = snapshot(5, "a");
        assert!(matches!(check(&current, &snapshot(6, "b")), Ok(Verdict::New)));
        assert!(matches!(check(&current, &snapshot(5, "a")), Ok(Verdict::Known)));
        assert!(matches!(check(&current, &snapshot(5, "b")), Err(Refusal::EpochTaken { epoch: 5 })));
        assert!(matches!(check(&current, &snapshot(4, "a")), Err(Refusal::OlderEpoch { .. })));
    }

    #[test]
    fn a_changed_byte_and_a_newer_schema_are_refused() {
        let current = Snapshot::new(0).seal();
        let mut forged = snapshot(1, "a");
        forged.pools[0].release = "r2".into();
        assert_eq!(check(&current, &forged).err(), Some(Refusal::WrongHash));
        let mut newer = snapshot(1, "a");
        newer.schema = SCHEMA + 1;
        assert!(matches!(check(&current, &newer.seal()), Err(Refusal::NewerSchema { .. })));
    }

    #[test]
    fn what_cannot_work_is_named() {
        let mut s = snapshot(1, "a");
        s.routes.push(crate::snapshot::Route::new(None, "/", "b"));
        let found = problems(&s);
        assert_eq!(found.len(), 2, "{found:?}");
    }
}
