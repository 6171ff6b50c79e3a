//! Events: the story of a platform, in the order it was told.

use serde_json::Value;
use spec::{EnvironmentName, PlatformName, SagaId, ServiceName};

use crate::error::Result;
use crate::open::{Ledger, Tx};
use crate::sums;

/// Something that happened, before it has a number and a time.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// Dotted words, the noun first: `deploy.switched`.
    pub kind: String,
    pub platform: PlatformName,
    pub environment: EnvironmentName,
    pub service: Option<ServiceName>,
    pub saga: Option<SagaId>,
    pub data: Value,
}

/// Something that happened. `seq` orders events; `at_ms` (Unix milliseconds) is for people.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Event {
    pub seq: i64,
    pub at_ms: i64,
    pub kind: String,
    pub platform: PlatformName,
    pub environment: EnvironmentName,
    pub service: Option<ServiceName>,
    pub saga: Option<SagaId>,
    pub data: Value,
}

/// Which events to look up. What is `None` does not narrow.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// The first letters of the kind: `deploy.` finds all of them.
    pub kind_prefix: Option<String>,
    pub platform: Option<PlatformName>,
    pub environment: Option<EnvironmentName>,
    pub service: Option<ServiceName>,
    pub saga: Option<SagaId>,
}

// === impl Ledger ===

impl Ledger {
    /// Writes one event and returns its number.
    pub fn append_event(&self, event: NewEvent) -> Result<i64> {
        self.write(|tx| tx.append_event(event))
    }

    /// Events after `after_seq` in order, at most `limit`. Start with 0; go on with the last `seq` you saw.
    pub fn events(&self, filter: &EventFilter, after_seq: i64, limit: usize) -> Result<Vec<Event>> {
        self.read(|tx| tx.events(filter, after_seq, limit))
    }

    /// The newest `limit` events, still in order.
    pub fn last_events(&self, filter: &EventFilter, limit: usize) -> Result<Vec<Event>> {
        self.read(|tx| tx.last_events(filter, limit))
    }
}

// === impl Tx ===

const COLUMNS: &str = "seq, at_ms, kind, platform, environment, service, saga, data";
const NARROW: &str = "(?1 IS NULL OR substr(kind, 1, length(?1)) = ?1) AND (?2 IS NULL OR platform = ?2)
    AND (?3 IS NULL OR environment = ?3) AND (?4 IS NULL OR service = ?4) AND (?5 IS NULL OR saga = ?5)";

impl Tx<'_> {
    pub fn append_event(&self, event: NewEvent) -> Result<i64> {
        let (now, data) = (self.now_ms(), event.data.to_string());
        let service: Option<&str> = event.service.as_ref().map(AsRef::as_ref);
        let saga: Option<&str> = event.saga.as_ref().map(AsRef::as_ref);
        let (platform, environment): (&str, &str) = (event.platform.as_ref(), event.environment.as_ref());
        let (of, in_saga) = (service.unwrap_or_default(), saga.unwrap_or_default());
        let sum = sums::of(&[&now.to_string(), &event.kind, platform, environment, of, in_saga, &data]);
        self.sql("append an event", |connection| {
            connection.execute(
                "INSERT INTO event (at_ms, kind, platform, environment, service, saga, data, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                rusqlite::params![now, event.kind, platform, environment, service, saga, data, sum],
            )?;
            Ok(connection.last_insert_rowid())
        })
    }

    pub fn events(&self, filter: &EventFilter, after_seq: i64, limit: usize) -> Result<Vec<Event>> {
        self.select(
            &format!("SELECT {COLUMNS} FROM event WHERE {NARROW} AND seq > ?6 ORDER BY seq LIMIT ?7"),
            filter,
            after_seq,
            limit,
        )
    }

    pub fn last_events(&self, filter: &EventFilter, limit: usize) -> Result<Vec<Event>> {
        let query = format!("SELECT {COLUMNS} FROM event WHERE {NARROW} AND seq > ?6 ORDER BY seq DESC LIMIT ?7");
        let mut events = self.select(&query, filter, 0, limit)?;
        events.reverse();
        Ok(events)
    }

    fn select(&self, query: &str, filter: &EventFilter, after_seq: i64, limit: usize) -> Result<Vec<Event>> {
        let rows: Vec<StoredEvent> = self.sql("look up events", |connection| {
            let mut statement = connection.prepare_cached(query)?;
            let values = rusqlite::params![
                filter.kind_prefix,
                filter.platform.as_ref().map(AsRef::<str>::as_ref),
                filter.environment.as_ref().map(AsRef::<str>::as_ref),
                filter.service.as_ref().map(AsRef::<str>::as_ref),
                filter.saga.as_ref().map(AsRef::<str>::as_ref),
                after_seq,
                i64::try_from(limit).unwrap_or(i64::MAX),
            ];
            statement.query_map(values, stored)?.collect()
        })?;
        rows.into_iter().map(|row| self.event(row)).collect()
    }

    fn event(&self, row: StoredEvent) -> Result<Event> {
        let what = || format!("event {}", row.seq);
        Ok(Event {
            seq: row.seq,
            at_ms: row.at_ms,
            kind: row.kind,
            platform: PlatformName::parse(&row.platform).map_err(|source| self.unreadable(what(), source))?,
            environment: EnvironmentName::parse(&row.environment).map_err(|source| self.unreadable(what(), source))?,
            service: row
                .service
                .map(|name| ServiceName::parse(&name))
                .transpose()
                .map_err(|source| self.unreadable(what(), source))?,
            saga: row
                .saga
                .map(|id| SagaId::parse(&id))
                .transpose()
                .map_err(|source| self.unreadable(what(), source))?,
            data: self.decode(&row.data, what)?,
        })
    }
}

struct StoredEvent {
    seq: i64,
    at_ms: i64,
    kind: String,
    platform: String,
    environment: String,
    service: Option<String>,
    saga: Option<String>,
    data: String,
}

fn stored(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredEvent> {
    Ok(StoredEvent {
        seq: row.get(0)?,
        at_ms: row.get(1)?,
        kind: row.get(2)?,
        platform: row.get(3)?,
        environment: row.get(4)?,
        service: row.get(5)?,
        saga: row.get(6)?,
        data: row.get(7)?,
    })
}

#[cfg(test)]
mod tests;
