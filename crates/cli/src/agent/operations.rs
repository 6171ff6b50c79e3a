//! Operations under way: what each has said so far, for whoever follows, however late they come.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use saga::Abort;
use tokio::sync::watch;

use crate::messages::{Ended, Event, Operation};

/// Ended operations whose record is kept.
const RECORDS: usize = 500;

/// Forgets how old operations ended; what has not ended is kept however old it is.
pub fn forget_old(ledger: &ledger::Ledger) -> ledger::Result<usize> {
    ledger.forget_records(crate::agent::work::OPERATION, RECORDS, |operation: &Operation| operation.ended.is_some())
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::Ended;
    use deploy::Ending;
    use machine::clock::TestClock;

    fn operation(number: usize, ended: bool) -> Operation {
        let failure = crate::errors::Failure::new("x".repeat(500), Ending::Failed);
        Operation {
            id: format!("op{number}"),
            word: "up".into(),
            scope: None,
            by: "test".into(),
            started_ms: 0,
            ended_ms: None,
            work: None,
            ended: ended.then_some(Ended::Failed { failure }),
        }
    }

    fn event() -> ledger::NewEvent {
        ledger::NewEvent {
            kind: "operation.ended".into(),
            platform: spec::PlatformName::parse("shop").unwrap(),
            environment: spec::EnvironmentName::parse("production").unwrap(),
            service: None,
            saga: None,
            data: serde_json::json!({ "text": "x".repeat(500) }),
        }
    }

    #[test]
    fn a_long_past_leaves_a_ledger_of_bounded_size_and_loses_nothing_that_has_not_ended() {
        let ledger = ledger::Ledger::in_memory(Arc::new(TestClock::default())).unwrap();
        let retention = ledger::Retention {
            events: ledger::Keep { age: std::time::Duration::from_secs(1), at_least: 10, at_most: 200 },
            ..Default::default()
        };
        let mut sizes = Vec::new();
        for round in 0..3 {
            ledger
                .transaction(|tx| {
                    for number in 0..2_000 {
                        let operation = operation(round * 2_000 + number, number != 0);
                        tx.put_record(crate::agent::work::OPERATION, &operation.id, &operation)?;
                        tx.append_event(event())?;
                    }
                    Ok(())
                })
                .unwrap();
            ledger.prune(&retention).unwrap();
            forget_old(&ledger).unwrap();
            // The room is given back with the next pruning.
            ledger.prune(&retention).unwrap();
            sizes.push(ledger.size().unwrap());
        }
        let records: Vec<u64> = sizes.iter().map(|size| size.records).collect();
        assert_eq!(records, [501, 502, 503], "five hundred and those that have not ended");
        assert!(sizes.iter().all(|size| size.events == 200), "{sizes:?}");
        let (first, last) = (sizes[0].bytes, sizes[2].bytes);
        assert!(last <= first + first / 4, "{first} bytes have become {last}");
        let open = ledger.get_record::<Operation>(crate::agent::work::OPERATION, "op0").unwrap();
        assert!(open.is_some(), "the oldest has not ended, so it is kept");
    }
}
