//! The intent log of the sagas. What the rows mean is known to `saga`; here they are only kept, in order and once each.

use rusqlite::OptionalExtension;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spec::{EnvironmentName, PlatformName, SagaId};

use crate::error::{LedgerError, Result};
use crate::lease::{signed, unsigned};
use crate::open::{Ledger, Tx};
use crate::sums;

/// One long operation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SagaRow {
    pub id: SagaId,
    pub kind: String,
    pub params: Value,
    /// The steps as they were when the saga was created, so that another version of the program notices a difference.
    pub steps: Value,
    /// The fencing token of the lease it runs under.
    pub lease_token: Option<u64>,
    pub created_ms: i64,
    /// `None` while it is unfinished.
    pub outcome: Option<SagaOutcome>,
    /// Why it ended so, as `saga` wrote it.
    pub reason: Option<Value>,
    pub finished_ms: Option<i64>,
    /// Why some of this row could not be read; the unreadable part is `null` above.
    pub damage: Option<String>,
}

/// How a saga ended. A stuck one needs a person; it is never pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SagaOutcome {
    Done,
    Undone,
    Stuck,
}

/// One entry of a saga's log. `index` counts from 0 within the saga, `seq` over all of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SagaEventRow {
    pub seq: i64,
    pub index: u64,
    pub at_ms: i64,
    pub event: Value,
}

/// Which sagas to list. What is `None` does not narrow.
/// A saga belongs to the platform and environment that the fields `platform` and `environment` of its params name.
#[derive(Debug, Clone, Default)]
pub struct SagaFilter {
    pub kind: Option<String>,
    pub platform: Option<PlatformName>,
    pub environment: Option<EnvironmentName>,
    pub outcome: Option<SagaOutcome>,
}

impl SagaRow {
    /// A saga that is about to be created, without anything that only time brings.
    pub fn new(id: SagaId, kind: &str, params: Value, steps: Value, created_ms: i64) -> Self {
        Self {
            id,
            kind: kind.to_owned(),
            params,
            steps,
            lease_token: None,
            created_ms,
            outcome: None,
            reason: None,
            finished_ms: None,
            damage: None,
        }
    }
}

impl SagaOutcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Undone => "undone",
            Self::Stuck => "stuck",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Done, Self::Undone, Self::Stuck].into_iter().find(|outcome| outcome.as_str() == word)
    }
}

// === impl Ledger ===

impl Ledger {
    /// Writes a new saga. [`LedgerError::Exists`] when its id was used before.
    pub fn create_saga(&self, row: &SagaRow) -> Result<()> {
        self.write(|tx| tx.create_saga(row))
    }

    pub fn saga(&self, id: &SagaId) -> Result<Option<SagaRow>> {
        self.read(|tx| tx.saga(id))
    }

    /// Writes entry number `index` of a saga's log and returns its `seq`.
    /// [`LedgerError::Exists`] when that entry was written before: then somebody else runs the same saga.
    pub fn append_saga_event(&self, id: &SagaId, index: u64, event: &Value) -> Result<i64> {
        self.write(|tx| tx.append_saga_event(id, index, event))
    }

    /// The whole log of a saga, in order.
    pub fn saga_events(&self, id: &SagaId) -> Result<Vec<SagaEventRow>> {
        self.read(|tx| tx.saga_events(id))
    }

    /// Says how a saga ended, and why.
    pub fn finish_saga(&self, id: &SagaId, outcome: SagaOutcome, reason: Option<&Value>) -> Result<()> {
        self.write(|tx| tx.finish_saga(id, outcome, reason))
    }

    /// Makes a stuck saga unfinished again, because a person has looked at it. Says whether it was stuck.
    pub fn reopen_saga(&self, id: &SagaId) -> Result<bool> {
        self.write(|tx| tx.reopen_saga(id))
    }

    /// The sagas without an outcome, oldest first. A row that is damaged is among them, and says so.
    pub fn unfinished_sagas(&self) -> Result<Vec<SagaRow>> {
        self.read(|tx| tx.unfinished_sagas())
    }

    /// Sagas, newest first, at most `limit`.
    pub fn sagas(&self, filter: &SagaFilter, limit: usize) -> Result<Vec<SagaRow>> {
        self.read(|tx| tx.sagas(filter, limit))
    }
}

// === impl Tx ===

const SELECT: &str = "SELECT id, kind, params, steps, lease_token, created_ms, outcome, reason, finished_ms FROM saga";

impl Tx<'_> {
    pub fn create_saga(&self, row: &SagaRow) -> Result<()> {
        let (id, params, steps): (&str, _, _) = (row.id.as_ref(), row.params.to_string(), row.steps.to_string());
        let sum = sums::of(&[id, &row.kind, &params, &steps, &row.created_ms.to_string()]);
        let inserted = self.sql("create a saga", |connection| {
            connection.execute(
                "INSERT INTO saga (id, kind, params, steps, lease_token, created_ms, sum)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO NOTHING",
                rusqlite::params![id, row.kind, params, steps, row.lease_token.map(signed), row.created_ms, sum],
            )
        })?;
        if inserted == 0 {
            Err(LedgerError::Exists { operation: "create a saga", thing: row.id.to_string() })
        } else {
            Ok(())
        }
    }

    pub fn saga(&self, id: &SagaId) -> Result<Option<SagaRow>> {
        let row = self.sql("look up a saga", |connection| {
            connection.query_row(&format!("{SELECT} WHERE id = ?1"), [id.as_ref() as &str], stored).optional()
        })?;
        row.map(|row| row.opened(self)).transpose()
    }

    pub fn append_saga_event(&self, id: &SagaId, index: u64, event: &Value) -> Result<i64> {
        let (saga, index, now, event): (&str, _, _, _) = (id.as_ref(), signed(index), self.now_ms(), event.to_string());
        let sum = sums::of(&[saga, &index.to_string(), &now.to_string(), &event]);
        let inserted = self.sql("append to a saga's log", |connection| {
            let inserted = connection.execute(
                "INSERT INTO saga_event (saga, idx, at_ms, event, sum) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (saga, idx) DO NOTHING",
                rusqlite::params![saga, index, now, event, sum],
            )?;
            Ok((inserted > 0).then(|| connection.last_insert_rowid()))
        })?;
        inserted
            .ok_or_else(|| LedgerError::Exists { operation: "append to a saga's log", thing: format!("{id} {index}") })
    }

    pub fn saga_events(&self, id: &SagaId) -> Result<Vec<SagaEventRow>> {
        let rows: Vec<(i64, i64, i64, String)> = self.sql("read a saga's log", |connection| {
            let mut statement = connection
                .prepare_cached("SELECT seq, idx, at_ms, event FROM saga_event WHERE saga = ?1 ORDER BY idx")?;
            statement
                .query_map([id.as_ref() as &str], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
                .collect()
        })?;
        rows.into_iter()
            .map(|(seq, index, at_ms, event)| {
                let event = self.decode(&event, || format!("log entry {index} of the saga `{id}`"))?;
                Ok(SagaEventRow { seq, index: unsigned(index), at_ms, event })
            })
            .collect()
    }

    pub fn finish_saga(&self, id: &SagaId, outcome: SagaOutcome, reason: Option<&Value>) -> Result<()> {
        let changed = self.sql("finish a saga", |connection| {
            connection.execute(
                "UPDATE saga SET outcome = ?2, reason = ?3, finished_ms = ?4 WHERE id = ?1",
                rusqlite::params![id.as_ref() as &str, outcome.as_str(), reason.map(Value::to_string), self.now_ms()],
            )
        })?;
        if changed == 0 {
            Err(LedgerError::NotFound { operation: "finish a saga", thing: id.to_string() })
        } else {
            Ok(())
        }
    }

    pub fn reopen_saga(&self, id: &SagaId) -> Result<bool> {
        self.sql("reopen a saga", |connection| {
            let change =
                "UPDATE saga SET outcome = NULL, reason = NULL, finished_ms = NULL WHERE id = ?1 AND outcome = 'stuck'";
            connection.execute(change, [id.as_ref() as &str]).map(|changed| changed > 0)
        })
    }

    pub fn unfinished_sagas(&self) -> Result<Vec<SagaRow>> {
        let rows = self.sql("list unfinished sagas", |connection| {
            let mut statement =
                connection.prepare_cached(&format!("{SELECT} WHERE outcome IS NULL ORDER BY created_ms, rowid"))?;
            statement.query_map([], stored)?.collect()
        })?;
        Ok(self.all_opened(rows))
    }

    pub fn sagas(&self, filter: &SagaFilter, limit: usize) -> Result<Vec<SagaRow>> {
        let rows = self.sql("list sagas", |connection| {
            let mut statement = connection.prepare_cached(&format!(
                "{SELECT} WHERE (?1 IS NULL OR kind = ?1) AND (?4 IS NULL OR outcome = ?4)
                 AND (?2 IS NULL OR (json_valid(params) AND json_extract(params, '$.platform') = ?2))
                 AND (?3 IS NULL OR (json_valid(params) AND json_extract(params, '$.environment') = ?3))
                 ORDER BY created_ms DESC, rowid DESC LIMIT ?5"
            ))?;
            let values = rusqlite::params![
                filter.kind,
                filter.platform.as_ref().map(AsRef::<str>::as_ref),
                filter.environment.as_ref().map(AsRef::<str>::as_ref),
                filter.outcome.map(SagaOutcome::as_str),
                i64::try_from(limit).unwrap_or(i64::MAX),
            ];
            statement.query_map(values, stored)?.collect()
        })?;
        Ok(self.all_opened(rows))
    }

    /// A list leaves out only a row without a usable id, which nothing could be done with; the log of the program names it.
    fn all_opened(&self, rows: Vec<StoredSaga>) -> Vec<SagaRow> {
        rows.into_iter()
            .filter_map(|row| {
                row.opened(self).inspect_err(|error| tracing::error!(%error, "a saga row is left out")).ok()
            })
            .collect()
    }
}

struct StoredSaga {
    id: String,
    kind: String,
    params: String,
    steps: String,
    lease_token: Option<i64>,
    created_ms: i64,
    outcome: Option<String>,
    reason: Option<String>,
    finished_ms: Option<i64>,
}

impl StoredSaga {
    /// Opens the JSON inside. What is damaged is named and left `null`, so that one bad row hides no other.
    fn opened(self, tx: &Tx<'_>) -> Result<SagaRow> {
        let id = SagaId::parse(&self.id)
            .map_err(|source| tx.unreadable(format!("the id of the saga `{}`", self.id), source))?;
        let mut damage = Vec::new();
        let mut json = |name: &str, text: &str| {
            serde_json::from_str(text).unwrap_or_else(|error| {
                damage.push(format!("{name}: {error}"));
                Value::Null
            })
        };
        let params = json("params", &self.params);
        let steps = json("steps", &self.steps);
        let reason = self.reason.map(|text| json("reason", &text));
        let outcome = self.outcome.as_deref().map(|word| {
            // An outcome that nobody knows is not "unfinished": such a saga must not be run again.
            SagaOutcome::parse(word).unwrap_or_else(|| {
                damage.push(format!("outcome: unknown word `{word}`"));
                SagaOutcome::Stuck
            })
        });
        let (created_ms, finished_ms, lease_token) =
            (self.created_ms, self.finished_ms, self.lease_token.map(unsigned));
        let damage = (!damage.is_empty()).then(|| damage.join("; "));
        Ok(SagaRow {
            id,
            kind: self.kind,
            params,
            steps,
            lease_token,
            created_ms,
            outcome,
            reason,
            finished_ms,
            damage,
        })
    }
}

fn stored(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredSaga> {
    Ok(StoredSaga {
        id: row.get(0)?,
        kind: row.get(1)?,
        params: row.get(2)?,
        steps: row.get(3)?,
        lease_token: row.get(4)?,
        created_ms: row.get(5)?,
        outcome: row.get(6)?,
        reason: row.get(7)?,
        finished_ms: row.get(8)?,
    })
}

#[cfg(test)]
mod tests;
