//! Creating sagas, and running them to one of their ends.

use std::sync::Arc;
use std::time::Duration;

use ledger::{Ledger, SagaOutcome, SagaRow};
use machine::clock::Clock;
use serde::{Deserialize, Serialize};
use spec::SagaId;

use crate::error::{Result, SagaError};
use crate::faults::{Abort, Faults, Fence, NoFaults, Observer, Ready};
use crate::log::Shape;
use crate::run::Run;
use crate::step::{Failure, Saga, Step, StepError, Undo};

/// Runs sagas over one ledger. Cheap to clone.
#[derive(Clone)]
pub struct Runner {
    pub(crate) ledger: Ledger,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observers: Vec<Arc<dyn Observer>>,
    pub(crate) faults: Arc<dyn Faults>,
    pub(crate) fence: Option<Fence>,
    pub(crate) ready: Option<Ready>,
    pub(crate) retries: Retries,
    lease_token: Option<u64>,
}

/// How often, and after which pause, something is tried again that has no other way out:
/// a step after the commit, and an undo. A step before the commit is never retried here; it unwinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// How often it is tried in all, before the saga is stuck.
    pub attempts: u32,
    /// The first pause; each further one is twice as long.
    pub first: Duration,
    pub longest: Duration,
}

/// How a run ended.
#[derive(Debug)]
pub enum Outcome<T> {
    /// Every step succeeded.
    Done(T),
    /// A step failed, or the saga was aborted (`error.is_abort()`), and the world is as before.
    Undone { state: T, failed_step: String, error: Failure },
    /// Neither forward nor back: a person is needed. The state is missing when it could not be read.
    Stuck { state: Option<T>, step: String, error: Failure },
    /// This run ended, the saga did not: its log stands and a later run goes on from it.
    Stopped { error: SagaError },
    /// A fault was injected. Only in tests.
    Crashed,
}

/// Where and why a saga got stuck, as it is kept in its row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StuckReason {
    pub(crate) step: String,
    pub(crate) error: Failure,
}

// === impl Runner ===

impl Runner {
    pub fn new(ledger: Ledger, clock: Arc<dyn Clock>) -> Self {
        let faults = Arc::new(NoFaults);
        Self {
            ledger,
            clock,
            observers: Vec::new(),
            faults,
            fence: None,
            ready: None,
            retries: Retries::default(),
            lease_token: None,
        }
    }

    /// Adds somebody who hears every log entry.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    #[must_use]
    pub fn faults(mut self, faults: Arc<dyn Faults>) -> Self {
        self.faults = faults;
        self
    }

    /// What is asked before every step and undo. When it refuses, the run stops where it is and unwinds nothing:
    /// somebody else holds the lease by now, and two hands must not work on one world.
    #[must_use]
    pub fn fence(mut self, fence: Fence) -> Self {
        self.fence = Some(fence);
        self
    }

    /// What is awaited before another attempt.
    #[must_use]
    pub fn ready(mut self, ready: Ready) -> Self {
        self.ready = Some(ready);
        self
    }

    /// The fencing token of the lease under which sagas are created, to be kept with them.
    #[must_use]
    pub fn lease_token(mut self, token: u64) -> Self {
        self.lease_token = Some(token);
        self
    }

    #[must_use]
    pub fn retries(mut self, retries: Retries) -> Self {
        self.retries = retries;
        self
    }

    /// Writes a new saga to the ledger. Nothing runs yet; from now on it is unfinished.
    pub fn create<S: Saga>(&self, id: &SagaId, params: &S::Params) -> Result<()> {
        let steps = S::steps(params);
        sound(&steps)?;
        let json = |value| serde_json::to_value(value).map_err(|source| SagaError::Params { kind: S::KIND, source });
        let params = serde_json::to_value(params).map_err(|source| SagaError::Params { kind: S::KIND, source })?;
        let mut row = SagaRow::new(id.clone(), S::KIND, params, json(Shape::of(&steps))?, self.clock.now_ms());
        row.lease_token = self.lease_token;
        self.ledger.create_saga(&row).map_err(|source| SagaError::Ledger {
            operation: "create",
            id: id.clone(),
            source: Box::new(source),
        })
    }

    /// Runs a saga to its end, from wherever its log stands. A finished saga is not run again: its outcome is told.
    ///
    /// Dropping this future is a crash: the log stands, and running it again goes on.
    pub async fn run<S: Saga>(&self, world: &S::World, id: &SagaId, abort: &Abort) -> Outcome<S::State> {
        match Run::<S>::load(self, id, self.retries.attempts) {
            Ok(run) => run.drive(world, abort).await,
            Err(ended) => *ended,
        }
    }

    /// Gives a stuck saga another round of attempts, in the direction in which it got stuck.
    /// For a person who has put right what was in the way.
    pub async fn retry_stuck<S: Saga>(&self, world: &S::World, id: &SagaId, abort: &Abort) -> Outcome<S::State> {
        let reopened = self.ledger.reopen_saga(id);
        match reopened.map_err(|source| SagaError::Ledger {
            operation: "reopen",
            id: id.clone(),
            source: Box::new(source),
        }) {
            Ok(true) => {}
            Ok(false) => {
                return Outcome::Stopped { error: SagaError::NotStuck { id: id.clone() } };
            }
            Err(error) => return Outcome::Stopped { error },
        }
        match Run::<S>::load(self, id, self.retries.attempts) {
            Ok(run) => run.with_another_round().drive(world, abort).await,
            Err(ended) => *ended,
        }
    }

    /// The sagas that have not ended, oldest first: what to resume after a start. Stuck ones are not among them.
    pub fn unfinished(&self) -> Result<Vec<SagaRow>> {
        self.ledger.unfinished_sagas().map_err(|source| SagaError::List { source: Box::new(source) })
    }

    /// Marks an unfinished saga as stuck without running it, such as one of a kind that this program does not know.
    pub fn give_up(&self, id: &SagaId, reason: impl Into<String>) -> Result<()> {
        let step = self.status(id)?.step.unwrap_or_default();
        self.set_stuck(id, &StuckReason { step, error: StepError::because(reason).into() })
    }

    pub(crate) fn set_stuck(&self, id: &SagaId, reason: &StuckReason) -> Result<()> {
        let reason = serde_json::to_value(reason).unwrap_or_default();
        let written = self.ledger.finish_saga(id, SagaOutcome::Stuck, Some(&reason));
        written.map_err(|source| SagaError::Ledger {
            operation: "mark as stuck",
            id: id.clone(),
            source: Box::new(source),
        })
    }
}

impl Default for Retries {
    /// Five attempts, with pauses of 0.5, 1, 2 and 4 seconds.
    fn default() -> Self {
        Self { attempts: 5, first: Duration::from_millis(500), longest: Duration::from_secs(10) }
    }
}

impl Retries {
    /// The pause in front of a further attempt.
    pub(crate) fn pause(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        if failures == 0 { Duration::ZERO } else { self.first.saturating_mul(1 << doublings).min(self.longest) }
    }
}

impl<T> Outcome<T> {
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }

    /// The state, where there is one.
    pub fn state(&self) -> Option<&T> {
        match self {
            Self::Done(state) | Self::Undone { state, .. } => Some(state),
            Self::Stuck { state, .. } => state.as_ref(),
            Self::Stopped { .. } | Self::Crashed => None,
        }
    }
}

/// The mistakes in a list of steps that would show only in the middle of a run.
fn sound<S: Saga>(steps: &[Step<S>]) -> Result<()> {
    let unsound = |problem: String| Err(SagaError::Steps { kind: S::KIND, problem });
    for (place, step) in steps.iter().enumerate() {
        if matches!(step.undo, Undo::Unsaid) {
            return unsound(format!("`{}` says neither how it is undone nor why it needs no undo", step.name));
        }
        if steps.iter().take(place).any(|before| before.name == step.name) {
            return unsound(format!("two steps are called `{}`", step.name));
        }
    }
    Ok(())
}
