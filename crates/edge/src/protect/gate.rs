//! Places of one route, and the queue before them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::permit::Permit;
use crate::proxy::answer::Reason;
use crate::seen::route_tally::RouteTally;
use crate::upstream::tally::count;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Fair: who has waited longest is next, and nobody overtakes.
    places: Arc<Semaphore>,
    room: u32,
    patience: Duration,
    waiting: AtomicU32,
    tally: Arc<RouteTally>,
}

/// A wait for a place, which is over when dropped.
pub(crate) struct Turn {
    gate: Arc<Gate>,
    permit: Box<Permit>,
}

impl Gate {
    pub(crate) fn new(places: u32, queue: u32, queue_ms: u64, tally: Arc<RouteTally>) -> Gate {
        Gate {
            places: Arc::new(Semaphore::new((places as usize).min(Semaphore::MAX_PERMITS))),
            room: queue,
            patience: Duration::from_millis(queue_ms),
            waiting: AtomicU32::new(0),
            tally,
        }
    }

    /// A place, if one is free.
    pub(crate) fn try_enter(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().try_acquire_owned().ok()
    }

    /// A place in the queue, if one is free.
    pub(crate) fn queue(self: &Arc<Self>, permit: Box<Permit>) -> Result<Turn, Reason> {
        let room = |waiting: u32| (waiting < self.room).then(|| waiting + 1);
        match self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room) {
            Ok(_) => Ok(Turn { gate: self.clone(), permit }),
            Err(_) => {
                count(&self.tally.queue_full);
                Err(overloaded("as many requests as allowed are under way and waiting"))
            }
        }
    }

    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }
}

impl Turn {
    /// Waits for the place.
    pub(crate) async fn come(mut self) -> Result<Box<Permit>, Reason> {
        let place = tokio::time::timeout(self.gate.patience, self.gate.places.clone().acquire_owned()).await;
        let Ok(Ok(place)) = place else {
            count(&self.gate.tally.queue_late);
            return Err(overloaded("no place became free in time"));
        };
        let mut permit = std::mem::take(&mut self.permit);
        permit.gate = Some(place);
        Ok(permit)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.gate.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

fn overloaded(text: &str) -> Reason {
    Reason::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", text).retry_after(1)
}
