//! `mainstay upgrade`: the running edge is replaced by this program, without a failed request.

use std::time::Duration;

use deploy::Ending;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Context, binary, units};
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
    if units::are_in_charge(layout)? {
        let host = crate::engine::remembered(layout).unwrap_or_else(|| machine::docker::DEFAULT_HOST.to_owned());
        units::settle(layout, &host).await?;
        // It starts its successor in the service's own group of processes, where systemd keeps it. Asked by a signal and
        // not through `systemctl kill`, whose words differ from release to release.
        let pid = Pid::from_raw(i32::try_from(before.pid).unwrap_or_default());
        kill(pid, Signal::SIGUSR2).map_err(failed("ask the edge for its successor"))?;
    } else {
        start_successor(layout, &binary()?).await?;
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
