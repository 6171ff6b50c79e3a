//! What a saga is made of: steps, each with its way back.

use std::error::Error;

use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Anything that can be a cause.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A long operation: a line of steps over a world, with parameters that never change and a state that every step may.
pub trait Saga: Send + Sync + Sized + 'static {
    /// What the steps may touch. Keep it as narrow as possible: this is all that a crash can leave half done.
    type World: Send + Sync;
    /// What was asked for. Decided before the saga is created, and stored with it.
    type Params: Serialize + DeserializeOwned + Clone + Send + Sync;
    /// What was found out on the way. Stored after every step.
    type State: Serialize + DeserializeOwned + Default + Clone + Send + Sync;
    /// The name of this kind in the ledger. Never reuse or change one.
    const KIND: &'static str;
    /// The steps in order. A pure function of the params: a saga that is resumed gets its steps from here again.
    fn steps(params: &Self::Params) -> Vec<Step<Self>>;
}

/// What a step does, or undoes.
pub type Action<S> = Box<
    dyn for<'a> Fn(
            &'a <S as Saga>::World,
            &'a <S as Saga>::Params,
            &'a mut <S as Saga>::State,
        ) -> BoxFuture<'a, Result<(), StepError>>
        + Send
        + Sync,
>;

/// One step. It must say how it is undone, or why that needs nothing.
pub struct Step<S: Saga> {
    pub(crate) name: String,
    pub(crate) run: Action<S>,
    pub(crate) undo: Undo<S>,
    pub(crate) commits: bool,
}

pub(crate) enum Undo<S: Saga> {
    Unsaid,
    Nothing(&'static str),
    Action(Action<S>),
}

/// Why a step did not succeed.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StepError {
    pub message: String,
    #[source]
    pub source: Option<BoxError>,
    pub kind: StepErrorKind,
    /// Whatever helps a person: the last log lines, the container that was kept.
    pub detail: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepErrorKind {
    /// It was tried and did not work.
    Failed,
    /// Somebody asked to stop.
    Aborted,
}

/// A [`StepError`] as it is kept in the log, with its causes as words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub message: String,
    pub kind: StepErrorKind,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub detail: Value,
    #[source]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Box<Cause>>,
}

/// One link of the chain of causes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Cause {
    pub message: String,
    #[source]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Box<Cause>>,
}

// === impl Step ===

impl<S: Saga> Step<S> {
    /// A step and what it does. `run` may be called again after a crash, with the state from before the step:
    /// it must find what is already done and go on from there.
    pub fn new<F>(name: impl Into<String>, run: F) -> Self
    where
        F: for<'a> Fn(&'a S::World, &'a S::Params, &'a mut S::State) -> BoxFuture<'a, Result<(), StepError>>
            + Send
            + Sync
            + 'static,
    {
        Self { name: name.into(), run: Box::new(run), undo: Undo::Unsaid, commits: false }
    }

    /// How the step is undone. It may be called when the step did all of its work, some of it or none, and more than once.
    #[must_use]
    pub fn undo<F>(mut self, undo: F) -> Self
    where
        F: for<'a> Fn(&'a S::World, &'a S::Params, &'a mut S::State) -> BoxFuture<'a, Result<(), StepError>>
            + Send
            + Sync
            + 'static,
    {
        self.undo = Undo::Action(Box::new(undo));
        self
    }

    /// Nothing is left behind by this step, because of `reason`.
    #[must_use]
    pub fn no_undo(mut self, reason: &'static str) -> Self {
        self.undo = Undo::Nothing(reason);
        self
    }

    /// Once this step has succeeded the saga only goes forward: nothing before it is undone any more.
    /// If the step itself fails it is undone like any other, so it says how, too.
    #[must_use]
    pub fn commits(mut self) -> Self {
        self.commits = true;
        self
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why nothing has to be undone, where a step says so. For plans and documentation.
    pub fn no_undo_reason(&self) -> Option<&'static str> {
        match self.undo {
            Undo::Nothing(reason) => Some(reason),
            Undo::Unsaid | Undo::Action(_) => None,
        }
    }
}

// === impl StepError ===

impl StepError {
    /// A step that failed because of an error below it. `what` says what was being done, and not why it failed.
    pub fn failed(what: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self { source: Some(source.into()), ..Self::because(what) }
    }

    /// A step that failed for a reason it found itself.
    pub fn because(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None, kind: StepErrorKind::Failed, detail: Value::Null }
    }

    /// A step that stopped because it was asked to.
    pub fn aborted(message: impl Into<String>) -> Self {
        Self { kind: StepErrorKind::Aborted, ..Self::because(message) }
    }

    /// Adds what helps a person.
    #[must_use]
    pub fn with_detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }
}

// === impl Failure ===

impl Failure {
    pub fn is_abort(&self) -> bool {
        self.kind == StepErrorKind::Aborted
    }
}

impl From<StepError> for Failure {
    fn from(error: StepError) -> Self {
        let source = error.source.as_deref().map(|source| Box::new(Cause::of(source)));
        Self { message: error.message, kind: error.kind, detail: error.detail, source }
    }
}

impl Cause {
    /// The words of an error and of everything below it.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        Self { message: error.to_string(), source: error.source().map(|source| Box::new(Self::of(source))) }
    }
}
