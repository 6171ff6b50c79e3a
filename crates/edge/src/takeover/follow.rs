//! While the old edge finishes what it has begun, it goes by the snapshots that its successor takes.
//!
//! Otherwise a request that is held there would wait for a release that only the successor is told of, and one more
//! request on an open connection could meet a container that has been stopped.

use std::convert::Infallible;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use super::message::{FOLLOW, FOLLOWED};
use crate::apply;
use crate::control::Source;
use crate::edge::Edge;

/// How long a snapshot's acknowledgement waits for the edge before.
const PATIENCE: Duration = Duration::from_secs(1);

/// The successor's eye on the edge before it, until that one has left.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    before: Option<Before>,
}

#[derive(Debug)]
struct Before {
    gone: CancellationToken,
    writing: Mutex<OwnedWriteHalf>,
    told: AtomicU64,
    followed: watch::Receiver<u64>,
}

impl Watch {
    /// The old edge holds its end until its last moment.
    pub(crate) fn of(stream: UnixStream) -> io::Result<Watch> {
        stream.set_nonblocking(true)?;
        let (reading, writing) = tokio::net::UnixStream::from_std(stream)?.into_split();
        let gone = CancellationToken::new();
        let (answers, followed) = watch::channel(0);
        tokio::spawn(listen(reading, answers, gone.clone()));
        let (writing, told) = (Mutex::new(writing), AtomicU64::new(0));
        Ok(Watch { before: Some(Before { gone, writing, told, followed }) })
    }

    pub(crate) async fn gone(&self) {
        if let Some(before) = &self.before {
            before.gone.cancelled().await;
        }
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.before.as_ref().is_none_or(|before| before.gone.is_cancelled())
    }

    /// Has the edge before us go by the snapshot that was saved, and waits until it does, or has left.
    pub(crate) async fn follow(&self) {
        let Some(before) = self.before.as_ref().filter(|before| !before.gone.is_cancelled()) else { return };
        let wanted = before.told.fetch_add(1, Ordering::Relaxed) + 1;
        let mut followed = before.followed.clone();
        let asked = async {
            before.writing.lock().await.write_all(&[FOLLOW]).await?;
            // An end of the answers is the other edge's end.
            let _ = followed.wait_for(|count| *count >= wanted).await;
            io::Result::Ok(())
        };
        tokio::select! {
            () = before.gone.cancelled() => {}
            asked = tokio::time::timeout(PATIENCE, asked) => if asked.is_err() {
                tracing::warn!("the edge before this one does not follow; what it still finishes goes by the old routes");
            }
        }
    }
}

async fn listen(mut reading: OwnedReadHalf, answers: watch::Sender<u64>, gone: CancellationToken) {
    while let Ok(FOLLOWED) = reading.read_u8().await {
        answers.send_modify(|count| *count += 1);
    }
    gone.cancel();
}

/// The old edge's side: takes over the routes of each snapshot that its successor has saved.
pub(super) async fn follow(edge: &Arc<Edge>, stream: &mut tokio::net::UnixStream) -> Infallible {
    while let Ok(FOLLOW) = stream.read_u8().await {
        let store = edge.store.clone();
        let loaded = tokio::task::spawn_blocking(move || store.load()).await;
        if let Ok(loaded) = loaded
            && loaded.source == Source::File
            && let Some(snapshot) = loaded.snapshot
        {
            apply::follow(edge, snapshot);
        }
        if stream.write_u8(FOLLOWED).await.is_err() {
            break;
        }
    }
    // The successor is gone; what was begun here is finished all the same.
    std::future::pending().await
}
