//! What keeps a saga from being run at all. What goes wrong inside a step is a [`crate::Failure`] instead.

use ledger::LedgerError;
use spec::SagaId;

use crate::step::BoxError;

pub type Result<T, E = SagaError> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum SagaError {
    #[error("could not {operation} the saga `{id}`")]
    Ledger {
        operation: &'static str,
        id: SagaId,
        #[source]
        source: Box<LedgerError>,
    },
    #[error("could not list unfinished sagas")]
    List {
        #[source]
        source: Box<LedgerError>,
    },
    #[error("there is no saga `{id}`")]
    NotFound { id: SagaId },
    #[error("the saga `{id}` is of kind `{found}`, not `{expected}`")]
    WrongKind { id: SagaId, found: String, expected: &'static str },
    #[error("the saga `{id}` is not stuck")]
    NotStuck { id: SagaId },
    /// A mistake in the program: found when the saga is created, before anything runs.
    #[error("the steps of `{kind}` are not sound: {problem}")]
    Steps { kind: &'static str, problem: String },
    #[error("could not write the params of `{kind}` as JSON")]
    Params {
        kind: &'static str,
        #[source]
        source: serde_json::Error,
    },
    /// Another holder has the lease now. The log stands as it is; the new holder goes on from it.
    #[error("the lease of the saga `{id}` is lost in front of `{step}`")]
    FenceLost {
        id: SagaId,
        step: String,
        #[source]
        source: BoxError,
    },
}
