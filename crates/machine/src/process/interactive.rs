//! A program that takes over the terminal for a while.

use std::process::Stdio;

use super::{Command, ProcessError, system};

/// Runs it on our own terminal, in our own process group (so that the terminal's signals reach it),
/// and returns its status.
pub async fn interactive(command: &Command) -> Result<i32, ProcessError> {
    let mut child = system::spawn(command, |real| {
        real.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
    })?;
    let status = child.wait().await.map_err(|source| ProcessError::Io { command: command.to_string(), source })?;
    Ok(system::number(status))
}
