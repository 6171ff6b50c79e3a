//! Running the data plane from its first to its last moment.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use machine::clock::{Clock, SystemClock};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use crate::apply::{install, prepare};
use crate::control::server;
use crate::edge::Edge;
use crate::error::EdgeError;
use crate::limits::Limits;
use crate::persist::{Loaded, Store};
use crate::snapshot::Snapshot;
use crate::sweep::sweep;
use crate::takeover::{self, Inheritance, Line, Offer, TakeoverError, Watch, cut_tunnels};

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
    serve_in_line(config, limits, shutdown, Line::default()).await
}

/// As [`serve_with`], in place of the edge that was asked ([`crate::takeover::ask`]), and ready to be replaced.
///
/// Returns when the shutdown is done, or when a successor serves and everything that was begun here has ended.
pub async fn serve_in_line(
    config: EdgeConfig,
    limits: Limits,
    shutdown: CancellationToken,
    line: Line,
) -> Result<(), EdgeError> {
    let store = Store::open(&config.state_dir)?;
    let loaded = store.load();
    let Line { lender, inherited, mut kept, serving, succeeded } = line;
    let edge = Edge::new(limits, store, lender, &loaded, SystemClock::new().now_ms())?;
    if let Some(note) = &loaded.note {
        tracing::error!(%note, source = ?loaded.source, "the routing snapshot is not the newest one");
    }
    let control = match inherited {
        Some(inheritance) => succeed(&edge, loaded, inheritance, &mut kept).await?,
        None => {
            let control = server::open(&config.control_socket).await?;
            begin(&edge, loaded).await?;
            control
        }
    };
    // In place of the one before, which nobody answers on any more.
    let door = takeover::socket(&config.state_dir);
    // Without it there is no next takeover, but what is served is served.
    let offered = server::place(&door).inspect_err(|error| tracing::error!(%error, "no takeover will be possible"));
    serving.cancel();
    let stop = shutdown.child_token();
    let copy = control.as_fd().try_clone_to_owned();
    let copy = copy.map_err(|source| EdgeError::ControlSocket { path: config.control_socket.clone(), source })?;
    let sweeping = CancellationToken::new();
    let sweeper = tokio::spawn(sweep(edge.clone(), sweeping.clone()));
    let answering = server::serve(&edge, control, &stop);
    let handing = async {
        let offered = offered.ok()?;
        let handed = takeover::offer(edge.clone(), offered, Offer { control: copy, kept }, stop.clone()).await;
        stop.cancel();
        handed
    };
    let ((), handed) = tokio::join!(answering, handing);
    match handed {
        Some(mut handed) => {
            tracing::info!("a successor serves; this edge finishes what it has begun");
            succeeded.cancel();
            takeover::drain(&edge, &mut handed, &shutdown).await;
            sweeping.cancel();
            drop(handed);
        }
        None => {
            sweeping.cancel();
            let _ = sweeper.await;
            leave(&edge).await;
            server::close(&config.control_socket);
            server::close(&door);
        }
    }
    Ok(())
}

/// Serves what the state folder holds.
async fn begin(edge: &Arc<Edge>, loaded: Loaded) -> Result<(), EdgeError> {
    if let Some(snapshot) = loaded.snapshot {
        let prepared = prepare(edge, &snapshot).await?;
        install(edge, snapshot, loaded.source, prepared);
    }
    Ok(())
}

/// Takes the place of the edge before us, or fails and leaves it as it was.
async fn succeed(
    edge: &Arc<Edge>,
    loaded: Loaded,
    inheritance: Inheritance,
    kept: &mut Vec<OwnedFd>,
) -> Result<UnixListener, EdgeError> {
    let Inheritance { stream, control, listeners, hash, kept: passed } = inheritance;
    let ours = loaded.snapshot.as_ref().map_or_else(|| Snapshot::new(0).seal().hash, |snapshot| snapshot.hash.clone());
    if ours != hash {
        return Err(TakeoverError::OtherSnapshot.into());
    }
    let broken = |source| EdgeError::Takeover(TakeoverError::Broken(source));
    let control = std::os::unix::net::UnixListener::from(control);
    control.set_nonblocking(true).map_err(broken)?;
    let control = UnixListener::from_std(control).map_err(broken)?;
    let names = listeners.len();
    *edge.heirlooms.lock() = listeners;
    begin(edge, loaded).await?;
    let failed = edge.state.lock().listeners.states().into_iter().find_map(|state| Some((state.name, state.error?)));
    // One that was closed at the old edge too is tried again later, as it was there.
    if let Some((name, reason)) = failed
        && edge.state.lock().listeners.sockets().count() < names
    {
        leave(edge).await;
        return Err(TakeoverError::Listener { name, reason }.into());
    }
    edge.heirlooms.lock().clear();
    let stream = match takeover::confirm(stream).await {
        Ok(stream) => stream,
        Err(error) => {
            leave(edge).await;
            return Err(error.into());
        }
    };
    edge.predecessor.store(Arc::new(Watch::of(stream).map_err(broken)?));
    kept.extend(passed);
    Ok(control)
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
