//! The workspace as the house rules see it: its crates with their floors, and its files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

use crate::Outcome;
use crate::error::TaskError;

/// Folders that hold results or other people's files.
const NOT_OURS: &[&str] = &[".git", ".cache", "node_modules", "__pycache__"];

pub(crate) struct House {
    pub(crate) crates: Vec<Crate>,
    /// Every file below the root by its path relative to it, with its text where it is text.
    pub(crate) files: BTreeMap<String, String>,
}

pub(crate) struct Crate {
    pub(crate) name: String,
    /// The crate's folder, relative to the root.
    pub(crate) folder: String,
    pub(crate) place: Place,
    pub(crate) imports: Vec<Import>,
    /// The root files of its targets, relative to the workspace's root.
    pub(crate) roots: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Floor(u64),
    Beside,
    Unsaid,
}

pub(crate) struct Import {
    pub(crate) name: String,
    pub(crate) for_tests_only: bool,
}

/// The root of this checkout, known at build time.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_path_buf()
}

impl House {
    pub(crate) fn open(root: &Path) -> Outcome<House> {
        let metadata = MetadataCommand::new()
            .manifest_path(root.join("Cargo.toml"))
            .no_deps()
            .other_options(vec!["--offline".to_owned()])
            .exec()?;
        let crates = metadata.packages.iter().map(|package| Crate::of(root, package)).collect();
        let mut files = BTreeMap::new();
        collect(root, root, &mut files)?;
        Ok(House { crates, files })
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Crate> {
        self.crates.iter().find(|member| member.name == name)
    }

    /// Files whose path ends so, for example `.rs`.
    pub(crate) fn ending<'a>(&'a self, end: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.files
            .iter()
            .filter(move |(path, _)| path.ends_with(end))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }
}

impl Crate {
    fn of(root: &Path, package: &Package) -> Crate {
        let folder = package.manifest_path.parent().map(|path| relative(root, path.as_std_path()));
        Crate {
            name: package.name.to_string(),
            folder: folder.unwrap_or_default(),
            place: place(&package.metadata),
            imports: package.dependencies.iter().map(Import::of).collect(),
            roots: package.targets.iter().map(|target| relative(root, target.src_path.as_std_path())).collect(),
        }
    }
}

impl Import {
    fn of(dependency: &cargo_metadata::Dependency) -> Import {
        Import { name: dependency.name.clone(), for_tests_only: dependency.kind == DependencyKind::Development }
    }
}

fn place(metadata: &serde_json::Value) -> Place {
    let house = &metadata["house"];
    match (house["floor"].as_u64(), house["beside"].as_bool()) {
        (Some(floor), _) => Place::Floor(floor),
        (None, Some(true)) => Place::Beside,
        (None, _) => Place::Unsaid,
    }
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) -> Outcome {
    let read = |source| TaskError::Read { path: folder.to_path_buf(), source };
    for entry in fs::read_dir(folder).map_err(read)? {
        let entry = entry.map_err(read)?;
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().map_err(read)?;
        if kind.is_dir() {
            if !NOT_OURS.contains(&name.as_str()) && !name.starts_with("target") {
                collect(root, &path, files)?;
            }
        } else if kind.is_file() {
            // What is not text has no rules; what vanished while we looked has none either.
            let text = fs::read_to_string(&path).unwrap_or_default();
            files.insert(relative(root, &path), text);
        }
    }
    Ok(())
}
