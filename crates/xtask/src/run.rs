//! The one place of this crate that starts other programs.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::Outcome;
use crate::error::TaskError;

/// A program with its arguments, built from words and never from a shell line.
pub(crate) fn program(name: impl AsRef<std::ffi::OsStr>) -> Command {
    #[expect(clippy::disallowed_methods, reason = "a development tool that imports no crate of the house")]
    Command::new(name)
}

/// Runs to the end whatever the outcome, and returns all it said.
pub(crate) fn finish(command: &mut Command) -> Outcome<Output> {
    let words = words(command);
    command.stdin(Stdio::null()).output().map_err(|source| TaskError::Start { command: words, source })
}

/// Runs to the end and returns standard output; a failure carries the last lines of standard error.
pub(crate) fn output(command: &mut Command) -> Outcome<String> {
    let output = finish(command)?;
    if !output.status.success() {
        return Err(failed(command, &output));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// Starts without waiting, everything it says into a file.
pub(crate) fn start(command: &mut Command, log: &Path) -> Outcome<Child> {
    let words = words(command);
    let started = |source| TaskError::Start { command: words.clone(), source };
    let file = std::fs::File::create(log).map_err(started)?;
    let twin = file.try_clone().map_err(started)?;
    command.stdin(Stdio::null()).stdout(file).stderr(twin).spawn().map_err(started)
}

pub(crate) fn failed(command: &Command, output: &Output) -> TaskError {
    let mut text = String::from_utf8_lossy(&output.stderr).into_owned();
    if text.trim().is_empty() {
        text = String::from_utf8_lossy(&output.stdout).into_owned();
    }
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(12)..].join("\n");
    TaskError::Command { command: words(command), status: output.status.to_string(), tail }
}

fn words(command: &Command) -> String {
    let arguments = command.get_args().map(|word| word.to_string_lossy());
    std::iter::once(command.get_program().to_string_lossy()).chain(arguments).collect::<Vec<_>>().join(" ")
}
