//! Who may read the environment files: git writes them for everybody, and a secret is for its owner.

use std::path::{Path, PathBuf};

use secrets::Access;

use crate::error::DeployError;
use crate::load::{self, Loaded, Source};

/// What is left of a mode when only the owner is let in.
const OWNER: u32 = 0o700;

/// What `up` will change, for the plan.
pub fn lines(loaded: &Loaded, dir: &Path) -> Vec<String> {
    let line = |(path, access): &(PathBuf, Access)| {
        let (name, mode) = (name(path, dir), access.mode);
        format!("`{name}` is {}: mode {mode:04o} becomes {:04o}", access.readers(), mode & OWNER)
    };
    loaded.open_files.iter().map(line).collect()
}

/// Takes the files from everybody but their owners, and says so. One that stays open is worth a warning and no more: it was
/// so before. This is the caller's work, with the caller's rights: the agent may not write outside of its state folder.
pub fn narrow(source: &Source) -> Result<Vec<String>, DeployError> {
    let open = load::open_env_files(source)?;
    Ok(open.iter().map(|(path, access)| narrowed(path, *access, &source.dir)).collect())
}

fn narrowed(path: &Path, access: Access, dir: &Path) -> String {
    let (name, mode) = (name(path, dir), access.mode & OWNER);
    match machine::files::set_mode(path, mode) {
        Ok(()) => format!("`{name}` was {} and has mode {mode:04o} now", access.readers()),
        Err(error) => {
            let why = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            format!(
                "warning: `{name}` stays {}, mode {:04o}: {why}; it belongs to user {}, who can type `chmod {mode:04o} {}`",
                access.readers(),
                access.mode,
                access.owner,
                path.display()
            )
        }
    }
}

fn name(path: &Path, dir: &Path) -> String {
    path.strip_prefix(dir).unwrap_or(path).display().to_string()
}
