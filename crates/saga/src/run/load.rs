//! Reading a saga back from the ledger, or finding out why it cannot be run.

use std::time::Duration;

use ledger::{SagaOutcome, SagaRow};
use spec::SagaId;

use super::Run;
use crate::error::SagaError;
use crate::history::{self, History, Unread, unreadable};
use crate::log::{Position, Shape};
use crate::runner::{Outcome, Runner, StuckReason};
use crate::step::{Failure, Saga, StepError};

type Ended<S> = Box<Outcome<<S as Saga>::State>>;

impl<'r, S: Saga> Run<'r, S> {
    /// Reads a saga back. What has ended already, or cannot be read, comes back as its outcome.
    pub(crate) fn load(runner: &'r Runner, id: &SagaId, attempts: u32) -> Result<Self, Ended<S>> {
        let stopped = |error| Box::new(Outcome::Stopped { error });
        let fault = |source| stopped(SagaError::Ledger { operation: "read", id: id.clone(), source: Box::new(source) });
        let row =
            runner.ledger.saga(id).map_err(fault)?.ok_or_else(|| stopped(SagaError::NotFound { id: id.clone() }))?;
        if row.kind != S::KIND {
            return Err(stopped(SagaError::WrongKind { id: id.clone(), found: row.kind, expected: S::KIND }));
        }
        let history = match history::read(&runner.ledger, &row) {
            Ok((history, _)) => history,
            Err(Unread::Ledger(source)) => return Err(fault(source)),
            Err(Unread::Damaged(error)) => {
                return Err(Box::new(stuck(runner, &row, None, String::new(), error)));
            }
        };
        let step = history.step().to_owned();
        match Self::assemble(runner, &row, history, attempts) {
            Ok(run) => run.unless_ended(&row),
            Err(error) => Err(Box::new(stuck(runner, &row, None, step, error))),
        }
    }

    /// Turns what is stored into types again. What does not fit is a reason to be stuck: guessing could do harm.
    fn assemble(runner: &'r Runner, row: &SagaRow, history: History, attempts: u32) -> Result<Self, Failure> {
        let params: S::Params = serde_json::from_value(row.params.clone()).map_err(|error| {
            unreadable(
                format!("the params of this `{}` do not fit this version of the program", S::KIND),
                &error.to_string(),
            )
        })?;
        let state = match &history.state {
            None => S::State::default(),
            Some(state) => serde_json::from_value(state.clone()).map_err(|error| {
                unreadable(
                    format!("the state of this `{}` does not fit this version of the program", S::KIND),
                    &error.to_string(),
                )
            })?,
        };
        let steps = S::steps(&params);
        let shape = Shape::of(&steps);
        if shape != history.shape {
            let differ = format!("it was created with {}, this version has {}", history.shape, shape);
            return Err(unreadable(
                format!("the steps of this `{}` are those of another version of the program", S::KIND),
                &differ,
            ));
        }
        let (id, since) = (row.id.clone(), Duration::ZERO);
        Ok(Self { runner, id, steps, params, state, history, attempts, since })
    }

    fn unless_ended(self, row: &SagaRow) -> Result<Self, Ended<S>> {
        match row.outcome {
            None => Ok(self),
            Some(SagaOutcome::Stuck) => {
                let kept = row.reason.clone().and_then(|reason| serde_json::from_value::<StuckReason>(reason).ok());
                let step = self.history.step().to_owned();
                let kept = kept.unwrap_or_else(|| StuckReason {
                    step,
                    error: StepError::because("the reason was not kept").into(),
                });
                Err(Box::new(Outcome::Stuck { state: Some(self.state), step: kept.step, error: kept.error }))
            }
            Some(SagaOutcome::Done | SagaOutcome::Undone) => Err(Box::new(self.ending())),
        }
    }

    /// Counts attempts from here.
    pub(crate) fn with_another_round(mut self) -> Self {
        if let Position::Ready { failures, .. } | Position::Unwinding { failures, .. } = self.history.position {
            self.attempts = self.attempts.saturating_add(failures);
        }
        self
    }
}

/// Marks a saga that cannot even be loaded. One that ended before stays as it ended.
fn stuck<T>(runner: &Runner, row: &SagaRow, state: Option<T>, step: String, error: Failure) -> Outcome<T> {
    let reason = StuckReason { step, error };
    if row.outcome.is_none()
        && let Err(error) = runner.set_stuck(&row.id, &reason)
    {
        return Outcome::Stopped { error };
    }
    Outcome::Stuck { state, step: reason.step, error: reason.error }
}
