//! Makes a running edge serve a snapshot from a file, for tests from outside.
//!
//! `edge-apply CONTROL_SOCKET SNAPSHOT.json` prints the acknowledgement as JSON.
//! The snapshot need not be sealed; its hash is computed here.
//! What of it cannot work ends the program with an error: a test must not look at less than it asked for.

use std::io::Write;

use edge::{Control, Snapshot};

type Anyhow = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Anyhow> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(socket), Some(file)) = (arguments.next(), arguments.next()) else {
        return Err("usage: edge-apply CONTROL_SOCKET SNAPSHOT.json".into());
    };
    let snapshot: Snapshot = serde_json::from_slice(&std::fs::read(file)?)?;
    let applied = Control::new(socket.into()).apply(&snapshot.seal()).await?;
    let closed = applied.listeners.iter().filter_map(|listener| listener.error.clone());
    let problems: Vec<String> = applied.problems.iter().cloned().chain(closed).collect();
    if !problems.is_empty() {
        return Err(problems.join("; ").into());
    }
    serde_json::to_writer(std::io::stdout(), &applied)?;
    Ok(std::io::stdout().write_all(b"\n")?)
}
