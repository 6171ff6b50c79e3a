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
            seldom(&edge);
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

fn seldom(edge: &Arc<Edge>) {
    let now = now_ms();
    edge.table.load().generations.iter().for_each(|generation| generation.tally.note(now));
    let is_whole = {
        let mut state = edge.state.lock();
        tidy(&mut state, &edge.table.load());
        state.listeners.open_missing(edge)
    };
    if !is_whole {
        let edge = edge.clone();
        // Beside the sweep: whoever gives sockets may be slow, and slow clients are not to profit from that.
        tokio::spawn(async move {
            // A snapshot that is being taken asks for what it needs itself.
            if let Ok(_turn) = edge.applying.try_lock() {
                open_missing(&edge).await;
            }
        });
    }
}
