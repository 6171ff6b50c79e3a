//! One run of one saga: the loop that asks the position what to do next, and the order in which things become durable.

mod load;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use ledger::{LedgerError, SagaOutcome};
use serde_json::Value;
use spec::SagaId;

use crate::error::SagaError;
use crate::faults::{Abort, Inject};
use crate::history::History;
use crate::log::{LogEvent, Position};
use crate::runner::{Outcome, Runner, StuckReason};
use crate::step::{Failure, Saga, Step, StepError, Undo};

pub(crate) struct Run<'r, S: Saga> {
    runner: &'r Runner,
    id: SagaId,
    steps: Vec<Step<S>>,
    params: S::Params,
    /// The state of the last durable entry. An action works on a copy, so that memory and log never differ.
    state: S::State,
    history: History,
    /// Failures of one step or undo after which the saga is stuck.
    attempts: u32,
    /// When the step or undo that runs now was started, on the monotonic clock.
    since: Duration,
}

/// Why the loop ended early.
enum Stop {
    Crashed,
    Stuck(Failure),
    Error(SagaError),
}

#[derive(Clone, Copy)]
enum Way {
    Forward,
    Back,
}

// === impl Run: running ===

impl<S: Saga> Run<'_, S> {
    pub(crate) async fn drive(mut self, world: &S::World, abort: &Abort) -> Outcome<S::State> {
        while !self.history.is_over() {
            match self.advance(world, abort).await {
                Ok(()) => {}
                Err(Stop::Crashed) => return Outcome::Crashed,
                Err(Stop::Error(error)) => return Outcome::Stopped { error },
                Err(Stop::Stuck(error)) => return self.stuck(error),
            }
        }
        // A saga without steps ends without an entry; every other one was finished together with its last.
        if self.history.index == 0
            && let Err(source) = self.runner.ledger.finish_saga(&self.id, self.end(), None)
        {
            return Outcome::Stopped {
                error: SagaError::Ledger { operation: "finish", id: self.id, source: Box::new(source) },
            };
        }
        self.ending()
    }

    /// One step forward or back, as the position says.
    async fn advance(&mut self, world: &S::World, abort: &Abort) -> Result<(), Stop> {
        match self.history.position {
            Position::Ready { step, .. } | Position::Running { step, .. } if self.heeds(abort, step) => {
                self.turn_around(step)
            }
            Position::Ready { step, failures } => {
                self.wait_for_another_attempt(failures).await?;
                self.attempt(world, Way::Forward, step).await
            }
            Position::Unwinding { step, failures, .. } => {
                self.wait_for_another_attempt(failures).await?;
                self.attempt(world, Way::Back, step).await
            }
            // These two are found only after a crash: what was under way is done again.
            Position::Running { step, .. } => self.attempt(world, Way::Forward, step).await,
            Position::Undoing { step, .. } => self.attempt(world, Way::Back, step).await,
            Position::Done | Position::Undone { .. } => Ok(()),
        }
    }

    /// Intent, act, result: each written before the next begins.
    async fn attempt(&mut self, world: &S::World, way: Way, step: usize) -> Result<(), Stop> {
        self.pass_the_fence()?;
        let name = self.history.shape.name(step).to_owned();
        let mut state = self.state.clone();
        let result = match self.write(way.intent(name.clone()))? {
            Inject::Crash => return Err(Stop::Crashed),
            Inject::Fail => Err(StepError::because("a fault was injected")),
            Inject::CrashBeforeResult => {
                let _lost = self.act(world, way, step, &mut state).await;
                return Err(Stop::Crashed);
            }
            Inject::Repeat => {
                let _lost = self.act(world, way, step, &mut state.clone()).await;
                self.act(world, way, step, &mut state).await
            }
            Inject::None => self.act(world, way, step, &mut state).await,
        };
        let event = self.result(way, name, result, state);
        self.crash_unless_none(event)
    }

    /// Calls the action. A step that panics has failed; it must not take the other sagas of the process with it.
    async fn act(&self, world: &S::World, way: Way, step: usize, state: &mut S::State) -> Result<(), StepError> {
        let Some(step) = self.steps.get(step) else {
            return Err(StepError::because("there is no such step"));
        };
        let action = match (way, &step.undo) {
            (Way::Forward, _) => &step.run,
            (Way::Back, Undo::Action(undo)) => undo,
            (Way::Back, _) => return Ok(()),
        };
        let running = async { action(world, &self.params, state).await };
        match AssertUnwindSafe(running).catch_unwind().await {
            Ok(result) => result,
            Err(panic) => Err(StepError::because(format!("the step panicked: {}", words(panic.as_ref())))),
        }
    }

    /// The entry for what came of an action, and the state that goes with it.
    fn result(&mut self, way: Way, step: String, result: Result<(), StepError>, state: S::State) -> LogEvent {
        let (result, json) = match serde_json::to_value(&state) {
            Ok(json) => {
                self.state = state;
                (result, json)
            }
            Err(error) => {
                let before =
                    self.history.state.clone().unwrap_or_else(|| serde_json::to_value(&self.state).unwrap_or_default());
                (Err(StepError::failed("could not write the state as JSON", error)), before)
            }
        };
        way.result(step, result, json)
    }

    /// Somebody asked to stop and there is a way back: this step counts as failed.
    fn turn_around(&mut self, step: usize) -> Result<(), Stop> {
        let name = self.history.shape.name(step).to_owned();
        let event = self.result(Way::Forward, name, Err(StepError::aborted("stopped on request")), self.state.clone());
        self.crash_unless_none(event)
    }

    fn heeds(&self, abort: &Abort, step: usize) -> bool {
        abort.is_requested() && !self.history.shape.committed(step)
    }

    async fn wait_for_another_attempt(&self, failures: u32) -> Result<(), Stop> {
        if failures >= self.attempts.max(1) {
            let unknown = || StepError::because("it failed too often").into();
            return Err(Stop::Stuck(self.history.last_failure.clone().unwrap_or_else(unknown)));
        }
        if failures > 0 {
            tokio::time::sleep(self.runner.retries.pause(failures)).await;
            if let Some(ready) = &self.runner.ready {
                ready().await;
            }
        }
        Ok(())
    }

    fn pass_the_fence(&self) -> Result<(), Stop> {
        let Some(fence) = &self.runner.fence else {
            return Ok(());
        };
        let lost = |source| SagaError::FenceLost { id: self.id.clone(), step: self.history.step().to_owned(), source };
        fence().map_err(|source| Stop::Error(lost(source)))
    }
}

// === impl Run: writing ===

impl<S: Saga> Run<'_, S> {
    fn crash_unless_none(&mut self, event: LogEvent) -> Result<(), Stop> {
        match self.write(event)? {
            Inject::Crash => Err(Stop::Crashed),
            _ => Ok(()),
        }
    }

    /// Makes an entry durable, then tells it. The last entry and the outcome are one commit: there is no moment between them.
    fn write(&mut self, event: LogEvent) -> Result<Inject, Stop> {
        let index = self.history.index;
        self.history
            .take(&event)
            .map_err(|illegal| Stop::Stuck(StepError::failed("could not go on", illegal).into()))?;
        self.keep(index, &event).map_err(|source| {
            Stop::Error(SagaError::Ledger {
                operation: "write the log of",
                id: self.id.clone(),
                source: Box::new(source),
            })
        })?;
        Ok(self.tell(index, &event))
    }

    fn keep(&self, index: u64, event: &LogEvent) -> Result<(), LedgerError> {
        let json = serde_json::to_value(event)
            .map_err(|source| LedgerError::Encode { what: "a log entry".to_owned(), source })?;
        self.runner.ledger.transaction(|tx| {
            tx.append_saga_event(&self.id, index, &json)?;
            if self.history.is_over() { tx.finish_saga(&self.id, self.end(), None) } else { Ok(()) }
        })
    }

    fn tell(&mut self, index: u64, event: &LogEvent) -> Inject {
        let now = self.runner.clock.monotonic();
        if event.is_intent() {
            self.since = now;
        }
        let elapsed = now.saturating_sub(self.since);
        for observer in &self.runner.observers {
            observer.event(&self.id, index, event, elapsed);
        }
        self.runner.faults.at(index, event)
    }

    fn end(&self) -> SagaOutcome {
        if self.history.position == Position::Done { SagaOutcome::Done } else { SagaOutcome::Undone }
    }

    fn stuck(self, error: Failure) -> Outcome<S::State> {
        let step = self.history.step().to_owned();
        match self.runner.set_stuck(&self.id, &StuckReason { step: step.clone(), error: error.clone() }) {
            Ok(()) => Outcome::Stuck { state: Some(self.state), step, error },
            Err(error) => Outcome::Stopped { error },
        }
    }

    fn ending(self) -> Outcome<S::State> {
        let failed_step = self.history.step().to_owned();
        match (self.end(), self.history.failure) {
            (SagaOutcome::Undone, Some(error)) => Outcome::Undone { state: self.state, failed_step, error },
            _ => Outcome::Done(self.state),
        }
    }
}

// === impl Way ===

impl Way {
    fn intent(self, step: String) -> LogEvent {
        match self {
            Self::Forward => LogEvent::Started { step },
            Self::Back => LogEvent::UndoStarted { step },
        }
    }

    fn result(self, step: String, result: Result<(), StepError>, state: Value) -> LogEvent {
        match (self, result) {
            (Self::Forward, Ok(())) => LogEvent::Succeeded { step, state },
            (Self::Forward, Err(error)) => LogEvent::Failed { step, error: error.into(), state },
            (Self::Back, Ok(())) => LogEvent::UndoFinished { step, state },
            (Self::Back, Err(error)) => LogEvent::UndoFailed { step, error: error.into(), state },
        }
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
