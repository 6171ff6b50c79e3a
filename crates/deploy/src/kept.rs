//! A second copy of what could not be learnt anew: each record that tells what runs lies as a file beside the ledger, too.
//!
//! The ledger is what is read; the files are for the day on which it is gone or has lost its last commits.
//! Each file carries a number that the ledger counts in the same transaction, so that a ledger which has gone back in
//! time is noticed: it would route requests to releases that are not there any more.

use ledger::{LedgerError, Tx};
use machine::files::Loaded;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::world::World;

const FOLDER: &str = "kept";
/// Counts the files' writes.
const COUNTER: &str = "kept";
/// The kinds of records that are kept; the rest is history, or follows from these.
pub(crate) const KINDS: [&str; 7] = ["platform", "release", "serving", "scaled", "standing", "migration", "identity"];

/// One at a time, so that the newest commit's file is the one that stays.
static TURN: Mutex<()> = Mutex::new(());

/// A file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    number: u64,
    pub(crate) kind: String,
    pub(crate) key: String,
    record: Value,
}

/// What a transaction has changed.
#[derive(Default)]
pub(crate) struct Changes(Vec<(&'static str, String, Option<Value>)>);

impl Changes {
    pub(crate) fn put(
        &mut self,
        tx: &Tx<'_>,
        kind: &'static str,
        key: &str,
        record: &impl Serialize,
    ) -> ledger::Result<()> {
        let encoded = serde_json::to_value(record)
            .map_err(|source| LedgerError::Encode { what: format!("the {kind} record `{key}`"), source })?;
        tx.put_record(kind, key, record)?;
        self.0.push((kind, key.to_owned(), Some(encoded)));
        Ok(())
    }

    pub(crate) fn delete(&mut self, tx: &Tx<'_>, kind: &'static str, key: &str) -> ledger::Result<bool> {
        self.0.push((kind, key.to_owned(), None));
        tx.delete_record(kind, key)
    }
}

impl Kept {
    pub(crate) fn record<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_value(self.record.clone())
    }
}

impl World {
    /// A transaction of the ledger whose records are kept beside it as well.
    pub(crate) fn write_kept<T>(
        &self,
        work: impl FnOnce(&Tx<'_>, &mut Changes) -> ledger::Result<T>,
    ) -> ledger::Result<T> {
        let _turn = TURN.lock();
        let mut changes = Changes::default();
        let (done, number) = self.ledger.transaction(|tx| {
            let done = work(tx, &mut changes)?;
            Ok((done, tx.next_number(COUNTER)?))
        })?;
        for (kind, key, record) in changes.0 {
            self.keep(number, kind, &key, record);
        }
        Ok(done)
    }

    pub(crate) fn put_kept(&self, kind: &'static str, key: &str, record: &impl Serialize) -> ledger::Result<()> {
        self.write_kept(|tx, changes| changes.put(tx, kind, key, record))
    }

    pub(crate) fn delete_kept(&self, kind: &'static str, key: &str) -> ledger::Result<bool> {
        self.write_kept(|tx, changes| changes.delete(tx, kind, key))
    }

    /// The ledger has it already, so a file that cannot be written is told and stops nothing.
    fn keep(&self, number: u64, kind: &str, key: &str, record: Option<Value>) {
        let file = file(kind, key);
        let written = match record {
            Some(record) => {
                let kept = Kept { number, kind: kind.to_owned(), key: key.to_owned(), record };
                self.root.save_json(&file, &kept, 0o600)
            }
            None => self.root.remove(&file).map(drop),
        };
        if let Err(error) = written {
            tracing::warn!(file, "a record is not kept beside the ledger: {error}");
        }
    }

    /// Everything that is kept, and the names of files that cannot be read any more.
    pub(crate) fn kept(&self) -> Result<(Vec<Kept>, Vec<String>), machine::files::FilesError> {
        let (mut kept, mut unreadable) = (Vec::new(), Vec::new());
        for kind in KINDS {
            let folder = format!("{FOLDER}/{kind}");
            for name in self.root.list(&folder)? {
                let file = format!("{folder}/{name}");
                match self.root.load_json::<Kept>(&file) {
                    Ok(Loaded::Current(found)) => kept.push(found),
                    Ok(Loaded::Previous(found, reason)) => {
                        tracing::warn!(file, reason, "the one before is used");
                        kept.push(found);
                    }
                    Ok(Loaded::Missing) => {}
                    Err(error) => {
                        tracing::warn!(file, "cannot be read: {error}");
                        unreadable.push(file);
                    }
                }
            }
        }
        Ok((kept, unreadable))
    }

    /// Whether files are newer than the ledger's newest commit: then it has lost some.
    pub(crate) fn ledger_is_behind(&self, kept: &[Kept]) -> ledger::Result<bool> {
        let newest = kept.iter().map(|kept| kept.number).max().unwrap_or_default();
        // The number that comes next is above every one that was written down.
        Ok(self.ledger.next_number(COUNTER)? <= newest)
    }

    /// Brings the files to what the ledger says: after an upgrade from a version that kept none, after a full disk, and
    /// after a death between the commit and its file.
    pub(crate) fn keep_all(&self, kept: &[Kept]) -> ledger::Result<()> {
        let _turn = TURN.lock();
        for kind in KINDS {
            let records = self.ledger.list_records::<Value>(kind, "")?;
            let of_kind = || kept.iter().filter(|kept| kept.kind == kind);
            let stale = of_kind().filter(|kept| !records.iter().any(|(key, _)| *key == kept.key));
            stale.for_each(|kept| self.keep(0, kind, &kept.key, None));
            for (key, record) in records {
                if !of_kind().any(|kept| kept.key == key && kept.record == record) {
                    self.keep(self.ledger.next_number(COUNTER)?, kind, &key, Some(record));
                }
            }
        }
        Ok(())
    }
}

/// Keys hold slashes, and no name in them holds a tilde.
fn file(kind: &str, key: &str) -> String {
    format!("{FOLDER}/{kind}/{}.json", key.replace('/', "~"))
}
