//! Files under a root, written so that a reader meets either the old content or the new, never a half.
//!
//! A write goes to a temporary name, is synced, and is renamed over the old file; then the folder is synced.
//! The content before is kept as `<name>.prev`, because a disk can still hand back rubbish for the newest blocks.

mod lock;
mod program;
mod write;

use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use crate::error::FilesError;
pub use lock::{FileLock, Lock};
pub use program::{install, link};

/// No state file of ours is near this size; a larger one is a mistake and must not fill the memory.
const LARGEST_FILE: u64 = 256 * 1024 * 1024;

/// A folder that all paths stay inside of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    path: PathBuf,
}

/// What `load_json` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loaded<T> {
    /// The file itself.
    Current(T),
    /// The generation before, and why the newest could not be used.
    Previous(T, String),
    /// There is neither.
    Missing,
}

impl<T> Loaded<T> {
    /// The value, wherever it came from.
    pub fn into_option(self) -> Option<T> {
        match self {
            Self::Current(value) | Self::Previous(value, _) => Some(value),
            Self::Missing => None,
        }
    }
}

/// The content of a file that others keep, such as a certificate; `None` when there is no such file.
/// Links are followed: who renews certificates moves links.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, FilesError> {
    read_bounded(path)
}

/// Narrows the mode of a file that others keep.
pub fn set_mode(path: &Path, mode: u32) -> Result<(), FilesError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, mode).map_err(|source| io("change the mode of", path, source))
}

impl Root {
    /// Opens the folder, and creates it (mode 0750) when it is not there.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, FilesError> {
        let path = path.into();
        create_dir_all(&path)?;
        let path = path.canonicalize().map_err(|source| io("open folder", &path, source))?;
        Ok(Self { path })
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The full path of `rel`; refused when it would leave the root, be it by `..`, by `/` or by a symbolic link.
    pub fn join(&self, rel: impl AsRef<Path>) -> Result<PathBuf, FilesError> {
        let rel = rel.as_ref();
        let escapes = || FilesError::Escapes { path: rel.to_owned(), root: self.path.clone() };
        let plain = rel.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !plain || rel.as_os_str().is_empty() {
            return Err(escapes());
        }
        let full = self.path.join(rel);
        match nearest_existing(&full) {
            Some(real) if real.starts_with(&self.path) => Ok(full),
            _ => Err(escapes()),
        }
    }

    /// A root inside this one.
    pub fn sub(&self, rel: impl AsRef<Path>) -> Result<Root, FilesError> {
        Root::open(self.join(rel)?)
    }

    /// Replaces the file as a whole and keeps the content before as `<name>.prev`. Folders on the way are created.
    pub fn write_atomic(&self, rel: impl AsRef<Path>, bytes: &[u8], mode: u32) -> Result<(), FilesError> {
        write::replace(&self.join(rel)?, bytes, mode, write::Before::Keep)
    }

    /// Gives a file to another user and group.
    pub fn give(&self, rel: impl AsRef<Path>, user: u32, group: u32) -> Result<(), FilesError> {
        let path = self.join(rel)?;
        std::os::unix::fs::chown(&path, Some(user), Some(group)).map_err(|source| io("give away", &path, source))
    }

    /// The content, or `None` when there is no such file.
    pub fn read(&self, rel: impl AsRef<Path>) -> Result<Option<Vec<u8>>, FilesError> {
        read_bounded(&self.join(rel)?)
    }

    /// Encodes and writes. A file that cannot be decoded any more does not push out a good previous generation.
    pub fn save_json<T: Serialize>(&self, rel: impl AsRef<Path>, value: &T, mode: u32) -> Result<(), FilesError> {
        let path = self.join(rel)?;
        let mut bytes =
            serde_json::to_vec_pretty(value).map_err(|source| FilesError::Encode { path: path.clone(), source })?;
        bytes.push(b'\n');
        let current = read_bounded(&path)?;
        let sound = current.is_some_and(|old| serde_json::from_slice::<serde_json::Value>(&old).is_ok());
        let before = if sound { write::Before::Keep } else { write::Before::Drop };
        write::replace(&path, &bytes, mode, before)
    }

    /// Decodes the file, or its previous generation when the newest is missing, torn or of another shape.
    pub fn load_json<T: DeserializeOwned>(&self, rel: impl AsRef<Path>) -> Result<Loaded<T>, FilesError> {
        let path = self.join(rel)?;
        let newest = decode::<T>(&path);
        let current = match newest {
            Ok(Some(value)) => return Ok(Loaded::Current(value)),
            Ok(None) => "the file is missing".to_owned(),
            Err(reason) => reason,
        };
        match decode::<T>(&write::previous_of(&path)) {
            Ok(Some(value)) => Ok(Loaded::Previous(value, current)),
            Ok(None) if !path.exists() => Ok(Loaded::Missing),
            Ok(None) => Err(FilesError::Undecodable { path, current, previous: "there is none".to_owned() }),
            Err(previous) => Err(FilesError::Undecodable { path, current, previous }),
        }
    }

    /// Takes the lock file if nobody holds it. The kernel frees it when its holder ends, however that happens.
    pub fn lock(&self, rel: impl AsRef<Path>) -> Result<Lock, FilesError> {
        let path = self.join(rel)?;
        if let Some(parent) = path.parent() {
            create_dir_all(parent)?;
        }
        lock::take(&path)
    }

    /// Removes the file and its previous generation. `false` when there was no such file.
    pub fn remove(&self, rel: impl AsRef<Path>) -> Result<bool, FilesError> {
        let path = self.join(rel)?;
        let was_there = write::remove_if_there(&path)?;
        write::remove_if_there(&write::previous_of(&path))?;
        write::sync_folder(&path)?;
        Ok(was_there)
    }

    /// The names in a folder (`.` is the root), sorted, without previous generations and temporary files.
    pub fn list(&self, rel: impl AsRef<Path>) -> Result<Vec<String>, FilesError> {
        let path = self.join(rel)?;
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(io("list folder", &path, source)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|source| io("list folder", &path, source))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !write::is_ours(&name) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Bytes that an unprivileged process can still write on this disk.
    pub fn free_space(&self) -> Result<u64, FilesError> {
        let disk = nix::sys::statvfs::statvfs(&self.path)
            .map_err(|errno| io("measure the free space of", &self.path, errno.into()))?;
        Ok(disk.blocks_available().saturating_mul(disk.fragment_size()))
    }
}

fn decode<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, String> {
    let bytes = match read_bounded(path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(None),
        Err(FilesError::Io { source, .. }) => return Err(format!("unreadable: {source}")),
        Err(other) => return Err(other.to_string()),
    };
    if bytes.is_empty() {
        return Err("the file is empty".to_owned());
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|error| error.to_string())
}

fn read_bounded(path: &Path) -> Result<Option<Vec<u8>>, FilesError> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io("open", path, source)),
    };
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(|source| io("read", path, source))?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(io("read", path, std::io::ErrorKind::FileTooLarge.into()));
    }
    Ok(Some(bytes))
}

fn create_dir_all(path: &Path) -> Result<(), FilesError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(path)
        .map_err(|source| io("create folder", path, source))
}

/// Where the deepest part that exists really lies, links followed.
fn nearest_existing(path: &Path) -> Option<PathBuf> {
    path.ancestors().find_map(|part| match part.symlink_metadata() {
        // A link that cannot be followed is no place to write to: an empty path is inside no root.
        Ok(_) => Some(part.canonicalize().unwrap_or_default()),
        Err(_) => None,
    })
}

fn io(operation: &'static str, path: &Path, source: std::io::Error) -> FilesError {
    FilesError::Io { operation, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
