//! How a saga is doing, for people: told from its log alone, whatever its kind.

use std::time::Duration;

use ledger::{SagaOutcome, SagaRow};
use serde::Serialize;
use spec::SagaId;

use crate::error::{Result, SagaError};
use crate::history::{self, Entry, History, Unread};
use crate::log::{LogEvent, Position};
use crate::runner::{Runner, StuckReason};
use crate::step::Failure;

#[derive(Debug, Clone, Serialize)]
pub struct SagaStatus {
    pub id: SagaId,
    pub kind: String,
    pub phase: Phase,
    /// The step that is being done or undone, or at which it turned around or got stuck. `None` once it is done.
    pub step: Option<String>,
    pub steps: Vec<StepStatus>,
    /// Why it turned around or got stuck.
    pub error: Option<Failure>,
    pub created_ms: i64,
    pub finished_ms: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    Running,
    Unwinding,
    Done,
    Undone,
    Stuck,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepStatus {
    pub name: String,
    pub state: StepState,
    /// When it was first started, in Unix milliseconds.
    pub started_ms: Option<i64>,
    /// From its first start to its success or failure, by the wall clock; retries and crashes in between count.
    pub took: Option<Duration>,
    /// How often it was started.
    pub starts: u32,
    pub error: Option<Failure>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    Waiting,
    Running,
    Done,
    Failed,
    Undoing,
    Undone,
    UndoFailed,
}

// === impl Runner ===

impl Runner {
    /// How a saga is doing. One whose log makes no sense is told as stuck, with the reason.
    pub fn status(&self, id: &SagaId) -> Result<SagaStatus> {
        let fault = |source| SagaError::Ledger { operation: "read", id: id.clone(), source: Box::new(source) };
        let row = self.ledger.saga(id).map_err(fault)?.ok_or_else(|| SagaError::NotFound { id: id.clone() })?;
        match history::read(&self.ledger, &row) {
            Ok((history, entries)) => Ok(SagaStatus::told(row, &history, &entries)),
            Err(Unread::Damaged(error)) => Ok(SagaStatus::damaged(row, error)),
            Err(Unread::Ledger(source)) => Err(fault(source)),
        }
    }
}

// === impl SagaStatus ===

impl SagaStatus {
    fn told(row: SagaRow, history: &History, entries: &[Entry]) -> Self {
        let stuck = row.reason.and_then(|reason| serde_json::from_value::<StuckReason>(reason).ok());
        let (step, error) = match stuck {
            Some(reason) => (Some(reason.step), Some(reason.error)),
            None => (Some(history.step().to_owned()), history.failure.clone()),
        };
        let phase = phase(row.outcome, history.position);
        let steps = history.shape.steps.iter().map(|step| StepStatus::told(&step.name, entries)).collect();
        let (step, error) = if phase == Phase::Done { (None, None) } else { (step, error) };
        Self {
            id: row.id,
            kind: row.kind,
            phase,
            step,
            steps,
            error,
            created_ms: row.created_ms,
            finished_ms: row.finished_ms,
        }
    }

    fn damaged(row: SagaRow, error: Failure) -> Self {
        let (phase, error) = (Phase::Stuck, Some(error));
        let (created_ms, finished_ms) = (row.created_ms, row.finished_ms);
        Self { id: row.id, kind: row.kind, phase, step: None, steps: Vec::new(), error, created_ms, finished_ms }
    }
}

impl StepStatus {
    fn told(name: &str, entries: &[Entry]) -> Self {
        let waiting = Self {
            name: name.to_owned(),
            state: StepState::Waiting,
            started_ms: None,
            took: None,
            starts: 0,
            error: None,
        };
        entries.iter().filter(|entry| entry.event.step() == name).fold(waiting, Self::after)
    }

    fn after(mut self, entry: &Entry) -> Self {
        self.state = match &entry.event {
            LogEvent::Started { .. } => {
                self.started_ms.get_or_insert(entry.at_ms);
                self.starts += 1;
                StepState::Running
            }
            LogEvent::Succeeded { .. } => StepState::Done,
            LogEvent::Failed { .. } => StepState::Failed,
            LogEvent::UndoStarted { .. } => StepState::Undoing,
            LogEvent::UndoFinished { .. } => StepState::Undone,
            LogEvent::UndoFailed { .. } => StepState::UndoFailed,
        };
        if matches!(self.state, StepState::Done | StepState::Failed) {
            let since = |start: i64| Duration::from_millis(u64::try_from(entry.at_ms - start).unwrap_or(0));
            self.took = self.started_ms.map(since);
        }
        self.error = if self.state == StepState::Done { None } else { entry.event.error().cloned().or(self.error) };
        self
    }
}

fn phase(outcome: Option<SagaOutcome>, position: Position) -> Phase {
    match (outcome, position) {
        (Some(SagaOutcome::Stuck), _) => Phase::Stuck,
        (Some(SagaOutcome::Done), _) | (None, Position::Done) => Phase::Done,
        (Some(SagaOutcome::Undone), _) | (None, Position::Undone { .. }) => Phase::Undone,
        (None, Position::Ready { .. } | Position::Running { .. }) => Phase::Running,
        (None, Position::Unwinding { .. } | Position::Undoing { .. }) => Phase::Unwinding,
    }
}
