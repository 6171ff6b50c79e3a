//! `mainstay upgrade`: the running edge is replaced by this program, without a failed request.

use std::time::Duration;

use deploy::Ending;
use machine::process::{Command, Processes, SystemProcesses};

use super::{Context, processes};
use crate::edge_process::start_successor;
use crate::errors::{Failure, failed};

/// How long the new edge gets to serve.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(25);

pub async fn run(context: &Context) -> Result<u8, Failure> {
    let layout = &context.layout;
    let control = edge::Control::new(layout.edge_socket());
    let before = control.status().await.map_err(|error| {
        failed("find the edge that runs")(error).hint("start it with `mainstay up`; there is nothing to upgrade yet")
    })?;
    if processes::use_systemd(layout) {
        // In the service's own group of processes, where systemd keeps it.
        let command = Command::new("systemctl").args(["kill", "--kill-whom=main", "--signal=USR2", "mainstay-edge"]);
        let output = SystemProcesses.run(&command).await.map_err(failed("run systemctl"))?;
        output.ok(&command).map_err(failed("ask the edge for its successor"))?;
    } else {
        start_successor(layout).await?;
    }
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Ok(now) = control.status().await
            && now.pid != before.pid
        {
            eprintln!(
                "edge {} (process {}) has taken over from {} ({})",
                now.version, now.pid, before.version, before.pid
            );
            return Ok(0);
        }
        if tokio::time::Instant::now() > deadline {
            let text = format!("the new edge did not take over within {} s; the old one serves on", PATIENCE.as_secs());
            let hint = format!("its log is {}", layout.log("edge").display());
            return Err(Failure::new(text, Ending::Failed).hint(hint));
        }
        tokio::time::sleep(LOOK).await;
    }
}
