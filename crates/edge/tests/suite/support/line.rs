//! Edges that follow each other in one state folder.

use std::path::Path;
use std::time::Duration;

use edge::takeover::{Line, ask};
use edge::{EdgeConfig, EdgeError, Limits, serve_in_line};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::quick;

/// Limits with which an old edge does not stay long.
pub fn brief() -> Limits {
    Limits {
        successor: Duration::from_millis(500),
        handover_idle: Duration::from_millis(300),
        handover_websockets: Duration::from_millis(600),
        handover: Duration::from_secs(10),
        ..quick()
    }
}

pub type Serving = JoinHandle<Result<(), EdgeError>>;

fn config(folder: &Path) -> EdgeConfig {
    EdgeConfig { control_socket: folder.join("edge.sock"), state_dir: folder.join("state") }
}

pub fn begin(folder: &Path, line: Line) -> (Serving, CancellationToken) {
    begin_with(folder, brief(), line)
}

pub fn begin_with(folder: &Path, limits: Limits, line: Line) -> (Serving, CancellationToken) {
    let shutdown = CancellationToken::new();
    (tokio::spawn(serve_in_line(config(folder), limits, shutdown.clone(), line)), shutdown)
}

/// A successor that serves.
pub async fn succeed(folder: &Path) -> (Serving, CancellationToken) {
    let inherited = Some(ask(&folder.join("state")).await.unwrap());
    let line = Line { inherited, ..Line::default() };
    let serving = line.serving.clone();
    let begun = begin(folder, line);
    tokio::time::timeout(Duration::from_secs(5), serving.cancelled()).await.expect("the successor does not serve");
    begun
}
