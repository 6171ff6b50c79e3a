//! What a platform is called: its own name, and the Compose project whose names its volumes and networks have.
//!
//! The default environment has the names that plain Compose would give, so that data is found by both. What was named
//! once keeps its name: it is written down when the platform is first brought up, outlives `down`, since data does, and
//! is never guessed again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use machine::docker::{Container, Labels};
use serde::{Deserialize, Serialize};
use spec::{EnvironmentName, PlatformFile, PlatformName};

use crate::error::DeployError;
use crate::load::{PLATFORM_FILE, Source, compose_files_in};
use crate::names::Scope;
use crate::world::World;

pub(crate) const IDENTITY: &str = "identity";

/// Compose's own labels.
pub const COMPOSE_PROJECT: &str = "com.docker.compose.project";
pub const COMPOSE_SERVICE: &str = "com.docker.compose.service";
pub const COMPOSE_NUMBER: &str = "com.docker.compose.container-number";
pub const COMPOSE_DIR: &str = "com.docker.compose.project.working_dir";
pub const COMPOSE_FILES: &str = "com.docker.compose.project.config_files";
pub const COMPOSE_ONE_OFF: &str = "com.docker.compose.oneoff";

/// The record of kind `identity`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub scope: Scope,
    /// Where it was last brought up from; empty where nobody wrote it down.
    pub dir: PathBuf,
    /// The Compose project that names its volumes, networks and built images.
    pub project: String,
    /// Volumes that hold its data, by real name.
    #[serde(default)]
    pub volumes: BTreeMap<String, KnownVolume>,
    /// The real names of volumes that neither file names, by `service/copy/target`.
    #[serde(default)]
    pub own: BTreeMap<String, String>,
    /// Volumes that the file of the last `up` makes.
    #[serde(default)]
    pub declared: Vec<String>,
    /// Networks and volumes that it uses and somebody else keeps.
    #[serde(default)]
    pub external: Vec<String>,
    /// Services that it has, also those of profiles that are off.
    #[serde(default)]
    pub services: Vec<String>,
    /// Compose has it by `release-to-compose`: what its containers hold in volumes without a name is newer than `own`.
    #[serde(default)]
    pub with_compose: bool,
}

/// A volume that holds data of a platform.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KnownVolume {
    /// When it was first used.
    pub since_ms: i64,
    /// Services that write to it.
    #[serde(default)]
    pub services: Vec<String>,
    /// Which database keeps its files there.
    #[serde(default)]
    pub database: Option<String>,
}

/// The name of Compose's project as plain Compose would have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComposeName {
    pub name: String,
    pub explicit: bool,
    /// The caller's shell says it, for this one command.
    pub of_shell: bool,
}

/// `COMPOSE_PROJECT_NAME`, else the `name` of the last file that has one, else the folder's name.
pub fn compose_name(dir: &Path, files: &[String], variable: &dyn Fn(&str) -> Option<String>) -> ComposeName {
    let written = |file: &String| {
        let text = std::fs::read_to_string(dir.join(file)).ok()?;
        top_level_name(&text).map(|name| expanded(&name, variable))
    };
    let said = variable("COMPOSE_PROJECT_NAME").filter(|name| !name.is_empty());
    let said = said.or_else(|| files.iter().rev().find_map(written)).filter(|name| !name.is_empty());
    let folder = || dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    ComposeName { explicit: said.is_some(), name: normalized(&said.unwrap_or_else(folder)), of_shell: false }
}

/// As Compose does it: what no project name may have is left out.
fn normalized(name: &str) -> String {
    let kept: String = name.to_lowercase().chars().filter(|c| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-')).collect();
    kept.trim_start_matches(['_', '-']).to_owned()
}

/// The key `name` of a Compose file. The file is not read as YAML: tags of Compose's own would stop a reader that does
/// not know them, and a key at the left margin is easy to find.
fn top_level_name(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.trim_start_matches('\u{feff}').strip_prefix("name:"))?;
    let value = line.split(" #").next().unwrap_or(line).trim();
    Some(value.trim_matches(['"', '\'']).to_owned())
}

/// `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME-default}`.
pub(crate) fn expanded(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (inner, left) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some(found) => found,
            None => {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                after.split_at(end)
            }
        };
        let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
        let (name, rule) = inner.split_at(end);
        let default = rule.strip_prefix(":-").or(rule.strip_prefix('-')).unwrap_or_default();
        let value = variable(name).filter(|value| !value.is_empty() || !rule.starts_with(':'));
        out.push_str(value.as_deref().unwrap_or(default));
        rest = left;
    }
    out.push_str(rest);
    out
}

/// The environment that a command without `-e` means, where there is one.
pub fn default_environment(file: &PlatformFile) -> Option<EnvironmentName> {
    let file = PlatformFile { require_environment: None, ..file.clone() };
    spec::resolve::environment(&file, None).ok()
}

/// Whether both are the same folder, whatever links lead there.
pub fn same_folder(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// The name of the platform in a folder: the platform file's, the one it is known by, the Compose project's, the
/// folder's.
pub fn platform_name(
    file: &PlatformFile,
    dir: &Path,
    environment: &EnvironmentName,
    compose: &ComposeName,
    known: &[Identity],
) -> Result<PlatformName, DeployError> {
    if let Some(name) = &file.platform {
        return Ok(name.clone());
    }
    let tidy = |name: &str| {
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        PlatformName::parse(name.trim_matches('-'))
    };
    let said = tidy(&compose.name.to_lowercase()).ok();
    let is_said = |known: &Identity| known.project == compose.name || Some(&known.scope.platform) == said.as_ref();
    let here: Vec<&Identity> = known.iter().filter(|known| is_home_of(known, dir)).collect();
    let of = |wanted: &dyn Fn(&Identity) -> bool| here.iter().find(|known| wanted(known)).copied();
    let same = of(&|known| is_said(known) && known.scope.environment == *environment)
        .or_else(|| of(&is_said))
        .or_else(|| of(&|known| known.scope.environment == *environment).or(here.first().copied()))
        // A name that the shell gives is another platform, as it is another project to Compose.
        .filter(|known| !compose.of_shell || is_said(known));
    if let Some(known) = same {
        return Ok(known.scope.platform.clone());
    }
    let folder = dir.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    // A platform of the version before, which nobody has up: it went by the folder's name.
    if let Ok(name) = tidy(&folder)
        && known.iter().any(|known| {
            known.dir.as_os_str().is_empty() && known.scope.platform == name && known.scope.environment == *environment
        })
    {
        return Ok(name);
    }
    let name = if compose.explicit { compose.name.to_lowercase() } else { folder };
    tidy(&name).map_err(|_| {
        DeployError::Refused(format!(
            "`{name}` cannot name a platform; write `platform: …` into {}",
            crate::load::PLATFORM_FILE
        ))
    })
}

fn is_home_of(known: &Identity, dir: &Path) -> bool {
    !known.dir.as_os_str().is_empty() && same_folder(&known.dir, dir)
}

/// What is to be said where a platform is at home in another folder. Who changes it from here has to say that this is its
/// folder now; where the other one has gone, there is nothing to mistake.
pub fn moved(world: &World, scope: &Scope, source: &Source) -> Result<Option<String>, DeployError> {
    let Some(known) = world.identity(scope)?.map(|known| known.dir) else { return Ok(None) };
    let dir = &source.dir;
    if known.as_os_str().is_empty() || same_folder(&known, dir) {
        return Ok(None);
    }
    if !source.move_here && is_home(&known) {
        return Err(DeployError::OtherFolder { scope: scope.clone(), known, dir: dir.clone() });
    }
    Ok(Some(format!(
        "{scope} was brought up from {} until now, and is {} from here on",
        known.display(),
        dir.display()
    )))
}

/// Whether a folder has, still, what could be brought up from it.
pub(crate) fn is_home(dir: &Path) -> bool {
    dir.join(PLATFORM_FILE).is_file() || compose_files_in(dir).is_ok()
}

impl World {
    pub fn identities(&self) -> Result<Vec<Identity>, DeployError> {
        let all = self.ledger.list_records::<Identity>(IDENTITY, "").map_err(ledger("list the names of platforms"))?;
        Ok(all.into_iter().map(|(_, identity)| identity).collect())
    }

    pub fn identity(&self, scope: &Scope) -> Result<Option<Identity>, DeployError> {
        self.ledger.get_record(IDENTITY, &scope.key()).map_err(ledger("read a platform's names"))
    }

    pub fn save_identity(&self, identity: &Identity) -> Result<(), DeployError> {
        self.put_kept(IDENTITY, &identity.scope.key(), identity).map_err(ledger("write a platform's names down"))
    }

    /// Changes what is known of a platform's names and volumes, where it is known.
    pub fn change_identity(&self, scope: &Scope, change: impl Fn(&mut Identity)) -> Result<(), DeployError> {
        let key = scope.key();
        let changed = self.write_kept(|tx, changes| {
            let Some(mut identity) = tx.get_record::<Identity>(IDENTITY, &key)? else { return Ok(()) };
            change(&mut identity);
            changes.put(tx, IDENTITY, &key, &identity)
        });
        changed.map_err(ledger("write a platform's names down"))
    }

    /// See [`platform_name`].
    pub fn platform_name(
        &self,
        file: &PlatformFile,
        dir: &Path,
        environment: &EnvironmentName,
        compose: &ComposeName,
    ) -> Result<PlatformName, DeployError> {
        platform_name(file, dir, environment, compose, &self.identities()?)
    }

    /// What is known of a platform, or what its names will be.
    pub async fn identify(
        &self,
        scope: &Scope,
        dir: &Path,
        files: &[PathBuf],
        compose: &ComposeName,
        is_default: bool,
    ) -> Result<Identity, DeployError> {
        if let Some(known) = self.identity(scope)? {
            return Ok(known);
        }
        let new = |project: String| Identity {
            scope: scope.clone(),
            dir: dir.to_owned(),
            project,
            volumes: BTreeMap::new(),
            own: BTreeMap::new(),
            declared: Vec::new(),
            external: Vec::new(),
            services: Vec::new(),
            with_compose: false,
        };
        // The version before named everything after platform and environment, and its labels tell.
        let volumes = self.docker.volumes(&scope.selector()).await;
        let volumes = volumes.map_err(|source| DeployError::Docker { operation: "list volumes".into(), source })?;
        let before = scope.project();
        if volumes.iter().any(|volume| volume.name.starts_with(&format!("{before}_"))) || !is_default {
            return Ok(new(before));
        }
        let containers = self.docker.list(&[(COMPOSE_PROJECT.into(), String::new())], true).await;
        let containers =
            containers.map_err(|source| DeployError::Docker { operation: "list containers".into(), source })?;
        let here = project_of_folder(&containers, dir, files);
        Ok(new(here.unwrap_or_else(|| compose.name.clone())))
    }
}

/// The Compose project that was brought up from this folder or with these files, under whatever name.
pub fn project_of_folder(containers: &[Container], dir: &Path, files: &[PathBuf]) -> Option<String> {
    let is_ours = |labels: &Labels| labels.contains_key(crate::names::PLATFORM);
    let from_here = |labels: &Labels| {
        let of_dir = labels.get(COMPOSE_DIR).is_some_and(|known| same_folder(Path::new(known), dir));
        let known: Vec<&str> = labels.get(COMPOSE_FILES).map(|known| known.split(',').collect()).unwrap_or_default();
        of_dir || known.iter().any(|known| files.iter().any(|file| same_folder(Path::new(known), file)))
    };
    let mut projects: Vec<&String> = containers
        .iter()
        .map(|container| &container.labels)
        .filter(|labels| !is_ours(labels) && from_here(labels))
        .filter_map(|labels| labels.get(COMPOSE_PROJECT))
        .collect();
    projects.sort();
    projects.dedup();
    match projects.as_slice() {
        [only] => Some((*only).clone()),
        _ => None,
    }
}

fn ledger(operation: &'static str) -> impl Fn(ledger::LedgerError) -> DeployError {
    move |source| DeployError::Ledger { operation, source }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test writes the files that it reads")]
mod tests {
    use super::*;

    fn none(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn a_project_is_named_as_compose_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("My Shop.v2");
        std::fs::create_dir(&dir).unwrap();
        let files = ["compose.yaml".to_owned()];
        std::fs::write(dir.join("compose.yaml"), "services: {}\n").unwrap();
        assert_eq!(
            compose_name(&dir, &files, &none),
            ComposeName { name: "myshopv2".into(), explicit: false, of_shell: false }
        );
        std::fs::write(dir.join("compose.yaml"), "name: \"bug-${STAGE:-shop}\" # ours\nservices:\n  a:\n    name: x\n")
            .unwrap();
        assert_eq!(
            compose_name(&dir, &files, &none),
            ComposeName { name: "bug-shop".into(), explicit: true, of_shell: false }
        );
        let of_shell = |name: &str| (name == "COMPOSE_PROJECT_NAME").then(|| "other".to_owned());
        assert_eq!(
            compose_name(&dir, &files, &of_shell),
            ComposeName { name: "other".into(), explicit: true, of_shell: false }
        );
    }

    #[test]
    fn a_folder_keeps_its_platform_unless_the_shell_names_another() {
        let folder = tempfile::tempdir().unwrap();
        let known = |platform: &str, project: &str| Identity {
            scope: Scope { platform: PlatformName::parse(platform).unwrap(), environment: environment() },
            dir: folder.path().to_owned(),
            project: project.into(),
            ..serde_json::from_value(serde_json::json!({
                "scope": {"platform": "x", "environment": "production"}, "dir": "", "project": "",
            }))
            .unwrap()
        };
        let all = [known("docker", "docker"), known("blog", "old_blog")];
        let named = |name: &str, explicit: bool, of_shell: bool| {
            let compose = ComposeName { name: name.into(), explicit, of_shell };
            platform_name(&PlatformFile::default(), folder.path(), &environment(), &compose, &all).unwrap().to_string()
        };
        assert_eq!(named("docker", false, false), "docker");
        assert_eq!(named("shop", true, false), "docker", "a name that is written later is no other platform");
        assert_eq!(named("blog", true, false), "blog");
        assert_eq!(named("old_blog", true, true), "blog");
        assert_eq!(named("trial", true, true), "trial", "as for Compose");
    }

    fn environment() -> EnvironmentName {
        EnvironmentName::parse("production").unwrap()
    }

    #[test]
    fn variables_in_a_name_are_filled_in() {
        let variable = |name: &str| (name == "A").then(|| "one".to_owned());
        for (text, expected) in
            [("$A-x", "one-x"), ("${A}", "one"), ("${B:-two}", "two"), ("${B-two}_$A", "two_one"), ("plain", "plain")]
        {
            assert_eq!(expanded(text, &variable), expected);
        }
    }

    #[test]
    fn a_project_is_found_by_its_folder_and_by_its_files_and_not_where_there_are_two() {
        let container = |project: &str, dir: &str, files: &str| {
            let labels = [(COMPOSE_PROJECT, project), (COMPOSE_DIR, dir), (COMPOSE_FILES, files)];
            Container {
                labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
                ..serde_json::from_value(serde_json::json!({
                    "id": "c", "name": "c", "image": "i", "image_id": "i", "labels": {}, "state": "running",
                    "created_ms": 0, "addresses": {},
                }))
                .unwrap()
            }
        };
        let (dir, files) = (Path::new("/srv/shop"), [PathBuf::from("/srv/shop/deploy/compose.yaml")]);
        let one = container("old-name", "/srv/shop", "/srv/shop/compose.yaml");
        assert_eq!(project_of_folder(std::slice::from_ref(&one), dir, &files).as_deref(), Some("old-name"));
        let by_file = container("deploy", "/srv/shop/deploy", "/x.yaml,/srv/shop/deploy/compose.yaml");
        assert_eq!(project_of_folder(std::slice::from_ref(&by_file), dir, &files).as_deref(), Some("deploy"));
        assert_eq!(project_of_folder(&[one, by_file], dir, &files), None);
        assert_eq!(project_of_folder(&[container("x", "/srv/other", "")], dir, &files), None);
    }
}
