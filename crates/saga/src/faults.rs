//! Who may look over the runner's shoulder, stop it, or trip it up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use spec::SagaId;

use crate::log::LogEvent;
use crate::step::{BoxError, StepError};

/// Hears every log entry after it is durable. It must be quick, and cannot stop the saga.
pub trait Observer: Send + Sync {
    /// `elapsed` counts from the start of the step or of its undo; it is zero for the start itself.
    fn event(&self, saga: &SagaId, index: u64, event: &LogEvent, elapsed: Duration);
}

/// Trips the runner up, for tests. Asked after every log entry, once the entry is durable.
pub trait Faults: Send + Sync {
    fn at(&self, index: u64, event: &LogEvent) -> Inject;
}

/// What goes wrong. `Fail`, `Repeat` and `CrashBeforeResult` mean something only after `Started` and `UndoStarted`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inject {
    None,
    /// The process dies here: nothing further runs or is written.
    Crash,
    /// The step (or undo) does its work, and the process dies before the log says so.
    CrashBeforeResult,
    /// The step (or undo) fails instead of running.
    Fail,
    /// The step (or undo) runs twice, as it would after a crash before its result was written.
    Repeat,
}

/// Nothing goes wrong.
#[derive(Debug, Clone, Copy)]
pub struct NoFaults;

/// Asked before every step and undo. An error means that the right to go on is lost.
pub type Fence = Arc<dyn Fn() -> Result<(), BoxError> + Send + Sync>;

/// Awaited before something is tried again that has failed, for as long as the world as a whole is out of reach: what
/// could not even be tried does not use up the attempts.
pub type Ready = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// A request to stop. Clones share it. It is heard between steps, and by steps that ask.
/// After a step that commits it is ignored.
#[derive(Debug, Clone, Default)]
pub struct Abort(Arc<AtomicBool>);

// === impl Faults ===

impl Faults for NoFaults {
    fn at(&self, _: u64, _: &LogEvent) -> Inject {
        Inject::None
    }
}

impl<F: Fn(u64, &LogEvent) -> Inject + Send + Sync> Faults for F {
    fn at(&self, index: u64, event: &LogEvent) -> Inject {
        self(index, event)
    }
}

// === impl Abort ===

impl Abort {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn request(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// For use inside a long step: an error to return when stopping was asked for.
    pub fn check(&self) -> Result<(), StepError> {
        if self.is_requested() { Err(StepError::aborted("stopped on request")) } else { Ok(()) }
    }
}
