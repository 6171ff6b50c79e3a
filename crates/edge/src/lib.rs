//! The data plane: the reverse proxy that owns the public ports.
//!
//! Traffic comes in through listeners (HTTP/1.1, and HTTP/2 by prior knowledge), finds its way by host and path
//! in one compiled table, and goes to a *generation*: one release of a pool, with its targets, its idle
//! connections and its count of what is in flight.
//!
//! The agent says what to serve by pushing a [`Snapshot`] over the control socket.
//! The edge checks it (schema, hash, epoch), saves it, swaps one pointer, and acknowledges.
//! From the acknowledgement on, every new request goes by the new table; a request counts itself into its
//! generation and then looks again whether the table is still the same, so that none slips between a switch and
//! the drain that follows it.
//! What the old generations had begun, they finish; [`Control::drained`] waits for that, and only then is a
//! container stopped.
//! A release that comes back while it drains is simply taken back.
//!
//! A connection to a target is driven by the request that uses it, not by a task of its own: no task switch, no
//! wake-up between the two halves of a request.
//! Time limits are kept by one sweeper over plain stamps, not by a timer per request.
//! A request is tried twice only when that cannot do anything twice.
//!
//! The edge needs nobody: it starts from its own file, serves the last good snapshot while the agent is away, and
//! falls back to the snapshot before when a file cannot be read, and says so.
//!
//! What it never does: start or stop containers, decide which release is good, trust a stranger's forwarding
//! headers, repeat a request that may have had an effect, or take all listeners down because one cannot open.

mod apply;
mod control;
mod downstream;
mod edge;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod lend;
mod limits;
pub mod local_ca;
mod metrics;
mod networks;
mod persist;
mod protect;
mod proxy;
mod roster;
mod seen;
mod serve;
pub mod snapshot;
mod sweep;
mod table;
pub mod takeover;
mod tcp;
mod tls;
mod upstream;
mod uptime;

pub use control::{
    Applied, Control, Counters, DrainRequest, Drained, DrainingPool, Figures, FiguresRequest, ListenerState,
    PoolFigures, PoolState, ReleaseCounters, ReleaseFigures, RouteCounters, Source, Status, TargetCondition,
    TargetState,
};
pub use error::{ControlError, EdgeError, Refusal};
pub use limits::Limits;
pub use serve::{EdgeConfig, serve, serve_in_line, serve_with};
pub use snapshot::{Listener, Pool, Route, Scope, Snapshot, TcpRoute};
