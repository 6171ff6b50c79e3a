//! Opening the file, and the two hands that write in it: `Ledger` for one thing, `Tx` for several at once.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::ReentrantMutex;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use machine::clock::Clock;

use crate::error::{LedgerError, Result};
use crate::{migrate, sums};

/// How long one process waits for another that is writing.
const BUSY: Duration = Duration::from_secs(5);

/// The open ledger. Cheap to clone; safe to use from many threads, which take turns.
#[derive(Clone)]
pub struct Ledger(Arc<Inner>);

struct Inner {
    // Re-entrant, so that a `Ledger` method called inside `transaction` is an error and not a deadlock.
    connection: ReentrantMutex<Connection>,
    clock: Arc<dyn Clock>,
    file: String,
}

/// An open transaction: the methods of [`Ledger`], kept or dropped together.
pub struct Tx<'a> {
    connection: &'a Connection,
    clock: &'a dyn Clock,
    file: &'a str,
}

// === impl Ledger ===

impl Ledger {
    /// Opens the ledger at `path`, creating it with mode 0600 when there is none and bringing an older schema up to date.
    ///
    /// A file that cannot be used is never deleted or replaced: see [`LedgerError`] for each case.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::open_with_patience(path, clock, BUSY)
    }

    /// A ledger that lives as long as the process. For tests.
    pub fn in_memory(clock: Arc<dyn Clock>) -> Result<Self> {
        let file = ":memory:".to_owned();
        let connection = Connection::open_in_memory().map_err(|source| LedgerError::sort("open", &file, source))?;
        prepare(&connection, &file, BUSY)?;
        Ok(Self::from_connection(connection, clock, file))
    }

    /// Does several things at once: all of them are kept when `work` returns `Ok`, none of them when it returns an error.
    ///
    /// Use the methods of the `Tx` inside; a method of `Ledger` called there fails, because transactions do not nest.
    pub fn transaction<T>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T>) -> Result<T> {
        self.write(work)
    }

    pub(crate) fn open_with_patience(path: &Path, clock: Arc<dyn Clock>, patience: Duration) -> Result<Self> {
        let file = path.display().to_string();
        refuse_orphaned_log(path, &file)?;
        create_private(path, &file)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection =
            Connection::open_with_flags(path, flags).map_err(|source| LedgerError::sort("open", &file, source))?;
        prepare(&connection, &file, patience)?;
        Ok(Self::from_connection(connection, clock, file))
    }

    /// A transaction whose work has an error type of its own.
    pub(crate) fn write<T, E: From<LedgerError>>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T, E>) -> Result<T, E> {
        let connection = self.0.connection.lock();
        let fault = |operation| move |source| LedgerError::sort(operation, &self.0.file, source);
        // IMMEDIATE: a transaction that starts by reading and cannot become a writer later would fail half-way.
        let transaction = Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)
            .map_err(fault("begin a transaction"))?;
        let done = work(&self.tx(&transaction))?;
        transaction.commit().map_err(fault("commit a transaction"))?;
        Ok(done)
    }

    /// Looks something up, without a transaction.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Tx<'_>) -> Result<T>) -> Result<T> {
        let connection = self.0.connection.lock();
        look(&self.tx(&connection))
    }

    /// The bare connection, for tests that break things.
    #[cfg(test)]
    pub(crate) fn bare<T>(&self, run: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> T {
        run(&self.0.connection.lock()).unwrap()
    }

    fn tx<'a>(&'a self, connection: &'a Connection) -> Tx<'a> {
        Tx { connection, clock: self.0.clock.as_ref(), file: &self.0.file }
    }

    fn from_connection(connection: Connection, clock: Arc<dyn Clock>, file: String) -> Self {
        Self(Arc::new(Inner { connection: ReentrantMutex::new(connection), clock, file }))
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Ledger({})", self.0.file)
    }
}

// === impl Tx ===

impl Tx<'_> {
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Runs SQL, and says which operation it was for when it fails.
    pub(crate) fn sql<T>(
        &self,
        operation: &'static str,
        run: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        run(self.connection).map_err(|source| LedgerError::sort(operation, self.file, source))
    }

    pub(crate) fn file(&self) -> &str {
        self.file
    }

    /// Decodes stored JSON, and names the row when it cannot.
    pub(crate) fn decode<T: serde::de::DeserializeOwned>(
        &self,
        text: &str,
        what: impl FnOnce() -> String,
    ) -> Result<T> {
        serde_json::from_str(text).map_err(|source| self.unreadable(what(), source))
    }

    pub(crate) fn unreadable(
        &self,
        what: String,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> LedgerError {
        LedgerError::Decode { what, file: self.file.to_owned(), source: source.into() }
    }
}

/// When the file is gone or empty but its write-ahead log is not, SQLite would start afresh and drop that log.
fn refuse_orphaned_log(path: &Path, file: &str) -> Result<()> {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.len());
    let log = crate::set_aside::beside(path, "-wal");
    if size(path) > 0 || size(&log) == 0 {
        return Ok(());
    }
    let finding = format!("the file is missing or empty, but its log `{}` has changes in it", log.display());
    Err(LedgerError::Damaged { file: file.to_owned(), finding, source: None })
}

/// SQLite would create the file readable for everybody; it is created here first, for its owner alone.
fn create_private(path: &Path, file: &str) -> Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(source) => {
            return Err(LedgerError::Open { file: file.to_owned(), source: Box::new(source) });
        }
    }
    // Root may write to a file that says it is read-only. Whoever said so meant it.
    if std::fs::metadata(path).is_ok_and(|found| found.permissions().readonly()) {
        return Err(LedgerError::ReadOnly { file: file.to_owned(), source: None });
    }
    Ok(())
}

fn prepare(connection: &Connection, file: &str, patience: Duration) -> Result<()> {
    let fault = |operation| move |source| LedgerError::sort(operation, file, source);
    connection.busy_timeout(patience).map_err(fault("open"))?;
    if connection.is_readonly("main").map_err(fault("open"))? {
        return Err(LedgerError::ReadOnly { file: file.to_owned(), source: None });
    }
    // Until the file is known to be whole and ours, nothing may be written to it, not even from its own log when it is closed.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(fault("open"))?;
    migrate::refuse_strangers(connection, file)?;
    check(connection, file)?;
    if migrate::has_sums(connection).map_err(fault("read the schema version"))? {
        sums::check(connection, file)?;
    }
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(fault("open"))?;
    configure(connection).map_err(fault("configure"))?;
    migrate::migrate(connection, file)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    // This counts only before the first table is made; `journal_mode` answers with a row.
    if migrate::is_new(connection)? {
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // A database file is input too: its schema gets no functions that reach outside.
    connection.pragma_update(None, "trusted_schema", false)
}

/// Damage is found when the file is opened, not when the damaged page is needed.
fn check(connection: &Connection, file: &str) -> Result<()> {
    let findings: rusqlite::Result<Vec<String>> = connection
        .prepare("PRAGMA quick_check(3)")
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect());
    let findings = findings.map_err(|source| LedgerError::sort("check", file, source))?;
    if findings == ["ok"] {
        return Ok(());
    }
    Err(LedgerError::Damaged { file: file.to_owned(), finding: findings.join("; "), source: None })
}

#[cfg(test)]
mod tests;
