//! Why an agent could not start, for the command that waits for it: its own log is one step further away.

use machine::files::Root;

use crate::errors::Failure;

const FILE: &str = "run/agent-failure.json";

/// Leaves the failure behind, or clears away what an agent before this one has left.
pub fn keep(root: &Root, failure: Option<&Failure>) {
    let kept = match failure {
        Some(failure) => root.save_json(FILE, failure, 0o600),
        None => root.remove(FILE).map(drop),
    };
    if let Err(error) = kept {
        tracing::warn!("what keeps this agent from starting could not be left for others: {error}");
    }
}

/// A new agent is about to try.
pub fn clear(root: &Root) {
    keep(root, None);
}

/// What the last agent that tried has left.
pub fn read(root: &Root) -> Option<Failure> {
    root.load_json(FILE).ok().and_then(machine::files::Loaded::into_option)
}
