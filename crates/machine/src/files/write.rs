//! The one way a file of ours changes.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{FilesError, create_dir_all, io};

/// What happens to the content before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// It becomes the previous generation.
    Keep,
    /// It is rubbish: the previous generation that is there stays.
    Drop,
}

const TEMPORARY: &str = ".mainstay-tmp";
const PREVIOUS: &str = ".prev";

pub(super) fn replace(path: &Path, bytes: &[u8], mode: u32, before: Before) -> Result<(), FilesError> {
    if let Some(parent) = path.parent() {
        create_dir_all(parent)?;
    }
    let temporary = temporary_of(path);
    let written = write_new(&temporary, bytes, mode)
        .and_then(|()| if before == Before::Keep { keep_previous(path) } else { Ok(()) })
        .and_then(|()| std::fs::rename(&temporary, path).map_err(|source| io("put in place", path, source)));
    if written.is_err() {
        // Best effort: what is left over is ignored by every reader, and the first error is the one to report.
        let _ = std::fs::remove_file(&temporary);
    }
    written?;
    sync_folder(path)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FilesError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(|source| io("create", path, source))?;
    // The umask may have taken bits away at creation; the caller's mode is meant as it is written.
    file.set_permissions(std::fs::Permissions::from_mode(mode))
        .map_err(|source| io("set the mode of", path, source))?;
    file.write_all(bytes).map_err(|source| io("write", path, source))?;
    file.sync_all().map_err(|source| io("sync", path, source))
}

/// A second name for the old content, made beside and renamed over `.prev`: the file itself is never absent.
fn keep_previous(path: &Path) -> Result<(), FilesError> {
    let second = temporary_of(path);
    match std::fs::hard_link(path, &second) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        // Some file systems have no second names, and the kernel may forbid one for a file of another owner.
        Err(_) => copy(path, &second)?,
    }
    let renamed = std::fs::rename(&second, previous_of(path));
    // After a crash `.prev` may already be the same file: then rename does nothing and the second name stays.
    remove_if_there(&second)?;
    renamed.map_err(|source| io("keep the previous generation of", path, source))
}

fn copy(from: &Path, to: &Path) -> Result<(), FilesError> {
    let mode = std::fs::metadata(from).map_err(|source| io("look at", from, source))?.permissions().mode();
    let bytes = super::read_bounded(from)?.unwrap_or_default();
    let copied = write_new(to, &bytes, mode & 0o7777);
    if copied.is_err() {
        let _ = std::fs::remove_file(to);
    }
    copied
}

pub(super) fn previous_of(path: &Path) -> PathBuf {
    with_suffix(path, PREVIOUS)
}

/// Names that only this module uses: not for listings.
pub(super) fn is_ours(name: &str) -> bool {
    name.ends_with(PREVIOUS) || name.ends_with(TEMPORARY)
}

pub(super) fn remove_if_there(path: &Path) -> Result<bool, FilesError> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(io("remove", path, source)),
    }
}

/// A rename lasts only once the folder that holds the name is on the disk.
pub(super) fn sync_folder(path: &Path) -> Result<(), FilesError> {
    let Some(parent) = path.parent() else { return Ok(()) };
    match File::open(parent) {
        Ok(folder) => folder.sync_all().map_err(|source| io("sync folder", parent, source)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(io("open folder", parent, source)),
    }
}

fn temporary_of(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    with_suffix(path, &format!(".{}-{number}{TEMPORARY}", std::process::id()))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}
