//! Real programs.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use nix::sys::signal::Signal;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};

use super::group::Group;
use super::lines::{Lines, Tail, last_of};
use super::{Command, Output, ProcessError, Processes, Stream};
use crate::compose::plugin;

/// More than any document we ask for, less than what would hurt a small server.
const LARGEST_OUTPUT: usize = 64 * 1024 * 1024;
/// How long a program may take to obey a polite signal after its time is over.
const POLITE: Duration = Duration::from_secs(1);
/// How long pipes may stay open after the program itself has ended.
const LEFTOVERS: Duration = Duration::from_millis(500);

/// Runs programs on this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemProcesses;

#[async_trait]
impl Processes for SystemProcesses {
    async fn run(&self, command: &Command) -> Result<Output, ProcessError> {
        let mut output = Output::default();
        let mut overflow = false;
        let outcome = drive(command, &mut |stream, bytes| {
            let kept = if stream == Stream::Stdout { &mut output.stdout } else { &mut output.stderr };
            overflow = kept.len() + bytes.len() > LARGEST_OUTPUT;
            if !overflow {
                kept.extend_from_slice(bytes);
            }
            !overflow
        })
        .await?;
        if overflow {
            return Err(ProcessError::TooMuchOutput { command: command.to_string(), limit: LARGEST_OUTPUT });
        }
        match outcome {
            Some(status) => Ok(Output { status, ..output }),
            None => Err(timed_out(command, last_of(&output.stderr))),
        }
    }

    async fn stream(
        &self,
        command: &Command,
        on_line: &mut (dyn FnMut(Stream, String) + Send),
    ) -> Result<i32, ProcessError> {
        let (mut out, mut err, mut tail) = (Lines::default(), Lines::default(), Tail::default());
        let outcome = drive(command, &mut |stream, bytes| {
            let lines = if stream == Stream::Stdout { &mut out } else { &mut err };
            lines.push(bytes, &mut |line| {
                tail.push(&line);
                on_line(stream, line);
            });
            true
        })
        .await?;
        out.finish(&mut |line| on_line(Stream::Stdout, line));
        err.finish(&mut |line| on_line(Stream::Stderr, line));
        outcome.ok_or_else(|| timed_out(command, tail.into_lines()))
    }
}

fn timed_out(command: &Command, last_lines: Vec<String>) -> ProcessError {
    let after = command.timeout.unwrap_or_default();
    ProcessError::Timeout { command: command.to_string(), after, last_lines }
}

/// Starts the program in a group of its own.
pub(super) fn spawn(
    command: &Command,
    prepare: impl FnOnce(&mut tokio::process::Command),
) -> Result<Child, ProcessError> {
    let (program, skipped) = plugin::shortcut(command).unwrap_or((Path::new(&command.program), 0));
    #[expect(clippy::disallowed_methods, reason = "this is the one place that starts programs")]
    let mut real = tokio::process::Command::new(program);
    real.args(&command.args[skipped..]).envs(command.env.iter().map(|(name, value)| (name, value)));
    if let Some(dir) = &command.dir {
        real.current_dir(dir);
    }
    prepare(&mut real);
    real.spawn().map_err(|source| {
        let program = command.program.clone();
        // A missing folder gives the same answer as a missing program.
        let has_dir = command.dir.as_ref().is_none_or(|dir| dir.is_dir());
        if source.kind() == std::io::ErrorKind::NotFound && has_dir {
            ProcessError::NoProgram { program }
        } else {
            ProcessError::Start { program, source }
        }
    })
}

/// Runs to the end; `None` when the time was over, or when `take` wanted no more.
async fn drive(
    command: &Command,
    take: &mut (dyn FnMut(Stream, &[u8]) -> bool + Send),
) -> Result<Option<i32>, ProcessError> {
    let mut child = spawn(command, |real| {
        real.process_group(0).kill_on_drop(true).stdout(Stdio::piped()).stderr(Stdio::piped());
        real.stdin(if command.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
    })?;
    let mut group = Group::of(child.id());
    let lost = |source| ProcessError::Io { command: command.to_string(), source };
    let work = to_the_end(&mut child, command, take);
    let ended = match command.timeout {
        Some(limit) => tokio::time::timeout(limit, work).await.unwrap_or(Ok(None)),
        None => work.await,
    }
    .map_err(lost)?;
    match ended {
        Some(End { status, clean }) => {
            if clean {
                group.disarm();
            }
            Ok(Some(status))
        }
        None => {
            group.signal(Signal::SIGTERM);
            let _ = tokio::time::timeout(POLITE, child.wait()).await;
            Ok(None)
        }
    }
}

struct End {
    status: i32,
    /// Nothing of the group still holds a pipe.
    clean: bool,
}

async fn to_the_end(
    child: &mut Child,
    command: &Command,
    take: &mut (dyn FnMut(Stream, &[u8]) -> bool + Send),
) -> std::io::Result<Option<End>> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = feed(stdin, command.stdin.as_deref().unwrap_or_default());
    let read = read_both(stdout, stderr, take);
    tokio::pin!(feed, read);
    let mut fed = false;
    let mut reading = true;
    let status = loop {
        tokio::select! {
            () = &mut feed, if !fed => fed = true,
            wanted = &mut read, if reading => {
                if !wanted? {
                    return Ok(None);
                }
                reading = false;
            }
            status = child.wait() => break status?,
        }
    };
    let clean = !reading || tokio::time::timeout(LEFTOVERS, &mut read).await.is_ok();
    Ok(Some(End { status: number(status), clean }))
}

/// A program that does not read its input closes the pipe early: that is its right.
async fn feed(stdin: Option<ChildStdin>, bytes: &[u8]) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(bytes).await;
        let _ = stdin.shutdown().await;
    }
}

async fn read_both(
    stdout: Option<impl AsyncRead + Unpin>,
    stderr: Option<impl AsyncRead + Unpin>,
    take: &mut (dyn FnMut(Stream, &[u8]) -> bool + Send),
) -> std::io::Result<bool> {
    let (mut stdout, mut stderr) = (stdout, stderr);
    let (mut out, mut err) = ([0_u8; 8192], [0_u8; 8192]);
    while stdout.is_some() || stderr.is_some() {
        let (stream, count) = tokio::select! {
            count = read_some(&mut stdout, &mut out) => (Stream::Stdout, count?),
            count = read_some(&mut stderr, &mut err) => (Stream::Stderr, count?),
        };
        match (stream, count) {
            (Stream::Stdout, 0) => stdout = None,
            (Stream::Stderr, 0) => stderr = None,
            (stream, count) => {
                let buffer = if stream == Stream::Stdout { &out } else { &err };
                if !take(stream, &buffer[..count]) {
                    return Ok(false);
                }
            }
        }
    }
    Ok(true)
}

async fn read_some(source: &mut Option<impl AsyncRead + Unpin>, buffer: &mut [u8]) -> std::io::Result<usize> {
    match source {
        Some(source) => source.read(buffer).await,
        None => std::future::pending().await,
    }
}

pub(super) fn number(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}
