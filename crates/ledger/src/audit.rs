//! The audit chain: who did what, written so that a later change shows.
//!
//! An entry's hash is SHA-256 over its canonical JSON, which holds the hash of the entry before it.
//! The hash of the newest entry is kept once more in a row apart (the *head*), so that cutting entries off the end shows too.
//! The stored text of `detail` is hashed as it stands and never decoded and written again: a float may not survive that.

use rusqlite::OptionalExtension;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::canonical::{canonical, quoted};
use crate::error::Result;
use crate::open::{Ledger, Tx};

/// What the first entry names as the hash before it.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One action somebody took. `hash` covers every other field.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditEntry {
    pub seq: i64,
    /// Unix milliseconds.
    pub at_ms: i64,
    pub actor: String,
    pub action: String,
    pub subject: String,
    pub detail: Value,
    pub prev_hash: String,
    pub hash: String,
}

/// The end of the chain. Kept elsewhere, it proves later that nothing up to here was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    pub seq: i64,
    pub hash: String,
}

/// What a walk along the chain found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditVerdict {
    /// How many entries hold together, counted from the first.
    pub entries: u64,
    pub chain: Chain,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "chain")]
pub enum Chain {
    Ok,
    /// The first place where the chain does not hold: what should be there, and what is.
    BrokenAt {
        seq: i64,
        expected: String,
        found: String,
    },
}

impl AuditVerdict {
    pub fn is_ok(&self) -> bool {
        self.chain == Chain::Ok
    }
}

// === impl Ledger ===

impl Ledger {
    /// Adds an entry to the chain. `detail` must not hold a secret: entries are never deleted.
    pub fn append_audit(&self, actor: &str, action: &str, subject: &str, detail: Value) -> Result<AuditEntry> {
        self.write(|tx| tx.append_audit(actor, action, subject, detail))
    }

    /// Entries after `after_seq` in order, at most `limit`.
    pub fn audit(&self, after_seq: i64, limit: usize) -> Result<Vec<AuditEntry>> {
        self.read(|tx| tx.audit(after_seq, limit))
    }

    /// The end of the chain, to be kept elsewhere. `None` before the first entry.
    pub fn audit_head(&self) -> Result<Option<AuditHead>> {
        self.read(|tx| tx.audit_head())
    }

    /// Walks the whole chain and compares its end with the head that this ledger keeps.
    pub fn verify_audit(&self) -> Result<AuditVerdict> {
        self.write(|tx| tx.verify_audit(None))
    }

    /// Walks the whole chain and also looks for a head that was kept elsewhere.
    /// This finds what [`Ledger::verify_audit`] cannot: a file that was rewritten as a whole, or an older copy put back.
    pub fn verify_audit_against(&self, kept: &AuditHead) -> Result<AuditVerdict> {
        self.write(|tx| tx.verify_audit(Some(kept)))
    }
}

// === impl Tx ===

/// An entry as it is stored: `detail` is still the text that was hashed.
#[derive(Debug, Clone)]
struct StoredEntry {
    seq: i64,
    at_ms: i64,
    actor: String,
    action: String,
    subject: String,
    detail: String,
    prev_hash: String,
    hash: String,
}

impl Tx<'_> {
    pub fn append_audit(&self, actor: &str, action: &str, subject: &str, detail: Value) -> Result<AuditEntry> {
        let head = self.audit_head()?;
        let mut entry = StoredEntry {
            seq: head.as_ref().map_or(1, |head| head.seq + 1),
            at_ms: self.now_ms(),
            actor: actor.to_owned(),
            action: action.to_owned(),
            subject: subject.to_owned(),
            detail: canonical(&detail),
            prev_hash: head.map_or_else(|| GENESIS.to_owned(), |head| head.hash),
            hash: String::new(),
        };
        entry.hash = entry.digest();
        self.store(&entry)?;
        let StoredEntry { seq, at_ms, prev_hash, hash, .. } = entry;
        Ok(AuditEntry {
            seq,
            at_ms,
            actor: entry.actor,
            action: entry.action,
            subject: entry.subject,
            detail,
            prev_hash,
            hash,
        })
    }

    pub fn audit(&self, after_seq: i64, limit: usize) -> Result<Vec<AuditEntry>> {
        let rows: Vec<StoredEntry> = self.sql("look up audit entries", |connection| {
            let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE seq > ?1 ORDER BY seq LIMIT ?2"))?;
            statement
                .query_map(rusqlite::params![after_seq, i64::try_from(limit).unwrap_or(i64::MAX)], stored)?
                .collect()
        })?;
        rows.into_iter()
            .map(|row| {
                let detail = self.decode(&row.detail, || format!("audit entry {}", row.seq))?;
                let StoredEntry { seq, at_ms, actor, action, subject, prev_hash, hash, .. } = row;
                Ok(AuditEntry { seq, at_ms, actor, action, subject, detail, prev_hash, hash })
            })
            .collect()
    }

    pub fn audit_head(&self) -> Result<Option<AuditHead>> {
        self.sql("look up the audit head", |connection| {
            connection
                .query_row("SELECT seq, hash FROM audit_head", [], |row| {
                    Ok(AuditHead { seq: row.get(0)?, hash: row.get(1)? })
                })
                .optional()
        })
    }

    fn store(&self, entry: &StoredEntry) -> Result<()> {
        self.sql("append an audit entry", |connection| {
            connection.execute(
                "INSERT INTO audit (seq, at_ms, actor, action, subject, detail, prev_hash, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                rusqlite::params![
                    entry.seq, entry.at_ms, entry.actor, entry.action, entry.subject, entry.detail, entry.prev_hash, entry.hash
                ],
            )?;
            connection.execute(
                "INSERT INTO audit_head (id, seq, hash) VALUES (1, ?1, ?2) ON CONFLICT (id) DO UPDATE SET seq = ?1, hash = ?2",
                rusqlite::params![entry.seq, entry.hash],
            )?;
            Ok(())
        })
    }

    fn verify_audit(&self, kept: Option<&AuditHead>) -> Result<AuditVerdict> {
        let own = self.audit_head()?;
        let mut walk = Walk { entries: 0, seq: 0, hash: GENESIS.to_owned() };
        let mut broken = None;
        self.sql("walk the audit chain", |connection| {
            let mut statement = connection.prepare_cached(&format!("{SELECT} ORDER BY seq"))?;
            let mut rows = statement.query([])?;
            while let (None, Some(row)) = (&broken, rows.next()?) {
                broken = match stored(row) {
                    Ok(entry) => walk.take(&entry).or_else(|| kept.and_then(|kept| walk.compare(kept))),
                    // A value of another type than the column says is a change like any other.
                    Err(rusqlite::Error::SqliteFailure(code, text)) => {
                        return Err(rusqlite::Error::SqliteFailure(code, text));
                    }
                    Err(unreadable) => Some(walk.broken("an audit entry", &unreadable.to_string())),
                };
            }
            Ok(())
        })?;
        let broken = broken.or_else(|| walk.ends_before(own.as_ref())).or_else(|| walk.ends_before(kept));
        let broken = broken.or_else(|| walk.unheaded(own.as_ref()));
        Ok(AuditVerdict { entries: walk.entries, chain: broken.unwrap_or(Chain::Ok) })
    }
}

impl StoredEntry {
    fn digest(&self) -> String {
        let text = format!(
            r#"{{"action":{},"actor":{},"at_ms":{},"detail":{},"prev_hash":{},"seq":{},"subject":{}}}"#,
            quoted(&self.action),
            quoted(&self.actor),
            self.at_ms,
            self.detail,
            quoted(&self.prev_hash),
            self.seq,
            quoted(&self.subject),
        );
        format!("{:x}", Sha256::digest(text.as_bytes()))
    }
}

/// How far the chain was found to hold.
struct Walk {
    entries: u64,
    seq: i64,
    hash: String,
}

impl Walk {
    /// Takes the next entry, or says why it does not follow.
    fn take(&mut self, entry: &StoredEntry) -> Option<Chain> {
        if entry.seq != self.seq + 1 {
            return Some(self.broken(&format!("entry {}", self.seq + 1), &format!("entry {}", entry.seq)));
        }
        if entry.prev_hash != self.hash {
            return Some(self.broken(&self.hash, &entry.prev_hash));
        }
        // Text that is not one JSON value could be cut so that two different entries have one digest.
        if serde_json::from_str::<serde::de::IgnoredAny>(&entry.detail).is_err() {
            return Some(self.broken("a detail that is JSON", &entry.detail));
        }
        let digest = entry.digest();
        if entry.hash != digest {
            return Some(self.broken(&digest, &entry.hash));
        }
        *self = Self { entries: self.entries + 1, seq: entry.seq, hash: digest };
        None
    }

    /// At the place of a head that was kept, the hash must be the same.
    fn compare(&self, kept: &AuditHead) -> Option<Chain> {
        let differs = kept.seq == self.seq && kept.hash != self.hash;
        differs.then(|| Chain::BrokenAt { seq: self.seq, expected: kept.hash.clone(), found: self.hash.clone() })
    }

    /// Entries that a head speaks of are missing at the end.
    fn ends_before(&self, head: Option<&AuditHead>) -> Option<Chain> {
        let head = head?;
        if head.seq > self.seq {
            let found = format!("the end after {} entries", self.entries);
            return Some(Chain::BrokenAt {
                seq: self.seq + 1,
                expected: format!("entries up to {}, {}", head.seq, head.hash),
                found,
            });
        }
        self.compare(head)
    }

    /// Entries that the ledger's own head does not know were put there by somebody else.
    fn unheaded(&self, own: Option<&AuditHead>) -> Option<Chain> {
        let known = own.map_or(0, |head| head.seq);
        (known < self.seq).then(|| Chain::BrokenAt {
            seq: known + 1,
            expected: format!("the end at {known}, as the head says"),
            found: format!("entries up to {}", self.seq),
        })
    }

    fn broken(&self, expected: &str, found: &str) -> Chain {
        Chain::BrokenAt { seq: self.seq + 1, expected: expected.to_owned(), found: found.to_owned() }
    }
}

const SELECT: &str = "SELECT seq, at_ms, actor, action, subject, detail, prev_hash, hash FROM audit";

fn stored(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredEntry> {
    Ok(StoredEntry {
        seq: row.get(0)?,
        at_ms: row.get(1)?,
        actor: row.get(2)?,
        action: row.get(3)?,
        subject: row.get(4)?,
        detail: row.get(5)?,
        prev_hash: row.get(6)?,
        hash: row.get(7)?,
    })
}

#[cfg(test)]
mod tests;
