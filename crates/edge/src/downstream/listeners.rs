//! The set of listeners: opened, renamed and closed one by one, so that none suffers from another's fault.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::listener::{Door, adopt, bind};
use super::visitor::View;
use crate::control::ListenerState;
use crate::edge::Edge;
use crate::error::EdgeError;
use crate::snapshot::Listener;

/// All listeners of the served snapshot.
#[derive(Default)]
pub(crate) struct Listeners {
    places: Vec<Place>,
    next_number: u64,
}

/// One wanted listener, open or not.
struct Place {
    wanted: Listener,
    open: Result<Open, String>,
    /// Closed because the machine has no IPv6, where the same port is wanted for IPv4: no fault, and nothing to tell.
    is_absent: bool,
}

struct Open {
    address: SocketAddr,
    number: u64,
    view: Arc<View>,
    closed: CancellationToken,
    /// Shared with the accept loop; a successor gets a copy.
    socket: Arc<TcpListener>,
}

impl Place {
    fn new(wanted: Listener) -> Place {
        Place { wanted, open: Err(String::new()), is_absent: false }
    }

    /// Whether a wanted listener is this one: by its address, or by its name where the address is picked.
    fn is(&self, wanted: &Listener) -> bool {
        self.wanted.bind == wanted.bind
            && self.wanted.namespace == wanted.namespace
            && (wanted.bind.port() != 0 || self.wanted.name == wanted.name)
    }
}

impl Listeners {
    /// Opens what is new, keeps what stays, closes what is gone.
    pub(crate) fn arrange(&mut self, edge: &Arc<Edge>, wanted: &[Listener]) {
        let mut old = std::mem::take(&mut self.places);
        let mut fresh = Vec::new();
        for listener in wanted {
            match old.iter().position(|place| place.is(listener)) {
                Some(index) => {
                    let mut place = old.swap_remove(index);
                    place.wanted = listener.clone();
                    if let Ok(open) = &place.open {
                        open.view.set(listener);
                        open.view.secure(tls(edge, listener));
                    }
                    self.places.push(place);
                }
                None => fresh.push(listener.clone()),
            }
        }
        // Closed before the new ones open: a new one may want an address that an old one covered.
        for place in old {
            close(edge, place);
        }
        self.places.extend(fresh.into_iter().map(Place::new));
        self.open_missing(edge);
        let rank = |place: &Place| wanted.iter().position(|listener| place.is(listener));
        self.places.sort_by_key(rank);
    }

    /// Tries to open those that are not; true when all are open afterwards.
    pub(crate) fn open_missing(&mut self, edge: &Arc<Edge>) -> bool {
        let here = self.places.iter().filter(|place| place.wanted.namespace.is_none());
        let mut ours: BTreeSet<u16> = here.filter_map(|place| Some(place.open.as_ref().ok()?.address.port())).collect();
        let every_ipv4 = |place: &Place| place.wanted.bind.is_ipv4() && place.wanted.bind.ip().is_unspecified();
        let on_ipv4: BTreeSet<u16> =
            self.places.iter().filter(|place| every_ipv4(place)).map(|place| place.wanted.bind.port()).collect();
        for place in self.places.iter_mut().filter(|place| place.open.is_err()) {
            let number = self.next_number;
            self.next_number += 1;
            let bind = place.wanted.bind;
            let opened = open(edge, number, &place.wanted, ours.contains(&bind.port()));
            let every_ipv6 = bind.is_ipv6() && bind.ip().is_unspecified();
            let is_both = every_ipv6 && on_ipv4.contains(&bind.port());
            place.is_absent = is_both && opened.as_ref().err().is_some_and(lacks_ipv6);
            place.open = opened.map_err(|error| reason(&error));
            if place.open.is_ok() && place.wanted.namespace.is_none() {
                ours.insert(bind.port());
            }
        }
        self.places.iter().all(|place| place.open.is_ok() || place.is_absent)
    }

    pub(crate) fn states(&self) -> Vec<ListenerState> {
        self.places
            .iter()
            .filter(|place| !place.is_absent)
            .map(|place| ListenerState {
                name: place.wanted.name.clone(),
                bind: place.open.as_ref().map_or(place.wanted.bind, |open| open.address),
                error: place.open.as_ref().err().cloned(),
            })
            .collect()
    }

    /// Those of a snapshot that are in another network namespace and not open here.
    pub(crate) fn elsewhere(&self, wanted: &[Listener]) -> Vec<Listener> {
        let is_open = |wanted: &&Listener| self.places.iter().any(|place| place.is(wanted) && place.open.is_ok());
        wanted.iter().filter(|one| one.namespace.is_some() && !is_open(one)).cloned().collect()
    }

    /// The open listeners, for a successor.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = (&Listener, &TcpListener)> {
        self.places.iter().filter_map(|place| Some((&place.wanted, &*place.open.as_ref().ok()?.socket)))
    }

    /// Stops accepting everywhere, because a successor does; connections go on as they like.
    pub(crate) fn retire_all(&mut self) {
        for open in std::mem::take(&mut self.places).into_iter().filter_map(|place| place.open.ok()) {
            open.closed.cancel();
        }
    }

    /// Stops accepting everywhere; connections go on.
    pub(crate) fn close_all(&mut self, edge: &Arc<Edge>) {
        for place in std::mem::take(&mut self.places) {
            close(edge, place);
        }
    }
}

fn open(edge: &Arc<Edge>, number: u64, wanted: &Listener, port_is_ours: bool) -> Result<Open, EdgeError> {
    let address = wanted.bind;
    let failed = |source| EdgeError::Listen { bind: address, source };
    let listener = match edge.heirloom(wanted) {
        Some(socket) => adopt(socket),
        None if wanted.namespace.is_some() => return Err(EdgeError::NotGiven { bind: address }),
        None => bind(address, port_is_ours),
    };
    let listener = listener.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let view = Arc::new(View::of(wanted));
    view.secure(tls(edge, wanted));
    let closed = CancellationToken::new();
    let door = Door { edge: edge.clone(), view: view.clone(), number, closed: closed.clone() };
    let socket = Arc::new(listener);
    edge.tasks.spawn(door.accept(socket.clone()));
    Ok(Open { address, number, view, closed, socket })
}

fn tls(edge: &Edge, listener: &Listener) -> Option<Arc<rustls::ServerConfig>> {
    listener.tls.as_ref().map(|wanted| edge.tls.config(wanted))
}

/// Whether a listener could not be opened because the machine knows no IPv6.
fn lacks_ipv6(error: &EdgeError) -> bool {
    const EAFNOSUPPORT: i32 = 97;
    let EdgeError::Listen { source, .. } = error else { return false };
    source.kind() == std::io::ErrorKind::AddrNotAvailable || source.raw_os_error() == Some(EAFNOSUPPORT)
}

/// The whole chain on one line: an acknowledgement has no other place for the cause.
fn reason(error: &EdgeError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn close(edge: &Arc<Edge>, place: Place) {
    if let Ok(open) = place.open {
        open.closed.cancel();
        edge.presences.visit(|presence| {
            if presence.came_through(open.number) {
                presence.leave();
            }
        });
    }
}
