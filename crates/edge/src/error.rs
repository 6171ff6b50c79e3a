//! What can go wrong, by operation and thing.

use std::net::SocketAddr;
use std::path::PathBuf;

/// The data plane could not start, or could not take a snapshot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EdgeError {
    /// The state folder cannot be used.
    #[error("could not use the state folder `{}`", path.display())]
    StateFolder {
        path: PathBuf,
        #[source]
        source: machine::files::FilesError,
    },
    /// The control socket cannot be opened.
    #[error("could not open the control socket `{}`", path.display())]
    ControlSocket {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Another edge answers on the control socket.
    #[error("another edge already answers on `{}`", path.display())]
    AlreadyRunning { path: PathBuf },
    /// A listener's address cannot be bound.
    #[error("could not listen on {bind}")]
    Listen {
        bind: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    /// The address is in another network namespace, and nobody has given the socket.
    #[error("the socket for {bind} has not been given by the agent yet")]
    NotGiven { bind: SocketAddr },
    /// The crypto library gives no keys.
    #[error("could not make TLS ready")]
    Tls {
        #[source]
        source: rustls::Error,
    },
    /// Another edge serves in this one's place; asked again, the question reaches that one.
    #[error("another edge has taken over; ask again")]
    Retired,
    /// An edge could not be taken over from; it serves on.
    #[error("could not take over from the running edge")]
    Takeover(#[from] crate::takeover::TakeoverError),
    /// The snapshot could not be saved, so it was not served either.
    #[error("could not save the snapshot of epoch {epoch}")]
    Save {
        epoch: u64,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What the snapshot names could not be looked at.
    #[error("could not prepare the snapshot of epoch {epoch}")]
    Prepare {
        epoch: u64,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The snapshot is refused; the current one stays.
    #[error("refused the snapshot: {0}")]
    Refused(#[from] Refusal),
}

/// Why a snapshot was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Its shape is newer than this edge.
    #[error("its schema is {found}, this edge knows {known}")]
    NewerSchema { found: u32, known: u32 },
    /// Its contents do not match its hash.
    #[error("its hash does not match its contents")]
    WrongHash,
    /// It is older than what is served.
    #[error("its epoch {offered} is lower than the current {current}")]
    OlderEpoch { offered: u64, current: u64 },
    /// Two different snapshots claim one epoch.
    #[error("epoch {epoch} is already served with other contents")]
    EpochTaken { epoch: u64 },
}

/// A call over the control socket failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// Nobody answers on the socket.
    #[error("could not reach the edge on `{}`", path.display())]
    NotReachable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The connection broke inside a call.
    #[error("the call {call} broke off")]
    Broken {
        call: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The edge said no.
    #[error("the edge refused {call} ({status}): {message}")]
    Refused { call: String, status: u16, message: String },
    /// The edge answered something this version does not understand.
    #[error("could not understand the edge's answer to {call}")]
    Undecodable {
        call: String,
        #[source]
        source: serde_json::Error,
    },
    /// The edge kept silent.
    #[error("the edge did not answer {call} in time")]
    Silent { call: String },
}

impl ControlError {
    /// Whether the edge answered and said no to the epoch (an older one, or one taken by other contents).
    pub fn is_epoch_conflict(&self) -> bool {
        matches!(self, ControlError::Refused { status: 409, .. })
    }
}
