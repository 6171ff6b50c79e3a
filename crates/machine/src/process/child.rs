//! A program that runs beside us and that we look after.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::group::Group;
use super::{Command, ProcessError, detached, system};

/// Where a supervised program writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ChildOutput {
    /// Where we write.
    #[default]
    Inherit,
    Null,
    /// Appended to this file.
    Log(PathBuf),
}

/// A supervised program. Dropping it ends its whole process group.
#[derive(Debug)]
pub struct Child {
    command: String,
    pid: u32,
    child: tokio::process::Child,
    group: Group,
}

impl Child {
    /// Starts it; `timeout` and `stdin` of the command are not used.
    pub fn start(command: &Command, output: ChildOutput) -> Result<Self, ProcessError> {
        let (stdout, stderr) = match output {
            ChildOutput::Inherit => (Stdio::inherit(), Stdio::inherit()),
            ChildOutput::Null => (Stdio::null(), Stdio::null()),
            ChildOutput::Log(path) => detached::log_file(&command.program, &path)?,
        };
        let child = system::spawn(command, |real| {
            real.process_group(0).kill_on_drop(true).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        })?;
        let pid = child.id().unwrap_or_default();
        Ok(Self { command: command.to_string(), pid, group: Group::of(child.id()), child })
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for its end and returns the status, as often as asked.
    pub async fn wait(&mut self) -> Result<i32, ProcessError> {
        let ended = self.child.wait().await;
        let status = ended.map_err(|source| ProcessError::Io { command: self.command.clone(), source })?;
        // The number may belong to a stranger from now on.
        self.group.disarm();
        Ok(system::number(status))
    }

    /// Asks it to end (SIGTERM to the group) and after `grace` makes it end.
    pub async fn terminate(&mut self, grace: Duration) -> Result<i32, ProcessError> {
        self.group.signal(Signal::SIGTERM);
        match tokio::time::timeout(grace, self.wait()).await {
            Ok(ended) => ended,
            Err(_) => self.kill().await,
        }
    }

    /// Ends it now.
    pub async fn kill(&mut self) -> Result<i32, ProcessError> {
        self.group.signal(Signal::SIGKILL);
        self.wait().await
    }
}
