//! saga

mod error;
mod faults;
mod history;
mod log;
mod run;
mod runner;
mod status;
mod step;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

pub use error::{Result, SagaError};
pub use faults::{Abort, Faults, Fence, Inject, NoFaults, Observer};
pub use futures_util::future::BoxFuture;
pub use log::{Illegal, LogEvent, Position, Shape, StepShape, next};
pub use runner::{Outcome, Retries, Runner};
pub use status::{Phase, SagaStatus, StepState, StepStatus};
pub use step::{Action, BoxError, Cause, Failure, Saga, Step, StepError, StepErrorKind};
