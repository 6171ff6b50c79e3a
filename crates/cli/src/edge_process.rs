//! The data plane's process: the lock, the log, the edge.

use deploy::Ending;
use machine::files::{Lock, Root};

use crate::errors::{Failure, failed};
use crate::layout::{EDGE_LOCK, Layout};
use crate::supervise::stop_signal;

pub async fn run(layout: &Layout) -> Result<u8, Failure> {
    let root = Root::open(&layout.root).map_err(failed("open the state folder"))?;
    let _lock = match root.lock(EDGE_LOCK).map_err(failed("take the edge's lock"))? {
        Lock::Acquired(lock) => lock,
        Lock::Held { .. } => {
            return Err(Failure::new("an edge is already running for this state folder", Ending::Refused));
        }
    };
    let config = edge::EdgeConfig { control_socket: layout.edge_socket(), state_dir: layout.edge_state() };
    edge::serve(config, stop_signal()).await.map_err(failed("serve as the edge"))?;
    Ok(0)
}
