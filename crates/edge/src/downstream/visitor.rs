//! One client connection as its requests see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use http::HeaderMap;
use rustls::ServerConfig;

use super::arrival::Arrival;
use super::client::Client;
use super::presence::Presence;
use super::trust::{self, Doubt};
use crate::edge::Edge;
use crate::snapshot::{Listener, Scope};
use crate::tls::accept::Session;

/// Which routes a listener shows; changed without touching the listener.
#[derive(Debug)]
pub(crate) struct View {
    is_internal: AtomicBool,
    /// Connections begin with a PROXY protocol header.
    is_announced: AtomicBool,
    name: ArcSwap<String>,
    /// How new connections are secured; `None` for plain text.
    tls: ArcSwapOption<ServerConfig>,
}

impl View {
    pub(crate) fn new(name: &str, scope: Scope) -> View {
        let is_internal = AtomicBool::new(scope == Scope::Internal);
        let is_announced = AtomicBool::new(false);
        View { is_internal, is_announced, name: ArcSwap::from_pointee(name.to_owned()), tls: ArcSwapOption::empty() }
    }

    pub(crate) fn of(listener: &Listener) -> View {
        let view = View::new(&listener.name, listener.scope);
        view.is_announced.store(listener.proxy_protocol, Ordering::Relaxed);
        view
    }

    pub(crate) fn set(&self, listener: &Listener) {
        self.is_internal.store(listener.scope == Scope::Internal, Ordering::Relaxed);
        self.is_announced.store(listener.proxy_protocol, Ordering::Relaxed);
        if self.name().as_str() != listener.name {
            self.name.store(Arc::new(listener.name.clone()));
        }
    }

    /// New connections are secured by this from now on; those that are open go on as they began.
    pub(crate) fn secure(&self, tls: Option<Arc<ServerConfig>>) {
        self.tls.store(tls);
    }

    pub(crate) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls.load_full()
    }

    /// Whether a PROXY protocol header comes first.
    pub(crate) fn is_announced(&self) -> bool {
        self.is_announced.load(Ordering::Relaxed)
    }

    pub(crate) fn name(&self) -> arc_swap::Guard<Arc<String>> {
        self.name.load()
    }

    pub(crate) fn scope(&self) -> Scope {
        if self.is_internal.load(Ordering::Relaxed) { Scope::Internal } else { Scope::Public }
    }
}

/// What is made once per connection, so that a request only copies pointers.
pub(crate) struct Visitor {
    pub(crate) edge: Arc<Edge>,
    pub(crate) presence: Arc<Presence>,
    view: Arc<View>,
    pub(crate) arrival: Arrival,
    /// Who the connection's own client is; a trusted proxy speaks for others.
    pub(crate) client: Client,
    /// What was agreed on a TLS listener.
    pub(crate) session: Option<Session>,
}

impl Visitor {
    pub(crate) fn new(edge: Arc<Edge>, view: Arc<View>, arrival: Arrival, presence: Arc<Presence>) -> Visitor {
        Visitor { edge, presence, view, client: Client::direct(&arrival), arrival, session: None }
    }

    pub(crate) fn with_session(self, session: Option<Session>) -> Visitor {
        Visitor { session, ..self }
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// The client that a trusted proxy speaks for in this request; `None` when it is the connection's own.
    pub(crate) fn introduced(&self, headers: &HeaderMap) -> Result<Option<Box<Client>>, Doubt> {
        // Who calls another service speaks for itself here; what it says of its own visitor goes on as it is.
        if !self.edge.trusts.load(Ordering::Relaxed) || self.view.scope() == Scope::Internal {
            return Ok(None);
        }
        trust::introduced(&self.edge.table.load().trusted, &self.arrival, headers)
    }
}
