//! The data plane.

mod control;
mod error;
mod serve;
pub mod snapshot;

pub use control::{
    Applied, Control, DrainRequest, Drained, DrainingPool, ListenerState, PoolState, Source, Status,
};
pub use error::{ControlError, EdgeError, Refusal};
pub use serve::{EdgeConfig, serve};
pub use snapshot::{Listener, Pool, Route, Scope, Snapshot};
