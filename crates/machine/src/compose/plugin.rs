//! The Compose plugin's own program.
//!
//! `docker compose` first starts `docker`, which asks every plugin on the machine who it is and then starts the one
//! that was meant: about 0.1 s before Compose begins.
//! The plugin understands the same words when it is started by itself, so commands are written as `docker compose …`,
//! as a person would type them, and run without the detour where the plugin lies in one of Docker's own folders.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::process::Command;

/// Where the Docker client looks for plugins, the person's own folder first.
const FOLDERS: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];

/// The program to start instead, and how many of the first arguments it stands for.
pub(crate) fn shortcut(command: &Command) -> Option<(&'static Path, usize)> {
    static PLUGIN: OnceLock<Option<PathBuf>> = OnceLock::new();
    if command.program != "docker" || command.args.first().map(String::as_str) != Some("compose") {
        return None;
    }
    // The environment is read where programs are started, since that is what they would inherit.
    let own = std::env::var_os("DOCKER_CONFIG").or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(Path::new(&home).join(".docker").into_os_string())
    });
    let plugin = PLUGIN.get_or_init(|| find(own.as_ref(), &FOLDERS));
    plugin.as_deref().map(|program| (program, 1))
}

fn find(config: Option<&OsString>, folders: &[&str]) -> Option<PathBuf> {
    let own = config.map(|folder| Path::new(folder).join("cli-plugins"));
    own.into_iter()
        .chain(folders.iter().map(PathBuf::from))
        .map(|folder| folder.join("docker-compose"))
        .find(|file| std::fs::metadata(file).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(folder: &Path, mode: u32) -> PathBuf {
        let folder = folder.join("cli-plugins");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("docker-compose");
        std::fs::copy("/bin/true", &file).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn the_persons_own_plugin_goes_before_the_machines() {
        let (own, machine) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mine, theirs) = (plugin(own.path(), 0o755), plugin(machine.path(), 0o755));
        let folders = [&*theirs.parent().unwrap().display().to_string()].map(str::to_owned);
        let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
        assert_eq!(find(Some(&own.path().into()), &folders), Some(mine));
        assert_eq!(find(None, &folders), Some(theirs));
    }

    #[test]
    fn what_cannot_be_started_is_not_the_plugin() {
        let own = tempfile::tempdir().unwrap();
        plugin(own.path(), 0o644);
        assert_eq!(find(Some(&own.path().into()), &[]), None);
    }

    #[test]
    fn only_compose_takes_the_short_way() {
        assert_eq!(shortcut(&Command::new("docker").args(["exec", "compose"])), None);
        assert_eq!(shortcut(&Command::new("podman").args(["compose"])), None);
    }
}
