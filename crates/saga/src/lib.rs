//! Sagas: long operations that are never half done.
//!
//! A saga is a line of [`Step`]s. Each says what it does and how that is undone, or why it needs no undo.
//! [`Runner::run`] walks along the line; when a step fails it walks back and undoes; when the process dies, the next one
//! reads the log and goes on in the same direction. The crate knows no domain: it sees names, params and states as JSON.
//!
//! ```text
//!   forward   Ready(0) -> Running(0) -> Ready(1) -> Running(1) -> ... -> Done
//!                            | failed                  | failed
//!   back       Undone <- Undoing(0) <- Unwinding(0) <- Undoing(1) <- Unwinding(1)
//!
//!   behind a step that commits:  Running(n) --failed--> Ready(n), after a pause; too often: stuck
//!   an undo that fails:          Undoing(n) --failed--> Unwinding(n), after a pause; too often: stuck
//! ```
//!
//! # Why it is correct
//!
//! The log is an *intent log* in the ledger, one durable row per [`LogEvent`]. Four rules carry everything.
//!
//! 1. **Intent before act, result after act.** `Started` is durable before a step touches the world, `Succeeded` or `Failed`
//!    before anything builds on it. So at every instant at most one action is in doubt, and the log names it.
//! 2. **What is in doubt is done again.** `Started` without a result means that the step did all, some or none of its work.
//!    It is run again, with the state from before it: a step must find what is already there. The same holds for undos.
//!    A step that fails is undone as well, because failing half-way is the normal way to fail. So an undo meets all, some
//!    or none of the work, and must cope with each.
//! 3. **The direction is in the log.** The position is a pure function of the log, [`next`], and the only thing that decides
//!    what to do. A live run and a replay take entries through the same function, so recovery is not a second program.
//!    A failure that is logged turns the saga around for good, even if the step would work by now.
//! 4. **The end is one commit.** The last entry and the outcome are written in one transaction.
//!
//! A step that [`commits`](Step::commits) closes the way back: behind it, failures are retried a few times with growing
//! pauses, and not before the world is in reach at all ([`Ready`]). A saga that can go neither forward nor back is *stuck*: a state of its own, never resumed by itself, with the
//! step and the reason, until a person calls [`Runner::retry_stuck`]. Params, a state, steps or a log that this version of
//! the program cannot read make it stuck, too: guessing could do harm, and the version that can read them may come back.
//!
//! Two processes cannot run one saga: each log index is written once, so the second is stopped at its next entry; and a
//! [`Fence`] is asked before every step, so whoever lost the lease stops without unwinding what the new holder works on.
//!
//! What is *not* promised: that a step runs only once, that an aborted saga stops inside a step that does not ask its
//! [`Abort`], and that an undo brings back what others changed meanwhile.
//!
//! The module `testing` (feature `testing`) turns the rules into four tests that every saga calls.
//! The vocabulary is that of Oxide's steno; this is a line and not a graph, and its states are types.

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
pub use faults::{Abort, Faults, Fence, Inject, NoFaults, Observer, Ready};
pub use futures_util::future::BoxFuture;
pub use log::{Illegal, LogEvent, Position, Shape, StepShape, next};
pub use runner::{Outcome, Retries, Runner};
pub use status::{Phase, SagaStatus, StepState, StepStatus};
pub use step::{Action, BoxError, Cause, Failure, Saga, Step, StepError, StepErrorKind};
