//! Moving a damaged ledger out of the way: renamed, never deleted.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use machine::clock::Clock;

use crate::error::{LedgerError, Result};
use crate::open::Ledger;

/// The companions of a database file. They move with it, because its last commits are in them.
const COMPANIONS: [&str; 3] = ["", "-wal", "-shm"];

impl Ledger {
    /// Renames the file at `path`, with its `-wal` and `-shm`, to `<name>.damaged-<UTC time>`, and says to which name.
    ///
    /// The next [`Ledger::open`] then builds a new one. Nothing that is already there is overwritten.
    /// No process may have the ledger open.
    pub fn set_aside(path: &Path, clock: &dyn Clock) -> Result<PathBuf> {
        let target = free_name(path, clock.now_ms());
        move_all(path, &target).map_err(|source| LedgerError::SetAside { file: path.display().to_string(), source })?;
        Ok(target)
    }
}

/// The path with `suffix` appended to its file name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn free_name(path: &Path, now_ms: i64) -> PathBuf {
    let time = jiff::Timestamp::from_millisecond(now_ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let dated = beside(path, &format!(".damaged-{}", time.strftime("%Y%m%dT%H%M%SZ")));
    let taken = |name: &Path| COMPANIONS.iter().any(|suffix| beside(name, suffix).exists());
    let mut name = dated.clone();
    let mut number = 2;
    while taken(&name) {
        name = beside(&dated, &format!("-{number}"));
        number += 1;
    }
    name
}

fn move_all(path: &Path, target: &Path) -> io::Result<()> {
    let present: Vec<&str> = COMPANIONS.into_iter().filter(|suffix| beside(path, suffix).exists()).collect();
    if present.is_empty() {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    }
    // The file goes first: a log left behind by a crash is noticed when the ledger is opened, a lone file would not be.
    for suffix in present {
        std::fs::rename(beside(path, suffix), beside(target, suffix))?;
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
