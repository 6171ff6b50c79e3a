//! Reading the counters.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::status::conditions;
use super::{Counters, ReleaseCounters, RouteCounters};
use crate::edge::Edge;
use crate::seen::histogram::BOUNDS_US;
use crate::seen::routes::{Label, label};
use crate::snapshot::Snapshot;
use crate::upstream::generation::Generation;
use crate::uptime;

/// All of them.
pub(crate) fn counters(edge: &Edge) -> Counters {
    let table = edge.table.load_full();
    let state = edge.state.lock();
    let mut connections = 0;
    edge.presences.visit(|_| connections += 1);
    let tls = &edge.tls.tally;
    Counters {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_ms: edge.started_ms,
        epoch: table.epoch,
        at_us: uptime::nanos(Instant::now()) / 1_000,
        bounds_us: BOUNDS_US.to_vec(),
        releases: releases(&table.generations, &state.draining),
        routes: routes(edge, &state.snapshot),
        connections,
        handshakes: tls.handshakes().map(|(_, _, count)| count).sum(),
        resumed: tls.handshakes().filter(|(_, kind, _)| *kind == "resumed").map(|(_, _, count)| count).sum(),
        handshakes_failed: tls.failures().map(|(_, count)| count).sum(),
        refused: edge.counts.refusals.all().into_iter().map(|(word, count)| (word.to_owned(), count)).collect(),
        log_dropped: edge.log.dropped(),
    }
}

/// One for each release: when only the list of its targets has changed, it has a generation that serves and one that
/// drains, and they count together.
fn releases(serving: &[Arc<Generation>], draining: &[Arc<Generation>]) -> Vec<ReleaseCounters> {
    let mut releases: Vec<_> = serving.iter().map(|generation| release(generation, false)).collect();
    for generation in draining.iter().filter(|generation| generation.in_flight() > 0) {
        let one = release(generation, true);
        match releases.iter_mut().find(|known| (&known.pool, &known.release) == (&one.pool, &one.release)) {
            Some(known) => {
                known.in_flight += one.in_flight;
                known.websockets += one.websockets;
            }
            None => releases.push(one),
        }
    }
    releases
}

fn release(generation: &Generation, is_draining: bool) -> ReleaseCounters {
    let (tally, gate) = (&generation.tally, &generation.gate);
    ReleaseCounters {
        pool: generation.pool.name.clone(),
        release: generation.pool.release.clone(),
        is_draining,
        in_flight: generation.in_flight() as u64,
        websockets: generation.tunnels() as u64,
        // The gate is the pool's: what waits there waits for the release that serves.
        held: if is_draining { 0 } else { gate.waiting() as u64 },
        held_total: if is_draining { 0 } else { value(&gate.held_total) },
        hold_refused: if is_draining { 0 } else { value(&gate.full_total) + value(&gate.late_total) },
        classes: tally.classes.each_ref().map(value),
        times: tally.times.counts().to_vec(),
        connects: value(&tally.connects),
        connect_errors: value(&tally.connect_errors),
        retries: value(&tally.retries),
        unanswered: value(&tally.unanswered),
        ejections: value(&tally.ejections),
        bytes_in: value(&tally.bytes_in),
        bytes_out: value(&tally.bytes_out),
        targets: conditions(generation),
    }
}

fn routes(edge: &Edge, snapshot: &Snapshot) -> Vec<RouteCounters> {
    let mut pools: BTreeMap<Label, Vec<String>> = BTreeMap::new();
    for route in &snapshot.routes {
        let named = pools.entry(label(route)).or_default();
        let shares = route.split.iter().flat_map(|split| split.shares.iter().map(|share| &share.pool));
        for pool in shares.chain(Some(&route.pool)).filter(|pool| !pool.is_empty()) {
            if !named.contains(pool) {
                named.push(pool.clone());
            }
        }
    }
    let mut waiting: BTreeMap<Label, u64> = BTreeMap::new();
    for rules in edge.table.load().rules.all() {
        if let Some(gate) = rules.guard.as_ref().and_then(|guard| guard.gate.as_ref()) {
            *waiting.entry(rules.label.clone()).or_default() += gate.waiting() as u64;
        }
    }
    let counted = edge.routes.all().into_iter().map(|(label, tally)| RouteCounters {
        pools: pools.remove(&label).unwrap_or_default(),
        waiting: waiting.get(&label).copied().unwrap_or(0),
        classes: tally.classes.each_ref().map(value),
        times: tally.times.counts().to_vec(),
        rate_limited: value(&tally.rate_limited),
        queue_refused: value(&tally.queue_full) + value(&tally.queue_late),
        host: label.0,
        path: label.1,
    });
    counted.collect()
}

fn value(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
