//! Sockets in address holders' network namespaces, opened for the edge.
//!
//! A copy of each is kept while it is wanted: should the edge die, callers wait in the socket's queue until the next one
//! takes it up, instead of being refused. A copy of what is not wanted any more would let them wait for ever.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use edge::Snapshot;
use edge::lend::Wanted;
use parking_lot::Mutex;

/// What was opened, by where.
#[derive(Debug, Default)]
pub struct Lent(Mutex<BTreeMap<Wanted, OwnedFd>>);

impl Lent {
    /// A copy of the socket, which is opened where it is not yet.
    pub fn open(&self, wanted: &Wanted) -> io::Result<OwnedFd> {
        let mut sockets = self.0.lock();
        if let Some(known) = sockets.get(wanted) {
            return known.try_clone();
        }
        let socket = machine::net::namespace::listen(Path::new(&wanted.namespace), wanted.bind)?;
        let copy = socket.try_clone()?;
        sockets.insert(wanted.clone(), socket);
        Ok(copy)
    }

    /// Closes what a snapshot does not name.
    pub fn keep_only(&self, snapshot: &Snapshot) {
        self.0.lock().retain(|socket, _| {
            snapshot.listeners.iter().any(|listener| {
                listener.bind == socket.bind && listener.namespace.as_deref() == Some(socket.namespace.as_str())
            })
        });
    }
}
