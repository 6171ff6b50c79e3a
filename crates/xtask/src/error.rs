//! What a task can fail at.

use std::error::Error;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub(crate) enum TaskError {
    #[error("could not read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("could not write {}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("could not load the workspace's metadata")]
    Metadata(#[from] cargo_metadata::Error),
    #[error("could not decode {what}")]
    Decode { what: String, source: serde_json::Error },
    #[error("could not start `{command}`")]
    Start { command: String, source: std::io::Error },
    #[error("`{command}` ended with {status}:\n{tail}")]
    Command { command: String, status: String, tail: String },
    #[error("{waited} s went by and still: {state}")]
    Waited { waited: u64, state: String },
    #[error("{0} findings")]
    Findings(usize),
    #[error("{0}")]
    Refused(String),
}

/// The error and everything below it, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
