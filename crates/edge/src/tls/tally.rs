//! Counters of handshakes.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::{HandshakeKind, ProtocolVersion, ServerConnection};

/// Why a handshake came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It took too long.
    Time,
    /// The client closed, or the edge was asked to end.
    Closed,
    /// Plain HTTP on a TLS port.
    PlainHttp,
    /// A name that no certificate is for, and no default.
    UnknownName,
    /// No name at all, and no default.
    NoName,
    /// No common version, suite, group or protocol.
    Incompatible,
    /// The client's certificate was not accepted.
    ClientCertificate,
    /// The client refused: mostly it does not trust the certificate.
    RefusedByClient,
    /// Bytes that are no TLS, or break its rules.
    Garbled,
}

impl Reason {
    const ALL: [Reason; 9] = [
        Reason::Time,
        Reason::Closed,
        Reason::PlainHttp,
        Reason::UnknownName,
        Reason::NoName,
        Reason::Incompatible,
        Reason::ClientCertificate,
        Reason::RefusedByClient,
        Reason::Garbled,
    ];

    /// From what the handshake ended with.
    pub(crate) fn of(error: &std::io::Error) -> Reason {
        use rustls::Error;
        let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
            return Reason::Closed;
        };
        match error {
            Error::AlertReceived(_) => Reason::RefusedByClient,
            Error::InvalidCertificate(_) | Error::NoCertificatesPresented => Reason::ClientCertificate,
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => Reason::Incompatible,
            _ => Reason::Garbled,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Time => "time",
            Reason::Closed => "closed",
            Reason::PlainHttp => "plain-http",
            Reason::UnknownName => "unknown-name",
            Reason::NoName => "no-name",
            Reason::Incompatible => "incompatible",
            Reason::ClientCertificate => "client-certificate",
            Reason::RefusedByClient => "refused-by-client",
            Reason::Garbled => "garbled",
        })
    }
}

/// Since this process began.
#[derive(Debug, Default)]
pub(crate) struct HandshakeTally {
    failed: [AtomicU64; Reason::ALL.len()],
    /// Full and resumed, of TLS 1.2 and of 1.3.
    done: [[AtomicU64; 2]; 2],
}

impl HandshakeTally {
    pub(crate) fn failed(&self, reason: Reason) {
        self.failed[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn done(&self, connection: &ServerConnection) {
        let version = usize::from(connection.protocol_version() == Some(ProtocolVersion::TLSv1_3));
        let kind = usize::from(connection.handshake_kind() == Some(HandshakeKind::Resumed));
        self.done[version][kind].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn failures(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().map(|reason| (reason, self.failed[reason as usize].load(Ordering::Relaxed)))
    }

    /// Version, kind and count.
    pub(crate) fn handshakes(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let rows = ["1.2", "1.3"].into_iter().zip(&self.done);
        rows.flat_map(|(version, kinds)| {
            let kinds = ["full", "resumed"].into_iter().zip(kinds);
            kinds.map(move |(kind, count)| (version, kind, count.load(Ordering::Relaxed)))
        })
    }
}
