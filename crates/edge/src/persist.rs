//! The snapshot on disk: written beside, synced, renamed; the one before is kept.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::control::Source;
use crate::error::EdgeError;
use crate::snapshot::{SCHEMA, Snapshot};

const NAME: &str = "snapshot.json";
const PREVIOUS: &str = "snapshot.json.prev";
const NEXT: &str = "snapshot.json.next";

/// The folder of the persisted snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    folder: PathBuf,
}

/// What was found at start.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) snapshot: Option<Snapshot>,
    pub(crate) source: Source,
    /// Why it is not the newest file.
    pub(crate) note: Option<String>,
}

impl Store {
    /// Opens the folder, making it when it is missing.
    pub(crate) fn open(folder: &Path) -> Result<Store, EdgeError> {
        let made = fs::create_dir_all(folder);
        made.map_err(|source| EdgeError::StateFolder { path: folder.to_owned(), source })?;
        Ok(Store { folder: folder.to_owned() })
    }

    /// Saves a snapshot so that a crash at any moment leaves this one or the one before.
    pub(crate) fn save(&self, snapshot: &Snapshot) -> Result<(), EdgeError> {
        let epoch = snapshot.epoch;
        self.write(snapshot).map_err(|source| EdgeError::Save { epoch, source })
    }

    fn write(&self, snapshot: &Snapshot) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(snapshot)?;
        let next = self.folder.join(NEXT);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
        file.write_all(&text)?;
        file.sync_all()?;
        let current = self.folder.join(NAME);
        // A torn current file must not replace a good previous one.
        if matches!(read(&current), Ok(Some(_))) {
            fs::rename(&current, self.folder.join(PREVIOUS))?;
        }
        fs::rename(&next, &current)?;
        File::open(&self.folder)?.sync_all()
    }

    /// The newest snapshot that can be read.
    pub(crate) fn load(&self) -> Loaded {
        let current = read(&self.folder.join(NAME));
        let fault = match current {
            Ok(Some(snapshot)) => return Loaded { snapshot: Some(snapshot), source: Source::File, note: None },
            // The current file is renamed away for an instant while saving; a crash there leaves the previous one.
            Ok(None) => None,
            Err(fault) => Some(format!("`{NAME}` cannot be read: {fault}")),
        };
        match (read(&self.folder.join(PREVIOUS)), fault) {
            (Ok(Some(snapshot)), fault) => {
                let note = fault.unwrap_or_else(|| format!("`{NAME}` is missing"));
                Loaded { snapshot: Some(snapshot), source: Source::PreviousFile, note: Some(note) }
            }
            (Ok(None), fault) => Loaded { snapshot: None, source: Source::Empty, note: fault },
            (Err(older), fault) => {
                let fault = fault.unwrap_or_else(|| format!("`{NAME}` is missing"));
                let note = format!("{fault}; `{PREVIOUS}` cannot be read: {older}");
                Loaded { snapshot: None, source: Source::Empty, note: Some(note) }
            }
        }
    }
}

fn read(path: &Path) -> Result<Option<Snapshot>, String> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let snapshot: Snapshot = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    if snapshot.schema > SCHEMA {
        return Err(format!("its schema is {}, this edge knows {SCHEMA}", snapshot.schema));
    }
    if snapshot.hash != snapshot.content_hash() {
        return Err("its hash does not match its contents".to_owned());
    }
    Ok(Some(snapshot))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, store)
    }

    fn tear(folder: &tempfile::TempDir, name: &str) {
        let path = folder.path().join(name);
        let text = fs::read(&path).unwrap();
        let mut file = File::create(&path).unwrap();
        file.write_all(&text[..text.len() / 2]).unwrap();
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let (_folder, store) = store();
        assert_eq!(store.load().source, Source::Empty);
        store.save(&Snapshot::new(1).seal()).unwrap();
        let loaded = store.load();
        assert_eq!((loaded.snapshot.unwrap().epoch, loaded.source), (1, Source::File));
    }

    #[test]
    fn a_torn_file_falls_back_to_the_one_before_and_says_so() {
        let (folder, store) = store();
        store.save(&Snapshot::new(1).seal()).unwrap();
        store.save(&Snapshot::new(2).seal()).unwrap();
        tear(&folder, NAME);
        let loaded = store.load();
        assert_eq!((loaded.snapshot.unwrap().epoch, loaded.source), (1, Source::PreviousFile));
        assert!(loaded.note.unwrap().contains("snapshot.json"));
    }

    #[test]
    fn saving_over_a_torn_file_keeps_the_good_previous_one() {
        let (folder, store) = store();
        store.save(&Snapshot::new(1).seal()).unwrap();
        store.save(&Snapshot::new(2).seal()).unwrap();
        tear(&folder, NAME);
        store.save(&Snapshot::new(3).seal()).unwrap();
        tear(&folder, NAME);
        assert_eq!(store.load().snapshot.unwrap().epoch, 1);
    }

    #[test]
    fn two_torn_files_are_empty_and_loud() {
        let (folder, store) = store();
        store.save(&Snapshot::new(1).seal()).unwrap();
        store.save(&Snapshot::new(2).seal()).unwrap();
        tear(&folder, NAME);
        tear(&folder, PREVIOUS);
        let loaded = store.load();
        assert_eq!(loaded.source, Source::Empty);
        assert!(loaded.note.unwrap().contains("snapshot.json.prev"));
    }

    #[test]
    fn a_file_of_a_newer_schema_is_not_half_understood() {
        let (_folder, store) = store();
        let mut newer = Snapshot::new(1);
        newer.schema = SCHEMA + 1;
        store.save(&newer.seal()).unwrap();
        assert_eq!(store.load().source, Source::Empty);
    }
}
