//! Retention: the ledger stays small. The audit chain, evidence, records and stuck sagas are never pruned.

use std::time::Duration;

use serde::Serialize;

use crate::error::Result;
use crate::lease::unsigned;
use crate::open::{Ledger, Tx};

/// How much of one kind of row is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Rows older than this go.
    pub age: Duration,
    /// The newest rows stay whatever their age: a clock set far ahead must not empty the ledger.
    pub at_least: u64,
    /// Rows beyond this many go whatever their age.
    pub at_most: u64,
}

/// What [`Ledger::prune`] keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    pub events: Keep,
    /// Finished sagas, each with its log.
    pub sagas: Keep,
}

/// How many rows were removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Pruned {
    pub events: usize,
    pub sagas: usize,
}

/// How large the ledger is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Size {
    pub bytes: u64,
    pub events: u64,
    pub evidence: u64,
    pub audit: u64,
    pub records: u64,
    pub sagas: u64,
}

impl Default for Retention {
    /// 90 days; at least 1,000 and at most 200,000 events, at least 100 and at most 5,000 sagas.
    fn default() -> Self {
        let age = Duration::from_secs(90 * 24 * 60 * 60);
        Self {
            events: Keep { age, at_least: 1_000, at_most: 200_000 },
            sagas: Keep { age, at_least: 100, at_most: 5_000 },
        }
    }
}

// === impl Ledger ===

impl Ledger {
    /// Removes old events and finished sagas, and gives their room in the file back.
    pub fn prune(&self, retention: &Retention) -> Result<Pruned> {
        let pruned = self.write(|tx| tx.prune(retention))?;
        self.read(|tx| tx.sql("give room back", give_room_back))?;
        Ok(pruned)
    }

    pub fn size(&self) -> Result<Size> {
        self.read(|tx| tx.size())
    }
}

// === impl Tx ===

const PRUNE_EVENTS: &str = "DELETE FROM event WHERE seq IN (
    SELECT seq FROM (SELECT seq, at_ms, row_number() OVER (ORDER BY seq DESC) AS place FROM event)
    WHERE place > ?3 OR (place > ?2 AND at_ms < ?1))";

const PRUNE_SAGAS: &str = "DELETE FROM saga WHERE id IN (
    SELECT id FROM (SELECT id, finished_ms, row_number() OVER (ORDER BY finished_ms DESC, rowid DESC) AS place
                    FROM saga WHERE outcome IN ('done', 'undone'))
    WHERE place > ?3 OR (place > ?2 AND finished_ms < ?1))";

impl Tx<'_> {
    fn prune(&self, retention: &Retention) -> Result<Pruned> {
        Ok(Pruned {
            events: self.prune_rows(PRUNE_EVENTS, retention.events)?,
            sagas: self.prune_rows(PRUNE_SAGAS, retention.sagas)?,
        })
    }

    fn prune_rows(&self, statement: &str, keep: Keep) -> Result<usize> {
        let age = i64::try_from(keep.age.as_millis()).unwrap_or(i64::MAX);
        let oldest = self.now_ms().saturating_sub(age);
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let values = [oldest, count(keep.at_least.min(keep.at_most)), count(keep.at_most)];
        self.sql("prune old rows", |connection| connection.execute(statement, values))
    }

    fn size(&self) -> Result<Size> {
        let query = "SELECT (SELECT page_count * page_size FROM pragma_page_count, pragma_page_size),
            (SELECT count(*) FROM event), (SELECT count(*) FROM evidence), (SELECT count(*) FROM audit),
            (SELECT count(*) FROM record), (SELECT count(*) FROM saga)";
        self.sql("measure the ledger", |connection| {
            connection.query_row(query, [], |row| {
                let number = |index| row.get(index).map(unsigned);
                Ok(Size {
                    bytes: number(0)?,
                    events: number(1)?,
                    evidence: number(2)?,
                    audit: number(3)?,
                    records: number(4)?,
                    sagas: number(5)?,
                })
            })
        })
    }
}

/// The pragma frees one page each time it is stepped, so it is stepped to its end.
fn give_room_back(connection: &rusqlite::Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("PRAGMA incremental_vacuum")?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

#[cfg(test)]
mod tests;
