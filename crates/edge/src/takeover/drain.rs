//! The end of an edge whose successor serves.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Handed;
use super::follow::follow;
use crate::edge::Edge;

/// Finishes what was begun: each connection gets one more answer, WebSockets get a time of their own.
///
/// An idle connection is not closed at once: its client may be sending a request at this very moment.
/// It is told to close with its next answer, and closed only when none is asked for.
pub(crate) async fn drain(edge: &Arc<Edge>, handed: &mut Handed, shutdown: &CancellationToken) {
    let limits = &edge.limits;
    edge.state.lock().listeners.retire_all();
    edge.presences.visit(|presence| presence.wind_down());
    edge.tasks.close();
    let idle = async {
        tokio::time::sleep(limits.handover_idle).await;
        edge.presences.visit(|presence| presence.leave());
        std::future::pending::<()>().await;
    };
    let tunnels = async {
        tokio::time::sleep(limits.handover_websockets).await;
        cut_tunnels(edge);
        std::future::pending::<()>().await;
    };
    let hurry = async {
        shutdown.cancelled().await;
        edge.presences.visit(|presence| presence.leave());
        cut_tunnels(edge);
        tokio::time::sleep(limits.shutdown).await;
    };
    tokio::select! {
        () = edge.tasks.wait() => return,
        never = follow(edge, &mut handed.stream) => match never {},
        () = idle => {}
        () = tunnels => {}
        () = hurry => {}
        () = tokio::time::sleep(limits.handover) => {}
    }
    tracing::warn!(left = edge.tasks.len(), "the time of the old edge is over; what is still under way is cut");
    edge.presences.visit(|presence| presence.break_off());
}

/// Ends the tunnels of all releases, spread over a while.
pub(crate) fn cut_tunnels(edge: &Edge) {
    let table = edge.table.load_full();
    let state = edge.state.lock();
    for generation in table.generations.iter().chain(&state.draining) {
        generation.cut().cancel();
    }
}
