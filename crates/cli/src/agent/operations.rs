//! Operations under way: what each has said so far, for whoever follows, however late they come.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use saga::Abort;
use tokio::sync::watch;

use crate::messages::{Ended, Event};

/// Ended operations whose talk is still kept in memory.
const KEPT: usize = 20;

#[derive(Clone, Default)]
pub struct Operations(Arc<Mutex<BTreeMap<String, Arc<Live>>>>);

/// One operation's talk, and the flag that ends it early.
pub struct Live {
    events: Mutex<Vec<Event>>,
    length: watch::Sender<usize>,
    pub abort: Abort,
    began: std::time::Instant,
}

impl Operations {
    pub fn open(&self, id: &str) -> Arc<Live> {
        let live = Arc::new(Live {
            events: Mutex::new(Vec::new()),
            length: watch::Sender::new(0),
            abort: Abort::new(),
            began: std::time::Instant::now(),
        });
        let mut all = lock(&self.0);
        while all.len() >= KEPT {
            let oldest = all.iter().find(|(_, live)| live.has_ended()).map(|(id, _)| id.clone());
            match oldest {
                Some(oldest) => all.remove(&oldest),
                None => break,
            };
        }
        all.insert(id.to_owned(), live.clone());
        live
    }

    pub fn get(&self, id: &str) -> Option<Arc<Live>> {
        lock(&self.0).get(id).cloned()
    }
}

impl Live {
    pub fn ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub fn push(&self, event: Event) {
        let length = {
            let mut events = lock(&self.events);
            events.push(event);
            events.len()
        };
        self.length.send_replace(length);
    }

    pub fn end(&self, ended: Ended) {
        self.push(Event::Ended { ms: self.ms(), ended });
    }

    pub fn has_ended(&self) -> bool {
        matches!(lock(&self.events).last(), Some(Event::Ended { .. }))
    }

    /// The events from `from` on; waits for at least one unless the operation has ended.
    pub async fn after(&self, from: usize) -> Vec<Event> {
        let mut length = self.length.subscribe();
        let _ = length.wait_for(|length| *length > from).await;
        lock(&self.events).iter().skip(from).cloned().collect()
    }
}

/// A panic elsewhere must not silence an operation.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
