//! What lies at a path of this machine, as far as a glance can tell.
//!
//! Before a path is given to a container, or taken away from one, somebody must know whether data lies there, and
//! whose. A glance reads some names and the first bytes of files, goes one level down and never fails: what may not
//! be seen is not told.

mod content;

use std::ffi::OsString;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use content::Content;

/// What a glance at a path tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathFacts {
    /// Where it really lies: links followed as far as the path exists, and the rest as it was said.
    pub canonical: PathBuf,
    pub kind: PathKind,
    /// Whose data it looks like.
    #[serde(default)]
    pub content: Option<Content>,
    /// A file in which nothing is.
    #[serde(default)]
    pub is_empty: bool,
    /// A file that somebody may execute.
    #[serde(default)]
    pub is_program: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathKind {
    /// There is nothing, or nothing that may be seen.
    Missing,
    Directory,
    File,
    Socket,
    CharDevice,
    BlockDevice {
        major: u64,
        minor: u64,
    },
    Fifo,
}

/// Looks at a path, links followed.
pub fn look(path: &Path) -> PathFacts {
    let canonical = canonical(path);
    let kind = kind(&canonical);
    let content = match kind {
        PathKind::Directory => content::of_folder(&canonical),
        PathKind::File => content::of_file(&canonical),
        _ => None,
    };
    let file = canonical.metadata().ok().filter(std::fs::Metadata::is_file);
    let (is_empty, is_program) = file.map_or((false, false), |file| (file.len() == 0, file.mode() & 0o111 != 0));
    PathFacts { canonical, kind, content, is_empty, is_program }
}

fn kind(path: &Path) -> PathKind {
    let Ok(found) = path.metadata() else { return PathKind::Missing };
    let is = found.file_type();
    if is.is_dir() {
        PathKind::Directory
    } else if is.is_socket() {
        PathKind::Socket
    } else if is.is_char_device() {
        PathKind::CharDevice
    } else if is.is_block_device() {
        let device = found.rdev();
        PathKind::BlockDevice { major: nix::sys::stat::major(device), minor: nix::sys::stat::minor(device) }
    } else if is.is_fifo() {
        PathKind::Fifo
    } else {
        PathKind::File
    }
}

/// The real place of the longest part that exists, and the rest after it.
fn canonical(path: &Path) -> PathBuf {
    let mut rest: Vec<OsString> = Vec::new();
    let mut part = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    loop {
        if let Ok(real) = part.canonicalize() {
            return plain(real, &rest);
        }
        // A last component that is `..` has no name; a path that is used up is as it was said.
        let (Some(last), Some(parent)) = (part.components().next_back(), part.parent()) else {
            return plain(part, &rest);
        };
        rest.push(last.as_os_str().to_owned());
        part = parent.to_owned();
    }
}

/// Puts the rest, last part first, after what exists; where nothing exists, `..` can only go up by name.
fn plain(mut real: PathBuf, rest: &[OsString]) -> PathBuf {
    for part in rest.iter().rev() {
        match Path::new(part).components().next() {
            Some(Component::ParentDir) => {
                real.pop();
            }
            Some(Component::Normal(name)) => real.push(name),
            _ => {}
        }
    }
    real
}

#[cfg(test)]
mod tests;
