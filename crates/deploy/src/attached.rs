//! Secrets and configs: each release has the content that it was made with.
//!
//! Compose mounts a file as it is on the host, and takes a variable from the shell that it is started in. A release is
//! started again long after both may have changed, so what it needs is kept beside its definition: another content is
//! another release, and a rollback brings the old one back.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use spec::Project;
use spec::compose::Service;

use crate::error::DeployError;
use crate::names::Scope;
use crate::variables;
use crate::world::World;

/// Both lists of a service, and of the project, by their key.
const KINDS: [&str; 2] = ["secrets", "configs"];
/// What Compose gives a file that it writes itself.
const MODE: u32 = 0o444;

/// The contents that the services of a platform use.
#[derive(Clone, Default)]
pub struct Attached {
    folder: PathBuf,
    salt: Vec<u8>,
    contents: BTreeMap<(&'static str, String), Content>,
}

#[derive(Clone)]
struct Content {
    bytes: Vec<u8>,
    /// Of a file of the host; what comes from elsewhere has them from the service's entry.
    mode: Option<u32>,
    owner: Option<(u32, u32)>,
}

/// A file that a release needs beside its definition.
struct Kept<'a> {
    /// Relative to the state folder.
    file: PathBuf,
    bytes: &'a [u8],
    mode: u32,
    owner: Option<(u32, u32)>,
}

impl std::fmt::Debug for Attached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.contents.keys()).finish()
    }
}

impl Attached {
    /// Everything that these services use. What is missing is refused before anything is started.
    pub fn read<'a>(
        world: &World,
        scope: &Scope,
        project: &Project,
        services: impl Iterator<Item = &'a Service>,
        values: &variables::Contents,
    ) -> Result<Attached, DeployError> {
        let mut contents = BTreeMap::new();
        for service in services {
            for kind in KINDS {
                for (key, _) in used(service, kind) {
                    let Some(entry) = project.raw.get(kind).and_then(|all| all.get(&key)) else { continue };
                    if let Some(content) = content(kind, &key, entry, values)? {
                        contents.insert((kind, key), content);
                    }
                }
            }
        }
        Ok(Attached { folder: folder(scope), salt: world.salt.clone(), contents })
    }

    /// What of its contents belongs into a definition's hash; nothing for a service without any.
    pub fn digests(&self, service: &Service) -> Option<Value> {
        let kept = self.of(service).map(|(kind, key, kept)| (format!("{kind}.{key}"), json!(name(&kept.file))));
        let digests: Map<String, Value> = kept.collect();
        (!digests.is_empty()).then_some(Value::Object(digests))
    }

    /// The part of a document that says where its secrets, or configs, lie: only what the service uses.
    pub fn section(&self, root: &Path, project: &Project, service: &Service, kind: &str) -> Map<String, Value> {
        let mut section = Map::new();
        for (key, _) in used(service, kind) {
            if let Some(entry) = project.raw.get(kind).and_then(|all| all.get(&key)) {
                section.insert(key, entry.clone());
            }
        }
        for (_, key, kept) in self.of(service).filter(|(of, ..)| *of == kind) {
            let name = section.get(&key).and_then(|entry| entry.get("name")).cloned();
            let mut entry = json!({ "file": root.join(&kept.file).display().to_string() });
            if let (Some(name), Some(fields)) = (name, entry.as_object_mut()) {
                fields.insert("name".into(), name);
            }
            section.insert(key, entry);
        }
        section
    }

    /// Writes what the service's release needs. The name says the content, so what is there already is the same.
    pub fn keep(&self, world: &World, service: &Service) -> Result<(), DeployError> {
        for (kind, key, kept) in self.of(service) {
            let failed = |source| DeployError::State { operation: format!("keep `{kind}.{key}`"), source };
            if world.root.read(&kept.file).map_err(failed)?.is_some() {
                continue;
            }
            world.root.write_atomic(&kept.file, kept.bytes, kept.mode).map_err(failed)?;
            if let Some((user, group)) = kept.owner {
                world.root.give(&kept.file, user, group).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn of<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = (&'static str, String, Kept<'a>)> {
        let both = KINDS
            .into_iter()
            .flat_map(|kind| used(service, kind).into_iter().map(move |(key, entry)| (kind, key, entry)));
        both.filter_map(|(kind, key, entry)| {
            let content = self.contents.get(&(kind, key.clone()))?;
            let kept = self.kept(content, &entry);
            Some((kind, key, kept))
        })
    }

    fn kept<'a>(&self, content: &'a Content, entry: &Value) -> Kept<'a> {
        let id = |field: &str| entry.get(field).and_then(Value::as_str).and_then(|text| text.parse::<u32>().ok());
        let asked = (id("uid").is_some() || id("gid").is_some())
            .then(|| (id("uid").unwrap_or_default(), id("gid").unwrap_or_default()));
        let mode = content.mode.or(mode(entry)).unwrap_or(MODE);
        let owner = content.owner.or(asked);
        let mut hasher = Sha256::new();
        hasher.update(&self.salt);
        hasher.update(format!("{mode:o} {owner:?} "));
        hasher.update(&content.bytes);
        let digest: String = hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Kept { file: self.folder.join(digest), bytes: &content.bytes, mode, owner }
    }
}

/// What of these services' secrets and configs takes its content from a variable.
pub fn from_variables<'a>(project: &Project, services: impl Iterator<Item = &'a Service>) -> Vec<variables::Wanted> {
    let mut wanted = BTreeSet::new();
    for service in services {
        for kind in KINDS {
            for (key, _) in used(service, kind) {
                let entry = project.raw.get(kind).and_then(|all| all.get(&key));
                let name =
                    entry.filter(|entry| entry.get("content").is_none()).and_then(|entry| entry.get("environment"));
                if let Some(name) = name.and_then(Value::as_str) {
                    wanted.insert((kind, key, name.to_owned()));
                }
            }
        }
    }
    wanted.into_iter().collect()
}

/// Removes what no definition of the scope names any more.
pub fn sweep(world: &World, scope: &Scope) -> Result<(), DeployError> {
    let failed = |source| DeployError::State { operation: "sweep the contents of releases".to_owned(), source };
    let kept = world.root.list(folder(scope)).map_err(failed)?;
    if kept.is_empty() {
        return Ok(());
    }
    let mut definitions = Vec::new();
    for release in world.releases(scope, None)? {
        definitions.extend(world.root.read(&release.definition.file).map_err(failed)?);
    }
    let is_named =
        |name: &String| definitions.iter().any(|text| text.windows(name.len()).any(|part| part == name.as_bytes()));
    for name in kept.iter().filter(|name| !is_named(name)) {
        world.root.remove(folder(scope).join(name)).map_err(failed)?;
    }
    Ok(())
}

fn folder(scope: &Scope) -> PathBuf {
    Path::new("releases").join(scope.project()).join("attached")
}

fn name(file: &Path) -> String {
    file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// What a service names of one kind, with its own words about it.
fn used(service: &Service, kind: &str) -> Vec<(String, Value)> {
    let listed = service.raw.get(kind).and_then(Value::as_array);
    let name = |entry: &Value| entry.as_str().or(entry.get("source").and_then(Value::as_str)).map(str::to_owned);
    listed.into_iter().flatten().filter_map(|entry| Some((name(entry)?, entry.clone()))).collect()
}

fn mode(entry: &Value) -> Option<u32> {
    match entry.get("mode")? {
        Value::String(text) => u32::from_str_radix(text, 8).ok(),
        number => number.as_u64().and_then(|mode| u32::try_from(mode).ok()),
    }
}

/// A folder is left to Compose, which mounts it.
fn content(
    kind: &'static str,
    key: &str,
    entry: &Value,
    values: &variables::Contents,
) -> Result<Option<Content>, DeployError> {
    let text = |field: &str| entry.get(field).and_then(Value::as_str);
    if let Some(text) = text("content") {
        return Ok(Some(Content { bytes: text.as_bytes().to_vec(), mode: None, owner: None }));
    }
    if let Some(name) = text("environment") {
        let missing = || {
            DeployError::Refused(format!(
                "`{kind}.{key}.environment: {name}`: the variable is not set; write it into the environment file, or set it in the shell"
            ))
        };
        let value = values.get(&(kind, key.to_owned())).ok_or_else(missing)?;
        return Ok(Some(Content { bytes: value.as_bytes().to_vec(), mode: None, owner: None }));
    }
    let Some(file) = text("file") else { return Ok(None) };
    let unreadable = |source: std::io::Error| {
        DeployError::Refused(format!(
            "`{kind}.{key}.file`: `{file}` cannot be read ({source}); create it, or write another path"
        ))
    };
    let found = std::fs::metadata(file).map_err(unreadable)?;
    if found.is_dir() {
        return Ok(None);
    }
    let bytes = std::fs::read(file).map_err(unreadable)?;
    Ok(Some(Content { bytes, mode: Some(found.mode() & 0o7777), owner: Some((found.uid(), found.gid())) }))
}
