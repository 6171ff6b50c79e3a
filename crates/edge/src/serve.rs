//! Running the data plane.

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use crate::error::EdgeError;

/// Where the edge keeps its things.
#[derive(Debug, Clone)]
pub struct EdgeConfig {
    /// The unix socket the agent speaks to.
    pub control_socket: PathBuf,
    /// The folder of the persisted snapshot.
    pub state_dir: PathBuf,
}

/// Serves until `shutdown` is cancelled, then drains and returns.
pub async fn serve(config: EdgeConfig, shutdown: CancellationToken) -> Result<(), EdgeError> {
    let _ = config;
    shutdown.cancelled().await;
    Ok(())
}
