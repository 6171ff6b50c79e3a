//! The words of a takeover.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// A successor that knows another version is refused by its own reading; the old edge serves on.
pub(super) const VERSION: u32 = 1;

/// The successor serves; sent once everything is open.
pub(super) const SERVING: u8 = b's';
/// The old edge's answer, after which it accepts nothing any more.
pub(super) const YOURS: u8 = b'y';

/// The successor has saved a snapshot that is to be followed.
pub(super) const FOLLOW: u8 = b'f';
/// It is.
pub(super) const FOLLOWED: u8 = b'd';

/// What comes with the sockets: the control socket first, then the listeners, then what is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) version: u32,
    /// The snapshot that is served.
    pub(super) hash: String,
    pub(super) listeners: Vec<Named>,
    pub(super) kept: usize,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) bind: SocketAddr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<String>,
}
