//! The data plane's process: the lock, the edge, and how one process follows another.
//!
//! The lock is handed on with the sockets, so that no moment is without its holder and a supervisor never starts a
//! second edge beside a takeover.

use std::convert::Infallible;
use std::path::Path;

use deploy::Ending;
use edge::EdgeConfig;
use edge::takeover::{self, Inheritance, Line};
use machine::files::{FileLock, Lock, Root};
use machine::process::{Command, spawn_detached};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::commands::binary;
use crate::errors::{Failure, failed};
use crate::layout::{EDGE_LOCK, Layout};
use crate::supervise::stop_signal;

#[derive(clap::Args)]
pub struct Args {
    /// Take over from the edge that runs, without a failed request
    #[arg(long)]
    take_over: bool,
}

pub async fn run(layout: &Layout, args: &Args) -> Result<u8, Failure> {
    let config = EdgeConfig { control_socket: layout.edge_socket(), state_dir: layout.edge_state() };
    let (lock, inherited) = match args.take_over {
        true => inherit(&config).await?,
        false => (acquire(layout)?, None),
    };
    let kept = vec![lock.share().map_err(failed("share the edge's lock"))?];
    let lender = Some(layout.lend_socket());
    let line = Line { lender, inherited, kept, serving: CancellationToken::new(), succeeded: CancellationToken::new() };
    let (follows, serving, succeeded) = (line.inherited.is_some(), line.serving.clone(), line.succeeded.clone());
    let edge = edge::serve_in_line(config, edge::Limits::default(), stop_signal(), line);
    tokio::select! {
        served = edge => served.map_err(failed("serve as the edge"))?,
        never = in_charge(lock, serving, succeeded, follows) => match never {},
        never = upgrades(layout) => match never {},
    }
    Ok(0)
}

fn acquire(layout: &Layout) -> Result<FileLock, Failure> {
    let root = Root::open(&layout.root).map_err(failed("open the state folder"))?;
    match root.lock(EDGE_LOCK).map_err(failed("take the edge's lock"))? {
        Lock::Acquired(lock) => Ok(lock),
        Lock::Held { .. } => Err(Failure::new("an edge is already running for this state folder", Ending::Refused)),
    }
}

async fn inherit(config: &EdgeConfig) -> Result<(FileLock, Option<Inheritance>), Failure> {
    let mut inheritance = takeover::ask(&config.state_dir).await.map_err(failed("take over from the running edge"))?;
    let Some(lock) = inheritance.kept.pop() else {
        return Err(Failure::new("the running edge handed over no lock", Ending::Refused));
    };
    Ok((FileLock::adopt(lock), Some(inheritance)))
}

/// Once we serve alone, those who look for the edge must find this process; once a successor does, only that one.
///
/// What this process still finishes must not hold the lock: should the successor die, a new edge has to start at once.
async fn in_charge(
    mut lock: FileLock,
    serving: CancellationToken,
    succeeded: CancellationToken,
    follows: bool,
) -> Infallible {
    serving.cancelled().await;
    if follows {
        if let Err(error) = lock.sign() {
            tracing::error!(%error, "could not write this process's number into the edge's lock");
        }
        tell_systemd();
    }
    succeeded.cancelled().await;
    drop(lock);
    std::future::pending().await
}

/// Where systemd runs the edge, it would otherwise take the old process's end for the service's.
fn tell_systemd() {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let words = format!("MAINPID={}", std::process::id());
    let told = std::os::unix::net::UnixDatagram::unbound()
        .and_then(|socket| socket.send_to(words.as_bytes(), std::path::Path::new(&path)));
    if let Err(error) = told {
        tracing::error!(%error, "could not tell systemd which process is the edge now");
    }
}

/// SIGUSR2 starts a successor from the program's file as it is now.
async fn upgrades(layout: &Layout) -> Infallible {
    if let Ok(mut asked) = signal(SignalKind::user_defined2()) {
        while asked.recv().await.is_some() {
            if let Err(failure) = succeed(layout).await {
                tracing::error!(causes = ?failure.causes, "{}; this edge serves on", failure.message);
            }
        }
    }
    std::future::pending().await
}

/// What the unit starts takes over, where there is one: after an upgrade that is another program than this.
async fn succeed(layout: &Layout) -> Result<u32, Failure> {
    let program = layout.program();
    let program = if program.exists() { program } else { binary()? };
    start_successor(layout, &program).await
}

/// Starts an edge that takes over; returns when it has lived through its first moments.
pub async fn start_successor(layout: &Layout, program: &Path) -> Result<u32, Failure> {
    let root = layout.root.display().to_string();
    let command = Command::new(program.display().to_string()).args(["edge", "--take-over", "--root", &root]);
    spawn_detached(&command, &layout.log("edge")).await.map_err(failed("start the edge that takes over"))
}
