//! The control socket: how the agent tells the edge what to serve, and asks what it does.
//!
//! HTTP/1.1 with JSON over a unix socket of mode 0600, so that a person with `curl --unix-socket` can use it too.

mod client;
mod counters;
pub(crate) mod counting;
pub(crate) mod figures;
mod messages;
pub(crate) mod server;
pub(crate) mod status;

pub use client::Control;
pub use counters::{Counters, ReleaseCounters, RouteCounters};
pub use figures::{Figures, FiguresRequest, PoolFigures, ReleaseFigures};
pub use messages::{
    Applied, DrainRequest, Drained, DrainingPool, ListenerState, PoolState, Source, Status, TargetCondition,
    TargetState,
};
