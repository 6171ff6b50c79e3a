//! Programs that are put where they stay. A program that runs is never written to: another takes its name.

use std::fs::{File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::{FilesError, create_dir_all, io, write};

/// Copies a program, with the time of its last change, so that both are known for the same.
pub fn install(from: &Path, to: &Path) -> Result<(), FilesError> {
    let beside = prepare(to)?;
    let failed = |source| io("install", to, source);
    let mut source = File::open(from).map_err(failed)?;
    let changed = source.metadata().and_then(|data| data.modified()).map_err(failed)?;
    let mut copy = File::options().write(true).create_new(true).open(&beside).map_err(failed)?;
    std::io::copy(&mut source, &mut copy).map_err(failed)?;
    copy.set_permissions(Permissions::from_mode(0o755)).map_err(failed)?;
    copy.set_modified(changed).map_err(failed)?;
    copy.sync_all().map_err(failed)?;
    drop(copy);
    replace(&beside, to)
}

/// Makes a name for a program that stays where it is.
pub fn link(program: &Path, name: &Path) -> Result<(), FilesError> {
    let beside = prepare(name)?;
    symlink(program, &beside).map_err(|source| io("link", name, source))?;
    replace(&beside, name)
}

fn prepare(to: &Path) -> Result<PathBuf, FilesError> {
    if let Some(folder) = to.parent() {
        create_dir_all(folder)?;
    }
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.mainstay-tmp", std::process::id()));
    let beside = to.with_file_name(name);
    write::remove_if_there(&beside)?;
    Ok(beside)
}

fn replace(beside: &Path, to: &Path) -> Result<(), FilesError> {
    std::fs::rename(beside, to).map_err(|source| io("install", to, source))?;
    write::sync_folder(to)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test writes the files that it reads")]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_copied_or_linked_and_replaced_while_it_may_run() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        std::fs::write(&one, "one").unwrap();
        std::fs::write(&two, "two").unwrap();
        let to = folder.path().join("bin/program");
        install(&one, &to).unwrap();
        let (data, of) = (std::fs::metadata(&to).unwrap(), std::fs::metadata(&one).unwrap());
        assert_eq!(data.permissions().mode() & 0o777, 0o755);
        assert_eq!(data.modified().unwrap(), of.modified().unwrap());
        // Who has it open keeps what it was.
        let running = std::io::read_to_string(File::open(&to).unwrap());
        install(&two, &to).unwrap();
        assert_eq!((running.unwrap(), std::fs::read_to_string(&to).unwrap()), ("one".to_owned(), "two".to_owned()));
        link(&one, &to).unwrap();
        assert_eq!(to.canonicalize().unwrap(), one.canonicalize().unwrap());
        install(&two, &to).unwrap();
        assert_eq!(std::fs::read_to_string(&one).unwrap(), "one", "a link is replaced and not written through");
        assert_eq!(std::fs::read_dir(folder.path().join("bin")).unwrap().count(), 1);
    }
}
