//! Who may read the environment files: git writes them for everybody, and a secret is for its owner.

use std::path::{Path, PathBuf};

use secrets::Access;

use crate::load::Loaded;
use crate::world::World;

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

/// Takes the files from everybody but their owners. One that stays open is worth a warning and no more: it was so before.
pub fn narrow(world: &World, loaded: &Loaded, dir: &Path) {
    for (path, access) in &loaded.open_files {
        let name = name(path, dir);
        let mode = access.mode & OWNER;
        let text = match machine::files::set_mode(path, mode) {
            Ok(()) => format!("`{name}` has mode {mode:04o} now"),
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
        };
        world.talk.say(None, text);
    }
}

fn name(path: &Path, dir: &Path) -> String {
    path.strip_prefix(dir).unwrap_or(path).display().to_string()
}
