//! One listening socket and the loop that accepts from it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::connection;
use super::presence::Presence;
use super::visitor::View;
use crate::edge::Edge;
use crate::snapshot::Scope;

/// Enough for a burst of all clients coming back at once; the kernel cuts it to `somaxconn`.
const BACKLOG: i32 = 4096;

/// Finds clients that vanished without a word, WebSockets first of all.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// After running out of file descriptors, connections must end before a new one can begin.
const BREATH: Duration = Duration::from_millis(50);

/// Opens a listening socket.
///
/// `0.0.0.0:8080` for the world and `172.18.0.1:8080` for a Docker network may both be ours; the kernel gives a
/// connection to the more exact one, but lets both exist only when each shares its port. Sharing would also let a
/// second edge in unseen, so a port that is not ours yet is first tried without.
pub(crate) fn bind(address: SocketAddr, port_is_ours: bool) -> io::Result<TcpListener> {
    if !port_is_ours && address.port() != 0 {
        drop(socket(address, false)?);
    }
    let socket = socket(address, true)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// Goes on with a socket that another edge opened.
pub(crate) fn adopt(socket: OwnedFd) -> io::Result<TcpListener> {
    let socket = std::net::TcpListener::from(socket);
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket)
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if address.is_ipv6() {
        // `[::]` and `0.0.0.0` are two listeners here, so that each can fail alone.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    // Without `listen` a taken port may go unnoticed: two sockets that do not listen can share one.
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// What an accept loop works with.
pub(crate) struct Door {
    pub(crate) edge: Arc<Edge>,
    pub(crate) view: Arc<View>,
    pub(crate) number: u64,
    pub(crate) closed: CancellationToken,
}

impl Door {
    /// Accepts until the door is closed.
    pub(crate) async fn accept(self, listener: Arc<TcpListener>) {
        let places = Arc::new(Semaphore::new(self.edge.limits.connections));
        loop {
            let place = tokio::select! {
                biased;
                () = self.closed.cancelled() => return,
                place = places.clone().acquire_owned() => place,
            };
            let Ok(place) = place else { return };
            let accepted = tokio::select! {
                biased;
                () = self.closed.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.welcome(stream, peer, place),
                Err(error) => self.after(&error).await,
            }
        }
    }

    fn welcome(&self, stream: TcpStream, peer: SocketAddr, place: tokio::sync::OwnedSemaphorePermit) {
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 4);
        let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
        // A container may have good reasons for many connections, and its network is not the world.
        // Nor is a trusted proxy one client.
        let is_client = self.view.scope() == Scope::Public && !self.edge.trusts(peer.ip());
        let seat = is_client.then(|| self.edge.seat(peer.ip()));
        if let Some(None) = seat {
            return;
        }
        let presence = Arc::new(Presence::new(self.number));
        self.edge.presences.add(&presence);
        if self.closed.is_cancelled() {
            // Accepted in this very moment. After a takeover nobody else would answer it.
            match self.edge.retired.load(Ordering::Relaxed) {
                true => presence.wind_down(),
                false => presence.leave(),
            }
        }
        let life = connection::serve(self.edge.clone(), self.view.clone(), stream, peer, presence);
        self.edge.tasks.spawn(async move {
            life.live().await;
            drop((place, seat));
        });
    }

    async fn after(&self, error: &io::Error) {
        // A client that gave up while it waited is no news; everything else is the machine's shortage.
        if error.kind() == io::ErrorKind::ConnectionAborted {
            return;
        }
        tracing::warn!(%error, "could not accept a connection");
        tokio::time::sleep(BREATH).await;
    }
}
