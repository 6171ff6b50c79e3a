//! What the edge does right now, in the control socket's words.

use std::sync::Arc;
use std::time::Duration;

use super::{DrainRequest, Drained, DrainingPool, PoolState, Status, TargetState};
use crate::edge::Edge;
use crate::upstream::generation::Generation;
use crate::upstream::target::Target;
use crate::uptime::now_ms;

/// The whole status.
pub(crate) fn status(edge: &Edge) -> Status {
    let table = edge.table.load_full();
    let state = edge.state.lock();
    Status {
        epoch: state.snapshot.epoch,
        hash: state.snapshot.hash.clone(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_ms: edge.started_ms,
        source: state.source,
        note: state.note.clone(),
        access_log: edge.log.problem(),
        listeners: state.listeners.states(),
        pools: table.generations.iter().map(|generation| pool_state(generation)).collect(),
        draining: state.draining.iter().filter(|g| g.in_flight() > 0).map(|g| draining(g)).collect(),
    }
}

fn pool_state(generation: &Generation) -> PoolState {
    PoolState {
        name: generation.pool.name.clone(),
        release: generation.pool.release.clone(),
        targets: generation.pool.targets.clone(),
        in_flight: generation.in_flight() as u64,
        websockets: generation.tunnels() as u64,
        requests_total: generation.tally.requests(),
        conditions: conditions(generation),
        is_held: generation.is_held(),
        held: generation.gate.waiting() as u64,
    }
}

/// How the targets are doing.
pub(crate) fn conditions(generation: &Generation) -> Vec<TargetState> {
    let is_starting = |target: &Target| target.condition.share(generation.pool.slow_start_ms, now_ms()) < 1_000;
    let state = |target: &Arc<Target>| TargetState {
        addr: target.addr,
        condition: target.state(),
        is_starting: is_starting(target),
    };
    generation.targets.iter().map(state).collect()
}

fn draining(generation: &Generation) -> DrainingPool {
    DrainingPool {
        pool: generation.pool.name.clone(),
        release: generation.pool.release.clone(),
        in_flight: generation.in_flight() as u64,
        websockets: generation.tunnels() as u64,
    }
}

/// Waits until the switched-away or held generations of a release are idle, or the budget is over.
pub(crate) async fn drained(edge: &Edge, wanted: &DrainRequest) -> Drained {
    if wanted.serves_on {
        return settled(edge, wanted).await;
    }
    let is_wanted = |g: &&Arc<Generation>| g.pool.name == wanted.pool && g.pool.release == wanted.release;
    let mut waited_for: Vec<_> = edge.state.lock().draining.iter().filter(is_wanted).cloned().collect();
    let table = edge.table.load_full();
    let held = |g: &&Arc<Generation>| g.pool.name == wanted.pool && g.is_held();
    if table.generations.iter().any(|generation| held(&generation)) {
        // New requests wait, and are not counted: what is under way comes to its end, and everybody waits for that.
        waited_for.extend(table.generations.iter().filter(held).filter(is_wanted).cloned());
        waited_for.iter().for_each(|generation| generation.end_streams());
    }
    // What an edge before us still finishes is not counted here, and may be of this release.
    let predecessor = edge.predecessor.load_full();
    let all = async {
        for generation in &waited_for {
            generation.drained().await;
        }
        predecessor.gone().await;
    };
    // Over or not, the count below says what is left.
    let _ = tokio::time::timeout(Duration::from_millis(wanted.budget_ms), all).await;
    Drained {
        left: waited_for.iter().map(|generation| generation.in_flight() as u64).sum::<u64>()
            + u64::from(!predecessor.is_gone()),
        routed: edge.table.load().generations.iter().any(|generation| is_wanted(&generation)),
    }
}

/// Waits until what is under way now at a release that serves on has ended, or the budget is over.
async fn settled(edge: &Edge, wanted: &DrainRequest) -> Drained {
    let is_wanted = |g: &&Arc<Generation>| g.pool.name == wanted.pool && g.pool.release == wanted.release;
    let table = edge.table.load_full();
    let serving: Vec<_> = table.generations.iter().filter(is_wanted).cloned().collect();
    let leaving: Vec<_> = edge.state.lock().draining.iter().filter(is_wanted).cloned().collect();
    let before: Vec<_> = serving.iter().map(|generation| (generation, generation.part())).collect();
    let all = async {
        for (generation, left) in &before {
            generation.until(|| left() == 0).await;
        }
        for generation in &leaving {
            generation.drained().await;
        }
    };
    // Over or not, the count below says what is left.
    let _ = tokio::time::timeout(Duration::from_millis(wanted.budget_ms), all).await;
    let left = before.iter().map(|(_, left)| left()).chain(leaving.iter().map(|generation| generation.in_flight()));
    Drained { left: left.map(|count| count as u64).sum(), routed: !serving.is_empty() }
}
