//! The log of a saga, and the one function that says what may come next.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::step::{Failure, Saga, Step, Undo};

/// One entry of the log. The words are those of Oxide's steno: the log says what was intended, then what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event", deny_unknown_fields)]
pub enum LogEvent {
    /// Durable before the step runs.
    Started {
        step: String,
    },
    Succeeded {
        step: String,
        state: Value,
    },
    /// The step failed. Without a `Started` before it, the saga was aborted in front of the step.
    Failed {
        step: String,
        error: Failure,
        state: Value,
    },
    /// Durable before the undo runs.
    UndoStarted {
        step: String,
    },
    UndoFinished {
        step: String,
        state: Value,
    },
    UndoFailed {
        step: String,
        error: Failure,
        state: Value,
    },
}

/// The steps as far as the log is concerned. Stored with the saga.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shape {
    pub steps: Vec<StepShape>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepShape {
    pub name: String,
    /// Whether there is something to run when it is undone.
    pub undo: bool,
    pub commits: bool,
}

/// Where a saga stands. A pure function of its shape and its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// In front of a step, which has failed this often before (that is, after a commit).
    Ready {
        step: usize,
        failures: u32,
    },
    /// Somewhere inside a step.
    Running {
        step: usize,
        failures: u32,
    },
    /// On the way back from `failed`, in front of the undo of a step, which has failed this often before.
    Unwinding {
        failed: usize,
        step: usize,
        failures: u32,
    },
    /// Somewhere inside an undo.
    Undoing {
        failed: usize,
        step: usize,
        failures: u32,
    },
    Done,
    Undone {
        failed: usize,
    },
}

/// An entry that cannot stand where it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{event}` cannot follow {position:?}")]
pub struct Illegal {
    pub position: Position,
    pub event: String,
}

/// What may come next: the whole correctness of the log in one function. Everything it does not name is illegal.
pub fn next(shape: &Shape, position: Position, event: &LogEvent) -> Result<Position, Illegal> {
    use LogEvent as E;
    use Position as P;
    let at = |step: usize| shape.steps.get(step).is_some_and(|found| found.name == event.step());
    match (position, event) {
        (P::Ready { step, failures }, E::Started { .. }) if at(step) => Ok(P::Running { step, failures }),
        // Aborted in front of a step: the step itself has nothing to undo.
        (P::Ready { step, .. }, E::Failed { error, .. }) if at(step) && error.is_abort() && !shape.committed(step) => {
            Ok(shape.back(step, step))
        }
        // A crash inside a step: it is started again.
        (P::Running { step, failures }, E::Started { .. }) if at(step) => Ok(P::Running { step, failures }),
        (P::Running { step, .. }, E::Succeeded { .. }) if at(step) => Ok(shape.front(step + 1)),
        (P::Running { step, failures }, E::Failed { .. }) if at(step) && shape.committed(step) => {
            Ok(P::Ready { step, failures: failures + 1 })
        }
        // The failed step is undone, too: it may have done some of its work.
        (P::Running { step, .. }, E::Failed { .. }) if at(step) => Ok(shape.back(step, step + 1)),
        (P::Unwinding { failed, step, failures }, E::UndoStarted { .. }) if at(step) => {
            Ok(P::Undoing { failed, step, failures })
        }
        // A crash inside an undo: it is started again.
        (P::Undoing { failed, step, failures }, E::UndoStarted { .. }) if at(step) => {
            Ok(P::Undoing { failed, step, failures })
        }
        (P::Undoing { failed, step, .. }, E::UndoFinished { .. }) if at(step) => Ok(shape.back(failed, step)),
        (P::Undoing { failed, step, failures }, E::UndoFailed { .. }) if at(step) => {
            Ok(P::Unwinding { failed, step, failures: failures + 1 })
        }
        (position, event) => Err(Illegal { position, event: event.to_string() }),
    }
}

// === impl LogEvent ===

impl LogEvent {
    pub fn step(&self) -> &str {
        match self {
            Self::Started { step }
            | Self::Succeeded { step, .. }
            | Self::Failed { step, .. }
            | Self::UndoStarted { step }
            | Self::UndoFinished { step, .. }
            | Self::UndoFailed { step, .. } => step,
        }
    }

    /// The state that this entry leaves behind, for the entries that do.
    pub fn state(&self) -> Option<&Value> {
        match self {
            Self::Started { .. } | Self::UndoStarted { .. } => None,
            Self::Succeeded { state, .. }
            | Self::Failed { state, .. }
            | Self::UndoFinished { state, .. }
            | Self::UndoFailed { state, .. } => Some(state),
        }
    }

    pub fn error(&self) -> Option<&Failure> {
        match self {
            Self::Failed { error, .. } | Self::UndoFailed { error, .. } => Some(error),
            _ => None,
        }
    }

    /// Whether something is about to run.
    pub fn is_intent(&self) -> bool {
        self.state().is_none()
    }
}

impl std::fmt::Display for LogEvent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = match self {
            Self::Started { .. } => "started",
            Self::Succeeded { .. } => "succeeded",
            Self::Failed { .. } => "failed",
            Self::UndoStarted { .. } => "undo started",
            Self::UndoFinished { .. } => "undo finished",
            Self::UndoFailed { .. } => "undo failed",
        };
        write!(formatter, "{word} {}", self.step())
    }
}

// === impl Shape ===

impl Shape {
    pub fn of<S: Saga>(steps: &[Step<S>]) -> Self {
        let shape = |step: &Step<S>| StepShape {
            name: step.name.clone(),
            undo: matches!(step.undo, Undo::Action(_)),
            commits: step.commits,
        };
        Self { steps: steps.iter().map(shape).collect() }
    }

    /// Where a saga stands whose log is empty.
    pub fn start(&self) -> Position {
        self.front(0)
    }

    pub fn name(&self, step: usize) -> &str {
        self.steps.get(step).map_or("", |step| &step.name)
    }

    /// Whether a step that commits lies before this one: then there is no way back.
    pub fn committed(&self, step: usize) -> bool {
        self.steps.iter().take(step).any(|step| step.commits)
    }

    fn front(&self, step: usize) -> Position {
        if step < self.steps.len() { Position::Ready { step, failures: 0 } } else { Position::Done }
    }

    /// The next undo among the first `end` steps, counted from the last.
    fn back(&self, failed: usize, end: usize) -> Position {
        match self.steps.iter().take(end).rposition(|step| step.undo) {
            Some(step) => Position::Unwinding { failed, step, failures: 0 },
            None => Position::Undone { failed },
        }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.steps.iter().map(|step| step.name.as_str()).collect();
        formatter.write_str(&names.join(", "))
    }
}

#[cfg(test)]
mod tests;
