//! Records: the documents of the domains, kept by kind and key, so that nobody else needs SQL.

use rusqlite::OptionalExtension;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{LedgerError, Result};
use crate::lease::unsigned;
use crate::open::{Ledger, Tx};
use crate::sums;

/// Records of one kind, with those that no longer decode named beside them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records<T> {
    pub readable: Vec<(String, T)>,
    pub unreadable: Vec<UnreadableRecord>,
}

/// A record that this program cannot decode. It is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableRecord {
    pub key: String,
    pub reason: String,
}

// === impl Ledger ===

impl Ledger {
    /// Writes a document, replacing the one under the same kind and key.
    pub fn put_record(&self, kind: &str, key: &str, record: &impl Serialize) -> Result<()> {
        self.write(|tx| tx.put_record(kind, key, record))
    }

    /// The document under a kind and key. One that is there and does not decode is an error, never `None`.
    pub fn get_record<T: DeserializeOwned>(&self, kind: &str, key: &str) -> Result<Option<T>> {
        self.read(|tx| tx.get_record(kind, key))
    }

    /// All documents of a kind whose key starts with `key_prefix`, ordered by key.
    /// One that does not decode makes this an error: whoever decides from a list must not decide from half of it.
    pub fn list_records<T: DeserializeOwned>(&self, kind: &str, key_prefix: &str) -> Result<Vec<(String, T)>> {
        self.read(|tx| tx.list_records(kind, key_prefix))
    }

    /// Like [`Ledger::list_records`], but names the documents that do not decode beside those that do. For showing.
    pub fn list_readable_records<T: DeserializeOwned>(&self, kind: &str, key_prefix: &str) -> Result<Records<T>> {
        self.read(|tx| tx.list_readable_records(kind, key_prefix))
    }

    /// Removes a document; says whether there was one.
    pub fn delete_record(&self, kind: &str, key: &str) -> Result<bool> {
        self.write(|tx| tx.delete_record(kind, key))
    }

    /// Forgets the documents of a kind that may go, but for the `keep` that were written last. How many went.
    pub fn forget_records<T: DeserializeOwned>(
        &self,
        kind: &str,
        keep: usize,
        may_go: impl Fn(&T) -> bool,
    ) -> Result<usize> {
        self.write(|tx| tx.forget_records(kind, keep, &may_go))
    }

    /// The next number of a counter: 1, 2, 3 and so on. A number is never given twice, even when nothing came of it.
    pub fn next_number(&self, name: &str) -> Result<u64> {
        self.write(|tx| tx.next_number(name))
    }
}

// === impl Tx ===

impl Tx<'_> {
    pub fn put_record(&self, kind: &str, key: &str, record: &impl Serialize) -> Result<()> {
        let body =
            serde_json::to_string(record).map_err(|source| LedgerError::Encode { what: named(kind, key), source })?;
        let now = self.now_ms();
        let sum = sums::of(&[kind, key, &body, &now.to_string()]);
        self.sql("write a record", |connection| {
            connection
                .execute(
                    "INSERT INTO record (kind, key, body, updated_ms, sum) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (kind, key) DO UPDATE SET body = ?3, updated_ms = ?4, sum = ?5",
                    rusqlite::params![kind, key, body, now, sum],
                )
                .map(|_| ())
        })
    }

    pub fn get_record<T: DeserializeOwned>(&self, kind: &str, key: &str) -> Result<Option<T>> {
        let found = self.sql("look up a record", |connection| {
            let query = "SELECT key, body, updated_ms, sum FROM record WHERE kind = ?1 AND key = ?2";
            connection.query_row(query, [kind, key], stored).optional()
        })?;
        found.map(|found| self.decode(&self.sound(kind, &found)?.body, || named(kind, key))).transpose()
    }

    pub fn list_records<T: DeserializeOwned>(&self, kind: &str, key_prefix: &str) -> Result<Vec<(String, T)>> {
        let decode = |found: Stored| {
            let record = self.decode(&self.sound(kind, &found)?.body, || named(kind, &found.key))?;
            Ok((found.key, record))
        };
        self.bodies(kind, key_prefix)?.into_iter().map(decode).collect()
    }

    pub fn list_readable_records<T: DeserializeOwned>(&self, kind: &str, key_prefix: &str) -> Result<Records<T>> {
        let mut records = Records { readable: Vec::new(), unreadable: Vec::new() };
        for found in self.bodies(kind, key_prefix)? {
            let sound = self.sound(kind, &found).map_err(|error| error.to_string());
            match sound.and_then(|found| serde_json::from_str(&found.body).map_err(|error| error.to_string())) {
                Ok(record) => records.readable.push((found.key, record)),
                Err(reason) => records.unreadable.push(UnreadableRecord { key: found.key, reason }),
            }
        }
        Ok(records)
    }

    pub fn delete_record(&self, kind: &str, key: &str) -> Result<bool> {
        self.sql("delete a record", |connection| {
            connection
                .execute("DELETE FROM record WHERE kind = ?1 AND key = ?2", [kind, key])
                .map(|deleted| deleted > 0)
        })
    }

    pub fn forget_records<T: DeserializeOwned>(
        &self,
        kind: &str,
        keep: usize,
        may_go: &impl Fn(&T) -> bool,
    ) -> Result<usize> {
        let old: Vec<Stored> = self.sql("list old records", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT key, body, updated_ms, sum FROM record WHERE kind = ?1 ORDER BY updated_ms DESC, length(key) DESC, key DESC LIMIT -1 OFFSET ?2",
            )?;
            let keep = i64::try_from(keep).unwrap_or(i64::MAX);
            statement.query_map(rusqlite::params![kind, keep], stored)?.collect()
        })?;
        let mut forgotten = 0;
        for found in old {
            // One that cannot be read is not thrown away: somebody may still want to look at it.
            let is_sound = self.sound(kind, &found).is_ok();
            if is_sound && serde_json::from_str::<T>(&found.body).is_ok_and(|record| may_go(&record)) {
                forgotten += usize::from(self.delete_record(kind, &found.key)?);
            }
        }
        Ok(forgotten)
    }

    pub fn next_number(&self, name: &str) -> Result<u64> {
        self.sql("take a number", |connection| {
            connection
                .query_row(
                    "INSERT INTO counter (name, value) VALUES (?1, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value",
                    [name],
                    |row| row.get(0),
                )
                .map(unsigned)
        })
    }

    /// What was written, or the finding that it is something else by now.
    fn sound<'s>(&self, kind: &str, found: &'s Stored) -> Result<&'s Stored> {
        let parts = [kind, &found.key, &found.body, &found.updated_ms.to_string()];
        match found.sum.is_none_or(|sum| sum == sums::of(&parts)) {
            true => Ok(found),
            false => Err(LedgerError::Damaged {
                file: self.file().to_owned(),
                finding: format!("{} is not what was written", named(kind, &found.key)),
                source: None,
            }),
        }
    }

    fn bodies(&self, kind: &str, key_prefix: &str) -> Result<Vec<Stored>> {
        self.sql("list records", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT key, body, updated_ms, sum FROM record WHERE kind = ?1 AND key >= ?2 AND key < ?3 ORDER BY key",
            )?;
            // A range of the primary key: records with other beginnings are not read at all.
            let end = format!("{key_prefix}{}", char::MAX);
            statement.query_map([kind, key_prefix, &end], stored)?.collect()
        })
    }
}

/// A record as it lies there.
struct Stored {
    key: String,
    body: String,
    updated_ms: i64,
    /// `None` in what an earlier version wrote.
    sum: Option<i64>,
}

fn stored(row: &rusqlite::Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored { key: row.get(0)?, body: row.get(1)?, updated_ms: row.get(2)?, sum: row.get(3)? })
}

fn named(kind: &str, key: &str) -> String {
    format!("the {kind} record `{key}`")
}

#[cfg(test)]
mod tests;
