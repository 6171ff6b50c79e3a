//! Evidence: what was looked at, and what was found. Gates read it; nothing edits it.

use spec::Evidence;

use crate::error::{LedgerError, Result};
use crate::open::{Ledger, Tx};
use crate::sums;

// === impl Ledger ===

impl Ledger {
    /// Writes one piece of evidence and returns its number. Its time is the one it carries: when it was looked at.
    pub fn record_evidence(&self, evidence: &Evidence) -> Result<i64> {
        self.write(|tx| tx.record_evidence(evidence))
    }

    /// The newest evidence of a kind whose subject starts with `subject_prefix`: newest first, at most `limit`.
    pub fn evidence(&self, kind: &str, subject_prefix: &str, limit: usize) -> Result<Vec<Evidence>> {
        self.read(|tx| tx.evidence(kind, subject_prefix, limit))
    }
}

// === impl Tx ===

impl Tx<'_> {
    pub fn record_evidence(&self, evidence: &Evidence) -> Result<i64> {
        let verdict = serde_json::to_string(&evidence.verdict)
            .map_err(|source| LedgerError::Encode { what: format!("the verdict on `{}`", evidence.subject), source })?;
        let (kind, subject, detail) = (&evidence.kind, &evidence.subject, evidence.detail.to_string());
        let sum = sums::of(&[&evidence.at_ms.to_string(), kind, subject, &verdict, &detail]);
        self.sql("record evidence", |connection| {
            connection.execute(
                "INSERT INTO evidence (at_ms, kind, subject, verdict, detail, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                rusqlite::params![evidence.at_ms, kind, subject, verdict, detail, sum],
            )?;
            Ok(connection.last_insert_rowid())
        })
    }

    pub fn evidence(&self, kind: &str, subject_prefix: &str, limit: usize) -> Result<Vec<Evidence>> {
        type Row = (i64, i64, String, String, String);
        let rows: Vec<Row> = self.sql("look up evidence", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT seq, at_ms, subject, verdict, detail FROM evidence
                 WHERE kind = ?1 AND substr(subject, 1, length(?2)) = ?2 ORDER BY seq DESC LIMIT ?3",
            )?;
            let values = rusqlite::params![kind, subject_prefix, i64::try_from(limit).unwrap_or(i64::MAX)];
            statement
                .query_map(values, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?
                .collect()
        })?;
        rows.into_iter()
            .map(|(seq, at_ms, subject, verdict, detail)| {
                let what = || format!("evidence {seq}");
                let verdict = self.decode(&verdict, what)?;
                let detail = self.decode(&detail, what)?;
                Ok(Evidence { kind: kind.to_owned(), subject, verdict, at_ms, detail })
            })
            .collect()
    }
}
