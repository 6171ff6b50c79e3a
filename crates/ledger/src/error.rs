//! What can go wrong with the ledger, each with the file it went wrong in.

use rusqlite::ErrorCode;

pub type Result<T, E = LedgerError> = std::result::Result<T, E>;

/// An operation on the ledger that failed. [`LedgerError::next_step`] says what an operator can do about it.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("could not open the ledger `{file}`")]
    Open {
        file: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the ledger `{file}` is damaged: {finding}")]
    Damaged {
        file: String,
        /// What SQLite's own check found, or how the damage showed.
        finding: String,
        #[source]
        source: Option<rusqlite::Error>,
    },
    #[error("`{file}` is a database, but not a ledger of Mainstay")]
    Foreign { file: String },
    #[error("the ledger `{file}` has schema {found}, newer than the {known} this program knows")]
    Newer { file: String, found: i64, known: i64 },
    #[error("the ledger `{file}` is read-only")]
    ReadOnly {
        file: String,
        #[source]
        source: Option<rusqlite::Error>,
    },
    #[error("could not {operation}: no space left for the ledger `{file}`")]
    Full {
        operation: &'static str,
        file: String,
        #[source]
        source: rusqlite::Error,
    },
    #[error("could not {operation}: another process has locked the ledger `{file}`")]
    Locked {
        operation: &'static str,
        file: String,
        #[source]
        source: rusqlite::Error,
    },
    #[error("could not {operation}: `{thing}` is already there")]
    Exists { operation: &'static str, thing: String },
    #[error("could not {operation}: there is no `{thing}`")]
    NotFound { operation: &'static str, thing: String },
    #[error("could not {operation} in the ledger `{file}`")]
    Sql {
        operation: &'static str,
        file: String,
        #[source]
        source: rusqlite::Error,
    },
    #[error("could not read {what} in the ledger `{file}`")]
    Decode {
        what: String,
        file: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("could not write {what} as JSON")]
    Encode {
        what: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("could not set aside the ledger `{file}`")]
    SetAside {
        file: String,
        #[source]
        source: std::io::Error,
    },
}

impl LedgerError {
    /// The next thing to do, for the operator. `None` when only the cause can tell.
    pub fn next_step(&self) -> Option<String> {
        match self {
            Self::Open { file, .. } => {
                Some(format!("check that the folder of `{file}` exists and that this user may write in it"))
            }
            Self::Damaged { file, .. } => Some(format!(
                "copy `{file}` and its -wal file away first; restore them from the last backup, or set the file aside so that a new ledger is built"
            )),
            Self::Foreign { file } => Some(format!("point Mainstay at another state folder, or move `{file}` away")),
            Self::Newer { file, .. } => Some(format!(
                "start the newer Mainstay that wrote `{file}`, or restore the backup taken before the upgrade"
            )),
            Self::ReadOnly { file, .. } => Some(format!(
                "make `{file}` writable for this user (chmod 0600) and check that its disk is not mounted read-only"
            )),
            Self::Full { file, .. } => {
                Some(format!("free space on the disk of `{file}` and try again; nothing was lost"))
            }
            Self::Locked { file, .. } => {
                Some(format!("see who holds it with `fuser {file}`, wait for it or stop it, then try again"))
            }
            _ => None,
        }
    }

    /// Sorts an SQLite error by what an operator can do about it.
    pub(crate) fn sort(operation: &'static str, file: &str, source: rusqlite::Error) -> Self {
        let file = file.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged { file, finding: format!("could not {operation}"), source: Some(source) }
            }
            Some(ErrorCode::ReadOnly) => Self::ReadOnly { file, source: Some(source) },
            Some(ErrorCode::DiskFull) => Self::Full { operation, file, source },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { operation, file, source },
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => Self::Open { file, source: Box::new(source) },
            _ => Self::Sql { operation, file, source },
        }
    }
}
