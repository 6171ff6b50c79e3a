//! Everything a TLS listener needs, made ready beside the traffic and put in place with the snapshot.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};
use rustls::version::{TLS12, TLS13};

use super::authority::{self, Authority};
use super::provider::{provider, ticketer};
use super::store::{Fresh, Store};
use super::tally::HandshakeTally;
use crate::snapshot::{Snapshot, Tls};

/// TLS 1.2 sessions of clients that take no tickets; one is a few hundred bytes.
const SESSIONS: usize = 4096;

/// See the module's text.
pub(crate) struct TlsServer {
    pub(crate) store: Arc<Store>,
    pub(crate) tally: HandshakeTally,
    /// Of listeners that ask for no client certificate.
    open: Pair,
    /// Of listeners with authorities, by what the snapshot says of them.
    guarded: Mutex<BTreeMap<PathBuf, Guarded>>,
}

/// What resumes a session.
///
/// A session of one set of authorities must not be resumed under another, or under none: it carries the client's
/// certificate along without asking again. So each set has keys of its own.
#[derive(Clone)]
struct Sessions {
    tickets: Arc<dyn ProducesTickets>,
    stored: Arc<dyn StoresServerSessions>,
}

/// The same settings for both answers to "TLS 1.3 only?".
#[derive(Clone)]
struct Pair {
    both: Arc<ServerConfig>,
    only_13: Arc<ServerConfig>,
}

#[derive(Clone)]
struct Guarded {
    digest: String,
    pair: Pair,
}

/// What a snapshot brings for TLS, read and checked.
pub(crate) struct Prepared {
    fresh: Fresh,
    guarded: BTreeMap<PathBuf, Guarded>,
    pub(crate) problems: Vec<String>,
}

impl TlsServer {
    pub(crate) fn new() -> Result<TlsServer, rustls::Error> {
        let store = Arc::new(Store::default());
        let open = Pair::new(&store, &Sessions::new()?, None)?;
        Ok(TlsServer { store, tally: HandshakeTally::default(), open, guarded: Mutex::default() })
    }

    /// Reads files; takes milliseconds and may block.
    pub(crate) fn prepare(&self, snapshot: &Snapshot, now_ms: i64) -> Prepared {
        let (fresh, mut problems) = self.store.read(&snapshot.certificates, now_ms);
        let before = self.guarded.lock().clone();
        let mut guarded = BTreeMap::new();
        for listener in &snapshot.listeners {
            let Some(path) = listener.tls.as_ref().and_then(|tls| tls.client_ca.as_ref()) else { continue };
            if guarded.contains_key(path) {
                continue;
            }
            match self.guard(path, &before) {
                Ok(one) => {
                    guarded.insert(path.clone(), one);
                }
                Err(problem) => problems.push(format!(
                    "listener `{}`: {problem}; it asks for no client certificate, and routes that demand one refuse",
                    listener.name
                )),
            }
        }
        let is_dark = snapshot.certificates.is_empty() && snapshot.listeners.iter().any(|one| one.tls.is_some());
        if is_dark {
            problems.push("a listener serves TLS, and the snapshot has no certificate".to_owned());
        }
        Prepared { fresh, guarded, problems }
    }

    /// Serves what was prepared.
    pub(crate) fn replace(&self, prepared: Prepared) {
        *self.guarded.lock() = prepared.guarded;
        self.store.replace(prepared.fresh);
    }

    /// The settings of a listener.
    pub(crate) fn config(&self, wanted: &Tls) -> Arc<ServerConfig> {
        let guarded = self.guarded.lock();
        let own = wanted.client_ca.as_ref().and_then(|path| guarded.get(path));
        let pair = own.map_or(&self.open, |own| &own.pair);
        if wanted.only_13 { pair.only_13.clone() } else { pair.both.clone() }
    }

    /// The file is read each time, since a snapshot names no digest of it; unchanged, it keeps its sessions.
    fn guard(&self, path: &std::path::Path, before: &BTreeMap<PathBuf, Guarded>) -> Result<Guarded, String> {
        let authority = authority::load(path).map_err(|problem| problem.to_string())?;
        if let Some(same) = before.values().find(|one| one.digest == authority.digest) {
            return Ok(same.clone());
        }
        let sessions = Sessions::new().map_err(|error| error.to_string())?;
        let pair = Pair::new(&self.store, &sessions, Some(&authority)).map_err(|error| error.to_string())?;
        Ok(Guarded { digest: authority.digest, pair })
    }
}

impl Sessions {
    fn new() -> Result<Sessions, rustls::Error> {
        Ok(Sessions { tickets: ticketer()?, stored: ServerSessionMemoryCache::new(SESSIONS) })
    }
}

impl Pair {
    fn new(store: &Arc<Store>, sessions: &Sessions, authority: Option<&Authority>) -> Result<Pair, rustls::Error> {
        let make = |versions: &[&'static rustls::SupportedProtocolVersion]| {
            let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions)?;
            let builder = match authority {
                Some(authority) => builder.with_client_cert_verifier(authority.verifier.clone()),
                None => builder.with_no_client_auth(),
            };
            let mut config = builder.with_cert_resolver(store.clone());
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            config.ticketer = sessions.tickets.clone();
            config.session_storage = sessions.stored.clone();
            Ok::<_, rustls::Error>(Arc::new(config))
        };
        Ok(Pair { both: make(&[&TLS13, &TLS12])?, only_13: make(&[&TLS13])? })
    }
}
