//! What a log amounts to: the position, the last durable state and the reason for being there.

use ledger::{Ledger, LedgerError, SagaRow};
use serde_json::Value;
use spec::SagaId;

use crate::log::{Illegal, LogEvent, Position, Shape, next};
use crate::step::{Cause, Failure, StepError};

/// A saga as its log tells it. Both a live run and a replay take their entries through [`History::take`].
pub(crate) struct History {
    pub(crate) shape: Shape,
    pub(crate) position: Position,
    /// The index of the next entry.
    pub(crate) index: u64,
    /// The state of the last entry that has one.
    pub(crate) state: Option<Value>,
    /// Why the saga turned around: the last failure on the way forward.
    pub(crate) failure: Option<Failure>,
    /// The last failure in either direction.
    pub(crate) last_failure: Option<Failure>,
}

/// One entry as it was read back.
pub(crate) struct Entry {
    pub(crate) at_ms: i64,
    pub(crate) event: LogEvent,
}

/// Why a stored saga cannot be read: the ledger could not be reached, or what is in it makes no sense.
pub(crate) enum Unread {
    Ledger(LedgerError),
    Damaged(Failure),
}

impl History {
    pub(crate) fn new(shape: Shape) -> Self {
        let position = shape.start();
        Self { shape, position, index: 0, state: None, failure: None, last_failure: None }
    }

    /// Takes the next entry, if it may come next.
    pub(crate) fn take(&mut self, event: &LogEvent) -> Result<(), Illegal> {
        self.position = next(&self.shape, self.position, event)?;
        self.index += 1;
        self.state = event.state().cloned().or_else(|| self.state.take());
        if let Some(error) = event.error() {
            self.last_failure = Some(error.clone());
        }
        if let LogEvent::Failed { error, .. } = event {
            self.failure = Some(error.clone());
        }
        Ok(())
    }

    /// The name of the step that is being done or undone, or at which it ended.
    pub(crate) fn step(&self) -> &str {
        match self.position {
            Position::Ready { step, .. }
            | Position::Running { step, .. }
            | Position::Unwinding { step, .. }
            | Position::Undoing { step, .. } => self.shape.name(step),
            Position::Undone { failed } => self.shape.name(failed),
            Position::Done => self.shape.name(self.shape.steps.len().saturating_sub(1)),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.position, Position::Done | Position::Undone { .. })
    }
}

/// Reads the log of a saga back, entry by entry, and replays it.
pub(crate) fn read(ledger: &Ledger, row: &SagaRow) -> Result<(History, Vec<Entry>), Unread> {
    let entries = entries(ledger, &row.id)?;
    if let Some(damage) = &row.damage {
        return Err(damaged("the stored saga is damaged", damage));
    }
    let shape = serde_json::from_value(row.steps.clone())
        .map_err(|error| damaged("the stored steps cannot be read", &error.to_string()))?;
    let mut history = History::new(shape);
    for entry in &entries {
        history
            .take(&entry.event)
            .map_err(|illegal| damaged(format!("log entry {} makes no sense", history.index), &illegal.to_string()))?;
    }
    Ok((history, entries))
}

fn entries(ledger: &Ledger, id: &SagaId) -> Result<Vec<Entry>, Unread> {
    let rows = ledger.saga_events(id).map_err(|error| match error {
        LedgerError::Decode { .. } => damaged("the log cannot be read", &chain(&error)),
        other => Unread::Ledger(other),
    })?;
    rows.into_iter()
        .zip(0..)
        .map(|(row, index)| {
            if row.index != index {
                return Err(damaged("the log has a gap", &format!("entry {index} is missing")));
            }
            let event = serde_json::from_value(row.event)
                .map_err(|error| damaged(format!("log entry {index} cannot be read"), &error.to_string()))?;
            Ok(Entry { at_ms: row.at_ms, event })
        })
        .collect()
}

/// A failure that no step caused: the cause is only words.
pub(crate) fn unreadable(message: impl Into<String>, cause: &str) -> Failure {
    let mut failure = Failure::from(StepError::because(message));
    failure.source = Some(Box::new(Cause { message: cause.to_owned(), source: None }));
    failure
}

fn damaged(message: impl Into<String>, cause: &str) -> Unread {
    Unread::Damaged(unreadable(message, cause))
}

fn chain(error: &LedgerError) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
