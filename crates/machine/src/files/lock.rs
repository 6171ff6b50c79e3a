//! An advisory lock on a file (flock): it dies with its holder, so a crash never leaves it taken.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{FilesError, io};

/// The answer to asking for a lock.
#[derive(Debug)]
pub enum Lock {
    /// It is ours until the guard is dropped.
    Acquired(FileLock),
    /// Somebody has it. The process id is what the holder wrote down, if it got that far.
    Held { pid: Option<u32> },
}

/// Holds the lock while it lives.
#[derive(Debug)]
pub struct FileLock {
    // The file is never removed: a second process could otherwise lock the old inode while a third locks a new one.
    file: File,
}

impl FileLock {
    /// The same lock for another process: it is held until both of us have let go.
    pub fn share(&self) -> std::io::Result<OwnedFd> {
        Ok(self.file.try_clone()?.into())
    }

    /// A lock that another process shared with us.
    pub fn adopt(shared: OwnedFd) -> FileLock {
        FileLock { file: shared.into() }
    }

    /// Writes down that this process is the holder now.
    pub fn sign(&mut self) -> std::io::Result<()> {
        write_holder(&mut self.file)
    }
}

pub(super) fn take(path: &Path) -> Result<Lock, FilesError> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o640)
        .open(path)
        .map_err(|source| io("open lock file", path, source))?;
    match file.try_lock() {
        Ok(()) => {
            write_holder(&mut file).map_err(|source| io("write lock file", path, source))?;
            Ok(Lock::Acquired(FileLock { file }))
        }
        Err(TryLockError::WouldBlock) => Ok(Lock::Held { pid: read_holder(&mut file) }),
        Err(TryLockError::Error(source)) => Err(io("lock", path, source)),
    }
}

/// The holder's process id is for people and messages; nothing decides by it.
fn write_holder(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn read_holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
