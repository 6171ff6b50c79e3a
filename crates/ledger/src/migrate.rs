//! The schema and its history. A migration that was released is never edited: a new one is added below it.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::error::{LedgerError, Result};

/// Marks the file as ours in SQLite's header: "MSTY".
const APPLICATION: i64 = 0x4D53_5459;

/// Name and text of every migration. The schema version is how many of them were applied.
const MIGRATIONS: &[(&str, &str)] = &[
    ("0001_ledger.sql", include_str!("../migrations/0001_ledger.sql")),
    ("0002_row_sums.sql", include_str!("../migrations/0002_row_sums.sql")),
];

/// Refuses a database of somebody else, and one that a newer program wrote. Changes nothing.
pub(crate) fn refuse_strangers(connection: &Connection, file: &str) -> Result<()> {
    let found = look(connection).map_err(|source| LedgerError::sort("read the schema version", file, source))?;
    if found.tables > 0 && found.application != APPLICATION {
        return Err(LedgerError::Foreign { file: file.to_owned() });
    }
    if found.version > known() {
        let (found, known) = (found.version, known());
        return Err(LedgerError::Newer { file: file.to_owned(), found, known });
    }
    Ok(())
}

/// Whether nothing was ever put into this file.
pub(crate) fn is_new(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(version(connection)? == 0)
}

/// Whether its rows may have sums: since the second migration.
pub(crate) fn has_sums(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(version(connection)? >= 2)
}

/// Applies what is missing, each migration in a transaction of its own.
pub(crate) fn migrate(connection: &Connection, file: &str) -> Result<()> {
    while version(connection).map_err(|source| LedgerError::sort("read the schema version", file, source))? < known() {
        step(connection).map_err(|source| LedgerError::sort("bring the schema up to date", file, source))?;
    }
    Ok(())
}

fn step(connection: &Connection) -> rusqlite::Result<()> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    // Read again inside: another process may have done this one while we waited for the lock.
    let applied = version(&transaction)?;
    let Some((_, text)) = usize::try_from(applied).ok().and_then(|index| MIGRATIONS.get(index)) else {
        return Ok(());
    };
    transaction.execute_batch(text)?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", applied + 1)?;
    transaction.commit()
}

/// What says whose database this is.
struct Look {
    version: i64,
    application: i64,
    tables: i64,
}

/// One transaction, so that a migration by another process is seen as a whole or not at all.
fn look(connection: &Connection) -> rusqlite::Result<Look> {
    let snapshot = Transaction::new_unchecked(connection, TransactionBehavior::Deferred)?;
    let count = "SELECT count(*) FROM sqlite_schema WHERE type = 'table'";
    Ok(Look {
        tables: snapshot.query_row(count, [], |row| row.get(0))?,
        version: version(&snapshot)?,
        application: pragma(&snapshot, "application_id")?,
    })
}

fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    pragma(connection, "user_version")
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    /// The hashes of released migrations. A line is added with a migration and is never changed.
    const RELEASED: &[(&str, &str)] = &[
        ("0001_ledger.sql", "eb9cfe20621c792e40f90d64c4fa8eac6d2df96daaf892490bc4d1e5e08b9103"),
        ("0002_row_sums.sql", "4e03b4c34afabcdd383ea2b87c1c21d41aa2ae352ea64d3dd252d4ae2750531f"),
    ];

    #[test]
    fn a_released_migration_is_never_edited() {
        let found: Vec<(&str, String)> =
            MIGRATIONS.iter().map(|(name, text)| (*name, format!("{:x}", Sha256::digest(text)))).collect();
        let released: Vec<(&str, String)> = RELEASED.iter().map(|(name, hash)| (*name, (*hash).to_owned())).collect();
        assert_eq!(found, released, "add a migration instead of editing one; a new one needs its line in RELEASED");
    }

    #[test]
    fn every_file_in_the_folder_is_applied_in_the_order_of_its_number() {
        let mut files: Vec<String> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        assert_eq!(files, MIGRATIONS.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>());
        for (index, name) in files.iter().enumerate() {
            assert!(name.starts_with(&format!("{:04}_", index + 1)), "{name} is out of order");
        }
    }
}
