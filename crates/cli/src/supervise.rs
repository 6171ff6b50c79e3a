//! Our own supervision, for machines where no systemd runs.
//!
//! It keeps the edge and the agent running: each holds a lock while it lives, so a new supervisor
//! finds those that outlived an old one and starts only what is missing.
//! The edge is never stopped because the agent stops, nor the other way round.

use std::path::Path;
use std::time::Duration;

use machine::files::{Lock, Root};
use machine::process::{Child, ChildOutput, Command};
use tokio_util::sync::CancellationToken;

use crate::errors::{Failure, failed};
use crate::layout::{AGENT_LOCK, EDGE_LOCK, Layout, SUPERVISOR_LOCK};

/// How soon a process that ended is started again, and the longest pause when it keeps ending.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A process that lived this long is not failing at its start: it had served, and is missed.
const SETTLED: Duration = Duration::from_secs(1);
/// How often a lock that another process holds is looked at again.
const LOOK: Duration = Duration::from_millis(200);
/// A process has taken its lock by then.
const UP: Duration = Duration::from_secs(3);
/// The edge may be draining; then it is ended.
const GRACE: Duration = Duration::from_secs(35);

pub async fn supervise(layout: &Layout, binary: &Path) -> Result<(), Failure> {
    let root = Root::open(&layout.root).map_err(failed("open the state folder"))?;
    let _lock = match root.lock(SUPERVISOR_LOCK).map_err(failed("take the supervisor's lock"))? {
        Lock::Acquired(lock) => lock,
        Lock::Held { .. } => return Ok(()),
    };
    let stop = stop_signal();
    let edge = keep("edge", EDGE_LOCK, layout, &root, binary, &stop);
    let agent = keep("agent", AGENT_LOCK, layout, &root, binary, &stop);
    let (edge, agent) = tokio::join!(edge, agent);
    edge.and(agent)
}

async fn keep(
    name: &'static str,
    lock: &'static str,
    layout: &Layout,
    root: &Root,
    binary: &Path,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let mut pause = FIRST_PAUSE;
    while !stop.is_cancelled() {
        if !free(root, lock)? {
            rest(LOOK, stop).await;
            continue;
        }
        let born = tokio::time::Instant::now();
        tracing::info!(process = name, "starts");
        let status = run(name, lock, layout, root, binary, stop).await?;
        tracing::warn!(process = name, status, "ended");
        pause = if born.elapsed() > SETTLED { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
        rest(pause, stop).await;
    }
    Ok(())
}

/// Until the process has ended, or another one is needed although it has not.
async fn run(
    name: &'static str,
    lock: &'static str,
    layout: &Layout,
    root: &Root,
    binary: &Path,
    stop: &CancellationToken,
) -> Result<i32, Failure> {
    let folder = layout.root.display().to_string();
    let command = Command::new(binary.display().to_string()).args([name, "--root", &folder]);
    let output = ChildOutput::Log(layout.log(name));
    let mut child = Child::start(&command, output).map_err(failed("start a process"))?;
    let mut pause = UP;
    loop {
        tokio::select! {
            status = child.wait() => return status.map_err(failed("wait for a process")),
            () = stop.cancelled() => return child.terminate(GRACE).await.map_err(failed("end a process")),
            () = tokio::time::sleep(pause) => {}
        }
        // It has handed its lock on, and who got it is gone; what it still finishes it finishes beside the next one.
        if free(root, lock)? {
            tokio::spawn(async move { child.wait().await });
            return Ok(0);
        }
        pause = LOOK;
    }
}

fn free(root: &Root, lock: &str) -> Result<bool, Failure> {
    let lock = root.lock(lock).map_err(failed("look at a lock"))?;
    Ok(matches!(lock, Lock::Acquired(_)))
}

async fn rest(pause: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = stop.cancelled() => {}
    }
}

/// Set by SIGTERM or SIGINT.
pub fn stop_signal() -> CancellationToken {
    let token = CancellationToken::new();
    let set = token.clone();
    tokio::spawn(async move {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
            return;
        };
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        set.cancel();
    });
    token
}
