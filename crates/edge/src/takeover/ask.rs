//! The successor's side.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::message::{Manifest, SERVING, VERSION, YOURS};
use super::passing::{receive, receive_files};
use super::{Heirloom, Inheritance, TakeoverError, socket};

/// For each answer of the old edge; it may be in the middle of taking a snapshot.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the edge that serves the state folder for its sockets. Nothing has changed until [`crate::serve_in_line`]
/// has used them.
pub async fn ask(state_dir: &Path) -> Result<Inheritance, TakeoverError> {
    let path = socket(state_dir);
    let asked = tokio::task::spawn_blocking(move || {
        let stream = UnixStream::connect(&path);
        let stream = stream.map_err(|source| TakeoverError::NobodyThere { path, source })?;
        inherit(stream)
    });
    asked.await.map_err(|error| TakeoverError::Broken(error.into()))?
}

fn inherit(mut stream: UnixStream) -> Result<Inheritance, TakeoverError> {
    let broken = TakeoverError::Broken;
    stream.set_read_timeout(Some(PATIENCE)).map_err(broken)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(broken)?;
    let manifest = receive(&mut stream).map_err(broken)?;
    let unknown = |error: serde_json::Error| TakeoverError::Unknown(error.to_string());
    let Manifest { version, hash, listeners, kept } = serde_json::from_slice(&manifest).map_err(unknown)?;
    if version != VERSION {
        return Err(TakeoverError::Unknown(format!("its version is {version}, this edge knows {VERSION}")));
    }
    let files = receive_files(&stream, 1 + listeners.len() + kept).map_err(broken)?;
    let mut files = files.into_iter();
    let control = files.next().ok_or_else(|| TakeoverError::Unknown("it has no control socket".to_owned()))?;
    // Both sides count the same, so every name has its socket.
    let named = listeners.into_iter().zip(files.by_ref());
    let listeners = named
        .map(|(named, socket)| Heirloom { name: named.name, bind: named.bind, namespace: named.namespace, socket })
        .collect();
    Ok(Inheritance { stream, control, listeners, hash, kept: files.collect() })
}

/// Says that we serve, and waits for the word that makes it so.
pub(crate) async fn confirm(mut stream: UnixStream) -> Result<UnixStream, TakeoverError> {
    let said = tokio::task::spawn_blocking(move || {
        stream.write_all(&[SERVING])?;
        let mut word = [0u8; 1];
        stream.read_exact(&mut word)?;
        if word[0] == YOURS { Ok(stream) } else { Err(std::io::ErrorKind::InvalidData.into()) }
    });
    said.await.map_err(|error| TakeoverError::Broken(error.into()))?.map_err(TakeoverError::Broken)
}
