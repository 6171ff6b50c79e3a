//! Runs the edge alone from a snapshot file, for benchmarks on loopback.
//!
//! `edge-bench SNAPSHOT.json STATE_DIR` listens on what the snapshot says until it is terminated.
//! The snapshot need not be sealed; its hash is computed here.
//! A part of it that cannot work ends the program: a benchmark must not measure less than it asked for.
//! Open files are limited by who starts it; `bench/edge` raises the limit before.

use std::path::PathBuf;

use edge::{Applied, Control, EdgeConfig, Snapshot, serve};
use tokio_util::sync::CancellationToken;

/// As in the program itself.
#[global_allocator]
static MEMORY: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Anyhow = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Anyhow> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(file), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("usage: edge-bench SNAPSHOT.json STATE_DIR".into());
    };
    let snapshot: Snapshot = serde_json::from_slice(&std::fs::read(file)?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(snapshot.seal(), folder.into()))
}

async fn run(snapshot: Snapshot, state_dir: PathBuf) -> Result<(), Anyhow> {
    let shutdown = CancellationToken::new();
    let config = EdgeConfig { control_socket: state_dir.join("edge.sock"), state_dir };
    let control = Control::new(config.control_socket.clone());
    let serving = tokio::spawn(serve(config, shutdown.clone()));
    // The socket is there within milliseconds, or serving has failed and says why below.
    for _ in 0..200 {
        if serving.is_finished() {
            break;
        }
        if let Ok(applied) = control.apply(&snapshot).await {
            whole(&applied)?;
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => shutdown.cancel(),
        _ = tokio::signal::ctrl_c() => shutdown.cancel(),
        () = async { while !serving.is_finished() { tokio::time::sleep(std::time::Duration::from_millis(100)).await } } => {}
    }
    Ok(serving.await??)
}

/// Everything that was asked for is served, or an error names what is not.
fn whole(applied: &Applied) -> Result<(), Anyhow> {
    let closed = applied.listeners.iter().filter_map(|listener| listener.error.clone());
    let problems: Vec<String> = applied.problems.iter().cloned().chain(closed).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("; ").into()) }
}
