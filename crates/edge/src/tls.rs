//! TLS for clients: which certificate a name gets, how a handshake goes, and what resumption may carry over.
//!
//! Certificates are read when a snapshot is applied, and swapped as one pointer; a running connection keeps the
//! one it began with.
//! Everything that depends on the crypto library is in `tls/provider.rs`.

pub(crate) mod accept;
pub(crate) mod authority;
pub(crate) mod certificate;
mod names;
pub(crate) mod problem;
mod provider;
pub(crate) mod server;
pub(crate) mod store;
pub(crate) mod tally;

pub(crate) use server::{Prepared, TlsServer};
