//! How a connection came in: between which addresses, and over what.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::proxy_protocol::{self, Said};
use crate::networks::Networks;

/// Known before the first request; what comes before HTTP (PROXY protocol, TLS) fills it in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// Who connected: the socket's other side, or whom a PROXY protocol header names.
    pub(crate) peer: SocketAddr,
    /// What it connected to, likewise.
    pub(crate) local: SocketAddr,
    /// A PROXY protocol header named both.
    pub(crate) is_named: bool,
    /// Over TLS.
    pub(crate) is_secure: bool,
    /// The client showed a certificate that the listener's authorities signed.
    pub(crate) has_client_certificate: bool,
}

impl Arrival {
    /// A plain connection.
    pub(crate) fn of(stream: &TcpStream, peer: SocketAddr) -> io::Result<Arrival> {
        let local = stream.local_addr()?;
        Ok(Arrival { peer, local, is_named: false, is_secure: false, has_client_certificate: false })
    }

    /// A connection that begins with a PROXY protocol header, which is taken off it; nobody else's word is taken.
    pub(crate) async fn announced(stream: &mut TcpStream, peer: SocketAddr, trusted: &Networks) -> io::Result<Arrival> {
        if !trusted.contains(peer.ip()) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "not a trusted proxy"));
        }
        let own = Arrival::of(stream, peer)?;
        match proxy_protocol::read(stream).await? {
            Said::Own => Ok(own),
            Said::Between { source, destination } => {
                Ok(Arrival { peer: source, local: destination, is_named: true, ..own })
            }
        }
    }
}
