//! What a release was made from: enough to say later what was put into service, by which program, from which files.
//!
//! Contents are named by salted hashes, which tell that something differs and nothing about what it is.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use machine::process::Command;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use spec::{EnvironmentName, ReleaseId};

use crate::load::{Loaded, PLATFORM_FILE};
use crate::world::World;

/// Beyond the image and the definition, which the release carries itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// `repo@sha256:…`, for an image that came from a registry.
    pub digests: Vec<String>,
    /// Versions of the files it was made from: environment files, Compose files, the platform file, and what
    /// Compose calls secrets and configs.
    pub files: BTreeMap<String, String>,
    /// The version of the database schema that the image expects, when its label tells it.
    pub schema: Option<String>,
    /// The commit of the platform's folder.
    pub commit: Option<Commit>,
    /// The environment and release whose image this is, when it was promoted.
    pub promoted: Option<Promoted>,
    /// The version of the program that made it.
    pub mainstay: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    pub id: String,
    /// Files in the folder differ from the commit.
    pub dirty: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promoted {
    pub environment: EnvironmentName,
    pub release: ReleaseId,
}

/// An image may carry the version of the schema it expects under this label.
pub const SCHEMA_LABEL: &str = "dev.mainstay.schema";

/// Git answers at once or something is wrong with the disk.
const PATIENCE: Duration = Duration::from_secs(5);
/// Hex digits of a version: 48 bits.
const SHOWN: usize = 6;

impl Commit {
    /// `3fa9c1d2e4`, with a mark when files differ from it.
    pub fn short(&self) -> String {
        let id: String = self.id.chars().take(10).collect();
        if self.dirty { format!("{id} with changes") } else { id }
    }
}

/// What all releases of one operation have in common.
pub async fn of(world: &World, loaded: &Loaded, dir: &Path) -> Origin {
    Origin {
        files: files(loaded, dir, &world.salt),
        commit: commit(world, dir).await,
        mainstay: env!("CARGO_PKG_VERSION").to_owned(),
        ..Origin::default()
    }
}

/// The same, with what is particular to one image.
pub fn with_image(mut origin: Origin, image: &machine::docker::Image) -> Origin {
    origin.digests.clone_from(&image.digests);
    origin.schema = image.labels.get(SCHEMA_LABEL).cloned();
    origin
}

/// A short keyed hash.
pub fn version(salt: &[u8], content: &[u8]) -> String {
    let digest = Sha256::new().chain_update(salt).chain_update(content).finalize();
    digest.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect()
}

fn files(loaded: &Loaded, dir: &Path, salt: &[u8]) -> BTreeMap<String, String> {
    let mut files = loaded.env_versions.clone();
    let mut note = |name: String, path: &Path| {
        // What cannot be read is no part of the record; Compose says so itself when it needs it.
        if let Ok(content) = std::fs::read(path) {
            files.insert(name, version(salt, &content));
        }
    };
    note(PLATFORM_FILE.into(), &dir.join(PLATFORM_FILE));
    for path in &loaded.compose.files {
        let name = path.strip_prefix(dir).unwrap_or(path).display().to_string();
        note(name, path);
    }
    for (kind, word) in [("secrets", "secret"), ("configs", "config")] {
        let named = loaded.project.raw.get(kind).and_then(Value::as_object);
        for (name, resource) in named.into_iter().flatten() {
            if let Some(path) = resource.get("file").and_then(Value::as_str) {
                note(format!("{word} {name}"), &dir.join(path));
            }
        }
    }
    files
}

/// A machine without git, or a folder that is no checkout, has no commit; that is no failure.
async fn commit(world: &World, dir: &Path) -> Option<Commit> {
    let git = |words: &[&str]| {
        // A repository's own settings may name programs to run: none of them is wanted here.
        let quiet = ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"];
        Command::new("git").args(quiet).args(words.iter().copied()).dir(dir).timeout(PATIENCE)
    };
    let id = world.run(git(&["rev-parse", "--verify", "HEAD"])).await.ok().filter(|output| output.status == 0)?;
    let id = id.text().trim().to_owned();
    let status = world.run(git(&["status", "--porcelain", "--untracked-files=normal", "--", "."])).await.ok()?;
    (!id.is_empty()).then(|| Commit { id, dirty: status.status != 0 || !status.text().trim().is_empty() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_follows_the_content_and_the_installation() {
        let one = version(&[1; 32], b"LOG=debug");
        assert_eq!(one.len(), 12);
        assert_eq!(one, version(&[1; 32], b"LOG=debug"));
        assert_ne!(one, version(&[1; 32], b"LOG=info"));
        assert_ne!(one, version(&[2; 32], b"LOG=debug"));
    }

    #[test]
    fn a_release_of_an_earlier_program_has_an_origin_that_says_nothing() {
        assert_eq!(serde_json::from_str::<Origin>("{}").unwrap(), Origin::default());
    }
}
