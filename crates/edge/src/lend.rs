//! Sockets in network namespaces that the edge cannot enter.
//!
//! A service's name in Docker leads to a container that only waits; the edge answers there. To listen in that
//! container's network namespace takes the right to administer the machine, which a proxy of strangers' bytes shall not
//! have. So the agent opens the sockets, and the edge asks for them: before it serves a snapshot that names them, and
//! after a start. A successor of the edge inherits them like all others.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;

use crate::snapshot::Listener;
use crate::takeover::Heirloom;
use crate::takeover::passing::{receive, receive_files, send};

/// The other side opens a few sockets, which takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// A socket that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wanted {
    /// A file that stands for the network namespace.
    pub namespace: String,
    pub bind: SocketAddr,
}

/// One answer for each that was asked for, in the same order: `None` comes with its socket, `Some` says why not.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    errors: Vec<Option<String>>,
}

/// Asks for the sockets of these listeners. One that the other side could not open is left out, and said in the log.
pub(crate) async fn borrow(lender: &Path, listeners: Vec<Listener>) -> io::Result<Vec<Heirloom>> {
    let lender = lender.to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        let wanted: Vec<Wanted> = listeners
            .iter()
            .map(|one| Wanted { namespace: one.namespace.clone().unwrap_or_default(), bind: one.bind })
            .collect();
        let mut stream = UnixStream::connect(lender)?;
        patient(&stream)?;
        send(&mut stream, &serde_json::to_vec(&wanted)?, &[])?;
        let answer: Answer = serde_json::from_slice(&receive(&mut stream)?)?;
        if answer.errors.len() != listeners.len() {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        let given = answer.errors.iter().filter(|error| error.is_none()).count();
        let mut sockets = receive_files(&stream, given)?.into_iter();
        let mut heirlooms = Vec::new();
        for (listener, error) in listeners.into_iter().zip(answer.errors) {
            match error {
                Some(error) => tracing::warn!(listener = listener.name, error, "no socket in that namespace"),
                None => heirlooms.extend(sockets.next().map(|socket| Heirloom {
                    name: listener.name,
                    bind: listener.bind,
                    namespace: listener.namespace,
                    socket,
                })),
            }
        }
        Ok(heirlooms)
    });
    asked.await.map_err(io::Error::other)?
}

fn patient(stream: &UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))
}

/// Answers the edge's questions for sockets, for ever; `open` gives each.
pub async fn lend<F>(listener: UnixListener, open: F)
where
    F: Fn(&Wanted) -> io::Result<OwnedFd> + Send + Sync + 'static,
{
    let open = Arc::new(open);
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "could not accept a question for sockets");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let open = open.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = stream.into_std().and_then(|stream| answer(stream, &*open)) {
                tracing::warn!(%error, "a question for sockets was not answered");
            }
        });
    }
}

fn answer(mut stream: UnixStream, open: &impl Fn(&Wanted) -> io::Result<OwnedFd>) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    patient(&stream)?;
    let wanted: Vec<Wanted> = serde_json::from_slice(&receive(&mut stream)?)?;
    let (mut errors, mut sockets) = (Vec::new(), Vec::new());
    for one in &wanted {
        match open(one) {
            Ok(socket) => {
                sockets.push(socket);
                errors.push(None);
            }
            Err(error) => errors.push(Some(error.to_string())),
        }
    }
    send(&mut stream, &serde_json::to_vec(&Answer { errors })?, &sockets)
}
