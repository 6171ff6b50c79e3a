//! Running the data plane from its first to its last moment.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use machine::clock::{Clock, SystemClock};
use tokio_util::sync::CancellationToken;

use crate::apply::{install, prepare};
use crate::control::server;
use crate::edge::Edge;
use crate::error::EdgeError;
use crate::limits::Limits;
use crate::persist::Store;
use crate::sweep::sweep;

/// Where the edge keeps its things.
#[derive(Debug, Clone)]
pub struct EdgeConfig {
    /// The unix socket the agent speaks to.
    pub control_socket: PathBuf,
    /// The folder of the persisted snapshot.
    pub state_dir: PathBuf,
}

/// Serves until `shutdown` is cancelled, then stops accepting, lets what is under way finish, and returns.
pub async fn serve(config: EdgeConfig, shutdown: CancellationToken) -> Result<(), EdgeError> {
    serve_with(config, Limits::default(), shutdown).await
}

/// As [`serve`], with other limits.
pub async fn serve_with(config: EdgeConfig, limits: Limits, shutdown: CancellationToken) -> Result<(), EdgeError> {
    let store = Store::open(&config.state_dir)?;
    let socket = server::open(&config.control_socket).await?;
    let loaded = store.load();
    let edge = Edge::new(limits, store, &loaded, SystemClock::new().now_ms())?;
    if let Some(note) = &loaded.note {
        tracing::error!(%note, source = ?loaded.source, "the routing snapshot is not the newest one");
    }
    if let Some(snapshot) = loaded.snapshot {
        let prepared = prepare(&edge, &snapshot).await?;
        install(&edge, snapshot, loaded.source, prepared);
    }
    let sweeper = tokio::spawn(sweep(edge.clone(), shutdown.clone()));
    server::serve(&edge, socket, &shutdown).await;
    let _ = sweeper.await;
    leave(&edge).await;
    server::close(&config.control_socket);
    Ok(())
}

/// The graceful end: no new connection, a last response on each, tunnels closed over a while.
async fn leave(edge: &Arc<Edge>) {
    let limit = edge.limits.shutdown;
    edge.state.lock().listeners.close_all(edge);
    edge.presences.visit(|presence| presence.leave());
    edge.tasks.close();
    edge.state.lock().gates.values().for_each(|gate| gate.leave());
    // WebSockets get half the time, since they never end by themselves.
    let stop = edge.clone();
    let cut = tokio::spawn(async move {
        tokio::time::sleep((limit / 2).min(Duration::from_secs(5))).await;
        cut_tunnels(&stop);
    });
    if tokio::time::timeout(limit, edge.tasks.wait()).await.is_err() {
        tracing::warn!(left = edge.tasks.len(), "the shutdown's time is over; what is still under way is cut");
        edge.presences.visit(|presence| presence.break_off());
    }
    cut.abort();
}

fn cut_tunnels(edge: &Edge) {
    let table = edge.table.load_full();
    let state = edge.state.lock();
    for generation in table.generations.iter().chain(&state.draining) {
        generation.cut().cancel();
    }
}
