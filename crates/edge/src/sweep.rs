//! The sweeper: one task that ends what has waited for too long.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::apply::{open_missing, tidy};
use crate::edge::Edge;
use crate::uptime::{ms, now_ms};

/// How often missing listeners are tried again and drained generations forgotten.
const SELDOM: Duration = Duration::from_secs(2);

/// Sweeps until told to stop.
pub(crate) async fn sweep(edge: Arc<Edge>, stop: CancellationToken) {
    let every = edge.limits.sweep_every();
    let mut seldom_at = now_ms() + ms(SELDOM);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        let now = now_ms();
        connections(&edge, now);
        if now >= seldom_at {
            seldom_at = now + ms(SELDOM);
            seldom(&edge).await;
        }
    }
}

fn connections(edge: &Edge, now: u64) {
    edge.protection.shedder.judge(now);
    edge.presences.visit(|presence| presence.sweep(now, &edge.limits));
    edge.links.visit(|link| link.sweep(now));
    edge.takings.visit(|taking| taking.sweep(now, &edge.counts.refusals));
    let (idle_limit, trunk_limit) = (ms(edge.limits.target_idle), ms(edge.limits.target_idle_h2));
    for generation in &edge.table.load_full().generations {
        for target in &generation.targets {
            target.sweep(now, idle_limit);
            target.trunks.sweep(now, trunk_limit);
        }
    }
}

async fn seldom(edge: &Arc<Edge>) {
    let now = now_ms();
    edge.table.load().generations.iter().for_each(|generation| generation.tally.note(now));
    {
        // Never in the middle of a snapshot being taken.
        let _turn = edge.applying.lock().await;
        open_missing(edge).await;
    }
    tidy(&mut edge.state.lock(), &edge.table.load());
}
