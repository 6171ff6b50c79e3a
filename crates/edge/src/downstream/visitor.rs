//! One client connection as its requests see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;

use super::arrival::Arrival;
use super::client::Client;
use super::presence::Presence;
use crate::edge::Edge;
use crate::snapshot::Scope;

/// Which routes a listener shows; changed without touching the listener.
#[derive(Debug)]
pub(crate) struct View {
    is_internal: AtomicBool,
    name: ArcSwap<String>,
}

impl View {
    pub(crate) fn new(name: &str, scope: Scope) -> View {
        let is_internal = AtomicBool::new(scope == Scope::Internal);
        View { is_internal, name: ArcSwap::from_pointee(name.to_owned()) }
    }

    pub(crate) fn set(&self, name: &str, scope: Scope) {
        self.is_internal.store(scope == Scope::Internal, Ordering::Relaxed);
        if self.name().as_str() != name {
            self.name.store(Arc::new(name.to_owned()));
        }
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
}

impl Visitor {
    pub(crate) fn new(edge: Arc<Edge>, view: Arc<View>, arrival: Arrival, presence: Arc<Presence>) -> Visitor {
        Visitor { edge, presence, view, client: Client::direct(&arrival), arrival }
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }
}
