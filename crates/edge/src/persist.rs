//! The snapshot on disk: replaced atomically, with the one before kept.

use std::path::Path;

use machine::files::{self, FilesError, Root};
use serde::{Deserialize, Serialize};

use crate::control::Source;
use crate::error::EdgeError;
use crate::snapshot::{SCHEMA, Snapshot};

const NAME: &str = "snapshot.json";

/// The key of the marks in cookies.
const SECRET: &str = "marks.key";

/// For the owner only: routes tell where services live.
const MODE: u32 = 0o600;

/// The folder of the persisted snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    root: Root,
}

/// What was found at start.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) snapshot: Option<Snapshot>,
    pub(crate) source: Source,
    /// Why it is not the newest file.
    pub(crate) note: Option<String>,
}

/// A snapshot that is whole: its schema is known and its hash is its own.
#[derive(Debug, Serialize, Deserialize)]
#[serde(try_from = "Snapshot", into = "Snapshot")]
struct Whole(Snapshot);

impl From<Whole> for Snapshot {
    fn from(whole: Whole) -> Snapshot {
        whole.0
    }
}

impl Clone for Whole {
    fn clone(&self) -> Whole {
        Whole(self.0.clone())
    }
}

impl TryFrom<Snapshot> for Whole {
    type Error = String;

    fn try_from(snapshot: Snapshot) -> Result<Whole, String> {
        if snapshot.schema > SCHEMA {
            return Err(format!("its schema is {}, this edge knows {SCHEMA}", snapshot.schema));
        }
        if snapshot.hash != snapshot.content_hash() {
            return Err("its hash does not match its contents".to_owned());
        }
        Ok(Whole(snapshot))
    }
}

impl Store {
    /// Opens the folder, making it when it is missing.
    pub(crate) fn open(folder: &Path) -> Result<Store, EdgeError> {
        let root = Root::open(folder);
        let root = root.map_err(|source| EdgeError::StateFolder { path: folder.to_owned(), source })?;
        Ok(Store { root })
    }

    /// Where it all lies.
    pub(crate) fn folder(&self) -> &Path {
        self.root.path()
    }

    /// Saves a snapshot so that a crash at any moment leaves this one or the one before.
    pub(crate) fn save(&self, snapshot: &Snapshot) -> Result<(), EdgeError> {
        let saved = self.root.save_json(NAME, snapshot, MODE);
        saved.map_err(|source| EdgeError::Save { epoch: snapshot.epoch, source: source.into() })
    }

    /// A key that is made once and kept.
    ///
    /// Where it cannot be kept, clients lose their places at the next start, and that is all: no reason not to start.
    pub(crate) fn secret(&self) -> [u8; 32] {
        if let Ok(Some(kept)) = self.root.read(SECRET)
            && let Ok(key) = kept.try_into()
        {
            return key;
        }
        let key = random();
        if let Err(error) = self.root.write_atomic(SECRET, &key, MODE) {
            tracing::warn!(%error, "could not keep the key of the cookies' marks");
        }
        key
    }

    /// The newest snapshot that can be read.
    pub(crate) fn load(&self) -> Loaded {
        match self.root.load_json::<Whole>(NAME) {
            Ok(files::Loaded::Current(whole)) => Loaded { snapshot: Some(whole.0), source: Source::File, note: None },
            Ok(files::Loaded::Previous(whole, reason)) => {
                let note = format!("`{NAME}` cannot be used: {reason}");
                Loaded { snapshot: Some(whole.0), source: Source::PreviousFile, note: Some(note) }
            }
            Ok(files::Loaded::Missing) => Loaded { snapshot: None, source: Source::Empty, note: None },
            Err(error) => Loaded { snapshot: None, source: Source::Empty, note: Some(told(&error)) },
        }
    }
}

/// From the kernel; hash keys, which come from there too, where its file is missing.
fn random() -> [u8; 32] {
    use std::hash::{BuildHasher, Hasher, RandomState};
    use std::io::Read;
    let mut key = [0; 32];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut key));
    if read.is_err() {
        for piece in key.chunks_exact_mut(8) {
            piece.copy_from_slice(&RandomState::new().build_hasher().finish().to_ne_bytes());
        }
    }
    key
}

/// Both files' faults on one line: the status has no other place for them.
fn told(error: &FilesError) -> String {
    match error {
        FilesError::Undecodable { current, previous, .. } => {
            format!("`{NAME}` cannot be used: {current}; nor can the one before: {previous}")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write;

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
    fn the_secret_is_made_once_and_for_the_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let (folder, store) = store();
        let secret = store.secret();
        assert_eq!(store.secret(), secret);
        let mode = fs::metadata(folder.path().join(SECRET)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        tear(&folder, SECRET);
        assert_ne!(store.secret(), secret, "half a secret is none");
        assert_ne!(super::random(), super::random());
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
        tear(&folder, "snapshot.json.prev");
        let loaded = store.load();
        assert_eq!(loaded.source, Source::Empty);
        assert!(loaded.note.unwrap().contains("nor can the one before"));
    }

    #[test]
    fn a_file_with_a_changed_byte_falls_back_too() {
        let (folder, store) = store();
        store.save(&Snapshot::new(1).seal()).unwrap();
        store.save(&Snapshot::new(2).seal()).unwrap();
        let path = folder.path().join(NAME);
        let mut forged = Snapshot::new(2).seal();
        forged.pools.push(crate::snapshot::Pool::new("p", "r1", vec![]));
        serde_json::to_writer(File::create(path).unwrap(), &forged).unwrap();
        assert_eq!(store.load().source, Source::PreviousFile);
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
