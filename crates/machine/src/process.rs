//! The one place that starts programs. Commands are values first; no shell is ever involved.
//!
//! Every program gets a process group of its own, and the group ends with the call: on a timeout, when the
//! caller drops the future, and when the program leaves helpers behind that still hold its pipes.

mod child;
mod command;
mod detached;
mod fake;
mod group;
mod interactive;
mod lines;
mod system;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use crate::error::ProcessError;
pub use child::{Child, ChildOutput};
pub use command::Command;
pub use detached::spawn_detached;
pub use fake::FakeProcesses;
pub use group::pid_alive;
pub use interactive::interactive;
pub use system::SystemProcesses;

/// What a program left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Its exit status; 128 and the signal's number when a signal ended it, as shells count.
    pub status: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Output {
    /// Status 0, or an error that carries the program's last lines.
    pub fn ok(self, command: &Command) -> Result<Output, ProcessError> {
        if self.status == 0 {
            return Ok(self);
        }
        // Some programs complain on the wrong output.
        let words = if self.stderr.iter().all(u8::is_ascii_whitespace) { &self.stdout } else { &self.stderr };
        Err(ProcessError::Failed {
            command: command.to_string(),
            status: self.status,
            last_lines: lines::last_of(words),
        })
    }

    /// Its standard output as text, with what is not UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// Which of a program's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    Stdout,
    Stderr,
}

/// Whoever can run programs: the system, or a script in a test.
#[async_trait]
pub trait Processes: Send + Sync {
    /// Runs to the end and keeps what it wrote (at most 64 MB of each output). Any exit status is `Ok`.
    async fn run(&self, command: &Command) -> Result<Output, ProcessError>;

    /// Runs to the end and hands over each line as it comes. Lines longer than 16 KB arrive in pieces.
    async fn stream(
        &self,
        command: &Command,
        on_line: &mut (dyn FnMut(Stream, String) + Send),
    ) -> Result<i32, ProcessError>;
}

#[cfg(test)]
mod tests;
