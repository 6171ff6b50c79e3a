//! The access log: requests hand their records over a bounded channel, one task writes them.
//!
//! A request never waits for the log. What does not fit into the channel, and what the disk does not take, is counted
//! and gone.

mod file;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use machine::clock::{Clock, SystemClock};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::record::Entry;
use crate::snapshot::AccessLog;
use file::LogFile;

/// Records that may wait for the writer: some hundredths of a second at full load, some MB at most.
const ROOM: usize = 8_192;

/// Records written at once.
const BATCH: usize = 512;

/// The log of one snapshot's settings.
pub(crate) struct Log {
    pub(crate) settings: AccessLog,
    sender: mpsc::Sender<Entry>,
    turn: AtomicU64,
    shared: Arc<Shared>,
}

/// What outlives settings.
#[derive(Debug, Default)]
struct Shared {
    dropped: AtomicU64,
    problem: Mutex<Option<String>>,
}

/// The log as the edge holds it.
#[derive(Default)]
pub(crate) struct Logging {
    is_on: AtomicBool,
    current: ArcSwapOption<Log>,
    shared: Arc<Shared>,
}

impl Logging {
    /// The log, while it is on.
    pub(crate) fn current(&self) -> Option<Arc<Log>> {
        if self.is_on.load(Ordering::Relaxed) { self.current.load_full() } else { None }
    }

    /// Goes by other settings; the writer of the old ones ends when its last record is written.
    pub(crate) fn set(&self, wanted: Option<&AccessLog>, folder: &std::path::Path) {
        let current = self.current.load();
        if current.as_ref().map(|log| &log.settings) == wanted {
            return;
        }
        let log = wanted.map(|settings| {
            let (sender, receiver) = mpsc::channel(ROOM);
            let path = settings.file.clone().unwrap_or_else(|| folder.join("access.log"));
            let file = LogFile::new(path, settings.rotate_bytes);
            tokio::spawn(write(file, receiver, settings.clone(), self.shared.clone()));
            Arc::new(Log { settings: settings.clone(), sender, turn: AtomicU64::new(0), shared: self.shared.clone() })
        });
        self.is_on.store(log.is_some(), Ordering::Relaxed);
        if log.is_none() {
            *self.shared.problem.lock() = None;
        }
        self.current.store(log);
    }

    /// Lines that were not written.
    pub(crate) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Why lines are not written, if they are not.
    pub(crate) fn problem(&self) -> Option<String> {
        self.shared.problem.lock().clone()
    }
}

impl Log {
    /// Whether it is a fine request's turn.
    pub(crate) fn is_sampled(&self) -> bool {
        let sample = u64::from(self.settings.sample.max(1));
        self.turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(sample)
    }

    pub(crate) fn offer(&self, entry: Entry) {
        if self.sender.try_send(entry).is_err() {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn write(file: LogFile, mut receiver: mpsc::Receiver<Entry>, settings: AccessLog, shared: Arc<Shared>) {
    let clock = SystemClock::new();
    let mut file = Some(file);
    let mut batch = Vec::with_capacity(BATCH);
    while receiver.recv_many(&mut batch, BATCH).await > 0 {
        let Some(mut open) = file.take() else { return };
        let (now_ms, now) = (clock.now_ms(), Instant::now());
        let mut lines = Vec::with_capacity(batch.len() * 512);
        batch.iter().for_each(|entry| entry.render(&settings, now_ms, now, &mut lines));
        let count = batch.len() as u64;
        batch.clear();
        // A disk may take its time; the workers that carry requests must not.
        let written = tokio::task::spawn_blocking(move || (open.append(&lines), open)).await;
        let Ok((written, open)) = written else { return };
        file = Some(open);
        note(&shared, count, written.err().map(|error| error.to_string()));
    }
}

/// Counts what was lost, and tells of a trouble once, not with every line.
fn note(shared: &Shared, count: u64, problem: Option<String>) {
    if problem.is_some() {
        shared.dropped.fetch_add(count, Ordering::Relaxed);
    }
    let mut known = shared.problem.lock();
    match (&*known, &problem) {
        (None, Some(problem)) => tracing::error!(%problem, "the access log cannot be written; traffic goes on"),
        (Some(_), None) => tracing::info!("the access log is written again"),
        _ => {}
    }
    *known = problem;
}
