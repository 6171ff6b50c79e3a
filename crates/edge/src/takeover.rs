//! A new edge process takes over from the old one without a request failing.
//!
//! The old edge offers its sockets on `takeover.sock` in its state folder.
//! A successor takes copies of them, serves the same snapshot, and says that it serves; only then does the old one
//! stop accepting, finish what it has begun, and leave.
//! The listening sockets are the same ones all the time, so nothing that waits in their queues is lost.
//! A successor that fails, dies or is too slow before that word changes nothing: the old one never stopped.

mod ask;
mod drain;
mod follow;
mod message;
mod offer;
pub(crate) mod passing;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

pub use ask::ask;
pub(crate) use ask::confirm;
pub(crate) use drain::{cut_tunnels, drain};
pub(crate) use follow::Watch;
pub(crate) use offer::{Handed, Offer, offer};
use tokio_util::sync::CancellationToken;

use crate::snapshot::Listener;

/// The socket's name in the state folder.
const SOCKET: &str = "takeover.sock";

/// Where a successor asks.
pub(crate) fn socket(state_dir: &Path) -> PathBuf {
    state_dir.join(SOCKET)
}

/// A process's place in the line of edges that serve one state folder.
#[derive(Debug, Default)]
pub struct Line {
    /// Where sockets in other network namespaces are asked for ([`crate::lend`]); `None`: nowhere.
    pub lender: Option<PathBuf>,
    /// What the edge before left us; `None` starts afresh.
    pub inherited: Option<Inheritance>,
    /// What we hold that must pass from edge to edge without a gap, such as the lock on the state folder.
    pub kept: Vec<OwnedFd>,
    /// Cancelled once this process serves and nobody else does.
    pub serving: CancellationToken,
    /// Cancelled once a successor serves, which has copies of all that was kept: nothing of it may be held on to, or it
    /// would seem taken should the successor die.
    pub succeeded: CancellationToken,
}

/// Copies of an edge's sockets, received and not used yet; dropping it leaves that edge as it was.
#[derive(Debug)]
pub struct Inheritance {
    pub(crate) stream: UnixStream,
    pub(crate) control: OwnedFd,
    pub(crate) listeners: Vec<Heirloom>,
    pub(crate) hash: String,
    /// What the old edge kept ([`Line::kept`]), in the same order; an open file's lock is shared by its copies.
    pub kept: Vec<OwnedFd>,
}

/// One listening socket.
#[derive(Debug)]
pub(crate) struct Heirloom {
    pub(crate) name: String,
    pub(crate) bind: SocketAddr,
    pub(crate) namespace: Option<String>,
    pub(crate) socket: OwnedFd,
}

impl Heirloom {
    /// Whether it is what a snapshot asks for.
    pub(crate) fn is(&self, wanted: &Listener) -> bool {
        self.bind == wanted.bind
            && self.namespace == wanted.namespace
            && (wanted.bind.port() != 0 || self.name == wanted.name)
    }
}

/// Why a takeover did not come about; the old edge, if there is one, serves on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TakeoverError {
    /// No edge offers its sockets.
    #[error("no edge to take over from answers on `{}`", path.display())]
    NobodyThere {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The conversation broke.
    #[error("the takeover broke off")]
    Broken(#[source] std::io::Error),
    /// The old edge said something this version does not understand.
    #[error("the old edge's offer cannot be understood: {0}")]
    Unknown(String),
    /// The state folder holds another snapshot than the old edge serves.
    #[error("the old edge serves another snapshot than the state folder holds")]
    OtherSnapshot,
    /// Sockets that were handed over could not be used.
    #[error("the listener `{name}` could not be taken over: {reason}")]
    Listener { name: String, reason: String },
}
