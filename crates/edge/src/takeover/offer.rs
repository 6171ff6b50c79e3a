//! The old edge's side.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::message::{Manifest, Named, SERVING, VERSION, YOURS};
use super::passing::send;
use crate::edge::Edge;

/// What is offered beside the listeners.
pub(crate) struct Offer {
    pub(crate) control: OwnedFd,
    pub(crate) kept: Vec<OwnedFd>,
}

/// A successor serves. Dropping this tells it that we are gone.
pub(crate) struct Handed {
    pub(super) stream: tokio::net::UnixStream,
}

/// Waits for successors until one has taken over, or until told to stop.
pub(crate) async fn offer(
    edge: Arc<Edge>,
    socket: UnixListener,
    offer: Offer,
    stop: CancellationToken,
) -> Option<Handed> {
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            accepted = socket.accept() => accepted,
        };
        let handed = match accepted {
            Ok((stream, _)) => hand_over(&edge, stream, &offer).await,
            Err(error) => Err(error),
        };
        match handed {
            Ok(handed) => return Some(handed),
            Err(error) => {
                tracing::warn!(%error, "a takeover did not come about; this edge serves on");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn hand_over(edge: &Arc<Edge>, stream: tokio::net::UnixStream, offer: &Offer) -> io::Result<Handed> {
    // No snapshot is taken meanwhile: the successor must serve what we serve.
    let _turn = edge.applying.lock().await;
    let (manifest, files) = estate(edge, offer)?;
    let mut stream = stream.into_std()?;
    let patience = edge.limits.successor;
    let talk = move || {
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(patience))?;
        stream.set_read_timeout(Some(patience))?;
        send(&mut stream, &manifest, &files)?;
        let mut word = [0u8; 1];
        stream.read_exact(&mut word)?;
        if word[0] != SERVING {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        stream.write_all(&[YOURS])?;
        stream.set_nonblocking(true)?;
        Ok::<_, io::Error>(stream)
    };
    let stream = tokio::task::spawn_blocking(talk).await.map_err(io::Error::other)??;
    let handed = Handed { stream: tokio::net::UnixStream::from_std(stream)? };
    edge.retired.store(true, Ordering::Relaxed);
    Ok(handed)
}

/// Copies of all sockets, and what they are.
fn estate(edge: &Edge, offer: &Offer) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let state = edge.state.lock();
    let mut files = vec![offer.control.try_clone()?];
    let mut listeners = Vec::new();
    for (wanted, socket) in state.listeners.sockets() {
        let namespace = wanted.namespace.clone();
        listeners.push(Named { name: wanted.name.clone(), bind: wanted.bind, namespace });
        files.push(socket.as_fd().try_clone_to_owned()?);
    }
    for kept in &offer.kept {
        files.push(kept.try_clone()?);
    }
    let manifest = Manifest { version: VERSION, hash: state.snapshot.hash.clone(), listeners, kept: offer.kept.len() };
    Ok((serde_json::to_vec(&manifest)?, files))
}
