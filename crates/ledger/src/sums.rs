//! Sums of rows: a bit that flips inside a value leaves it readable, and SQLite's own check does not see it.
//!
//! They cover what is written once. How a saga ended, leases and counters change by themselves and have none; the audit
//! chain has its own.

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use sha2::{Digest, Sha256};

use crate::error::{LedgerError, Result};

/// What is summed of a table, in the order in which the writers give it.
const TABLES: [(&str, &[&str]); 5] = [
    ("record", &["kind", "key", "body", "updated_ms"]),
    ("event", &["at_ms", "kind", "platform", "environment", "service", "saga", "data"]),
    ("evidence", &["at_ms", "kind", "subject", "verdict", "detail"]),
    ("saga", &["id", "kind", "params", "steps", "created_ms"]),
    ("saga_event", &["saga", "idx", "at_ms", "event"]),
];

/// More of them say nothing new.
const FINDINGS: usize = 3;

/// The sum of a row's parts. What is absent is empty; each part counts with its length.
pub(crate) fn sum<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> i64 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let digest: [u8; 32] = hasher.finalize().into();
    let (first, _) = digest.split_first_chunk().unwrap_or((&[0; 8], &[]));
    i64::from_be_bytes(*first)
}

/// The same of texts.
pub(crate) fn of(parts: &[&str]) -> i64 {
    sum(parts.iter().map(|part| part.as_bytes()))
}

/// Looks at every row that has a sum.
pub(crate) fn check(connection: &Connection, file: &str) -> Result<()> {
    let mut findings = Vec::new();
    for (table, columns) in TABLES {
        let changed = changed(connection, table, columns);
        findings.extend(changed.map_err(|source| LedgerError::sort("check the sums", file, source))?);
    }
    findings.truncate(FINDINGS);
    match findings.is_empty() {
        true => Ok(()),
        false => Err(LedgerError::Damaged { file: file.to_owned(), finding: findings.join("; "), source: None }),
    }
}

/// Names the rows that are not what was written.
fn changed(connection: &Connection, table: &str, columns: &[&str]) -> rusqlite::Result<Vec<String>> {
    let query = format!("SELECT sum, {} FROM {table} WHERE sum IS NOT NULL", columns.join(", "));
    let mut statement = connection.prepare(&query)?;
    let mut rows = statement.query([])?;
    let mut findings = Vec::new();
    while let Some(row) = rows.next()? {
        let parts = (1..=columns.len()).map(|column| row.get_ref(column).map(bytes));
        let parts = parts.collect::<rusqlite::Result<Vec<Vec<u8>>>>()?;
        if sum(parts.iter().map(Vec::as_slice)) != row.get::<_, i64>(0)? {
            // The first columns tell rows apart for a person.
            let names: Vec<_> = parts.iter().take(2).map(|part| String::from_utf8_lossy(part)).collect();
            findings.push(format!("a row of `{table}` ({}) is not what was written", names.join(" ")));
        }
    }
    Ok(findings)
}

/// As the writers give it.
fn bytes(value: ValueRef<'_>) -> Vec<u8> {
    match value {
        ValueRef::Null => Vec::new(),
        ValueRef::Integer(number) => number.to_string().into_bytes(),
        ValueRef::Real(number) => number.to_string().into_bytes(),
        ValueRef::Text(text) | ValueRef::Blob(text) => text.to_vec(),
    }
}
