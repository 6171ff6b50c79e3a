//! Listening inside another network namespace.
//!
//! A socket belongs for ever to the namespace in which it was made, whoever holds it: a process outside may accept from
//! it and pass it on.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, setns};
use socket2::{Domain, Protocol, Socket, Type};

/// Enough for a burst of all callers coming back at once; the kernel cuts it to `somaxconn`.
const BACKLOG: i32 = 4096;

/// Opens a listening TCP socket in the network namespace that this file stands for (`/run/docker/netns/…`,
/// `/proc/<pid>/ns/net`). Takes the right to administer the machine (`CAP_SYS_ADMIN`).
pub fn listen(namespace: &Path, address: SocketAddr) -> io::Result<OwnedFd> {
    let namespace: PathBuf = namespace.to_owned();
    // Only the calling thread moves, so it is one that ends afterwards.
    let opened = std::thread::Builder::new().name("netns".to_owned()).spawn(move || {
        let namespace = File::open(&namespace)?;
        setns(&namespace, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)?;
        open(address)
    })?;
    opened.join().map_err(|_| io::Error::other("the thread in the namespace broke off"))?
}

fn open(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.cloexec(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
