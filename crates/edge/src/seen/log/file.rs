//! The log's file: appended to, rotated by size, opened again when somebody moved it away.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often it is looked whether the file is still where it was, and how often a lost one is tried again.
const LOOK: Duration = Duration::from_millis(500);

/// See the module's text.
pub(super) struct LogFile {
    path: PathBuf,
    rotate_bytes: u64,
    open: Option<File>,
    size: u64,
    looked: Option<Instant>,
}

impl LogFile {
    pub(super) fn new(path: PathBuf, rotate_bytes: u64) -> LogFile {
        LogFile { path, rotate_bytes, open: None, size: 0, looked: None }
    }

    /// Adds whole lines, or says why it cannot.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.append_or(lines).map_err(|error| {
            self.open = None;
            io::Error::new(error.kind(), format!("could not write `{}`: {error}", self.path.display()))
        })
    }

    fn append_or(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.looked.is_none_or(|looked| looked.elapsed() > LOOK) && !self.is_in_place() {
            self.open = None;
        }
        if self.open.is_some() && self.size > 0 && self.size + lines.len() as u64 > self.rotate_bytes {
            std::fs::rename(&self.path, self.rotated())?;
            self.open = None;
        }
        if self.open.is_none() {
            self.reopen()?;
        }
        let Some(file) = self.open.as_mut() else { return Ok(()) };
        file.write_all(lines)?;
        self.size += lines.len() as u64;
        Ok(())
    }

    fn is_in_place(&mut self) -> bool {
        self.looked = Some(Instant::now());
        let there = std::fs::metadata(&self.path).map(|at_path| (at_path.dev(), at_path.ino()));
        let open = self.open.as_ref().and_then(|file| file.metadata().ok()).map(|file| (file.dev(), file.ino()));
        there.ok() == open
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().append(true).create(true).open(&self.path)?;
        self.size = file.metadata()?.len();
        self.open = Some(file);
        Ok(())
    }

    fn rotated(&self) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".1");
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_rotated_at_its_size_and_the_one_before_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/access.log");
        let mut file = LogFile::new(path.clone(), 10);
        for line in ["12345678\n", "abcdefgh\n", "ABCDEFGH\n"] {
            file.append(line.as_bytes()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "ABCDEFGH\n");
        assert_eq!(std::fs::read_to_string(folder.path().join("deep/access.log.1")).unwrap(), "abcdefgh\n");
    }

    #[test]
    fn an_existing_file_is_continued_and_a_full_disk_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        LogFile::new(path.clone(), 1_000).append(b"one\n").unwrap();
        LogFile::new(path.clone(), 1_000).append(b"two\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        let error = LogFile::new("/dev/full".into(), 1_000).append(b"x\n").unwrap_err();
        assert!(error.to_string().contains("/dev/full"), "{error}");
    }
}
