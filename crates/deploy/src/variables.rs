//! What variables mean: Compose is asked, and nobody else.
//!
//! Compose prints no secret and no environment file. It does print a service's variables, so a service of ours is laid
//! over the project that passes on each variable by its name, and is taken out of the answer again. The service never
//! comes to be: only `config` sees it.
//!
//! What an included file has may come from environment files that count for that file alone. For these a project is
//! written that has the same includes with nothing in them but such a service each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use machine::compose::Compose;
use serde_json::{Map, Value, json};
use spec::compose::{Include, Outline};

use crate::error::DeployError;
use crate::identity::expanded;
use crate::load::{answer, with_shell};
use crate::world::World;

/// The service that is laid over a project.
pub const PROBE: &str = "mainstay-probe";
/// Files include files include files; a circle is Compose's to refuse.
const DEEPEST: usize = 16;

/// A secret or config that takes its content from a variable: its kind, its key and the variable.
pub type Wanted = (&'static str, String, String);

/// The contents of what takes them from a variable, by kind and key.
pub type Contents = BTreeMap<(&'static str, String), String>;

/// The Compose file that is laid over a project to learn what these variables mean.
pub fn probe<'a>(names: impl Iterator<Item = &'a str>) -> Value {
    json!({ "services": { PROBE: service(names) } })
}

fn service<'a>(names: impl Iterator<Item = &'a str>) -> Value {
    let names: BTreeSet<&str> = names.collect();
    // A service without a network asks for no default one.
    json!({ "image": PROBE, "network_mode": "none", "environment": names })
}

/// Takes a probe out of what Compose printed, with what it has learnt.
pub fn take(document: &mut Value, name: &str) -> BTreeMap<String, String> {
    let services = document.get_mut("services").and_then(Value::as_object_mut);
    let probe = services.and_then(|services| services.remove(name));
    let variables = probe.and_then(|mut probe| probe.get_mut("environment").map(Value::take));
    let Some(Value::Object(variables)) = variables else { return BTreeMap::new() };
    let text = |(name, value): (String, Value)| match value {
        Value::String(text) => Some((name, text)),
        _ => None,
    };
    variables.into_iter().filter_map(text).collect()
}

/// An included file, seen from outside.
struct Included {
    include: Include,
    /// The folder that its own paths start from.
    dir: PathBuf,
    /// What it has of secrets and configs.
    has: BTreeSet<(&'static str, String)>,
    /// Those that it includes itself.
    includes: Vec<Included>,
}

/// What of these only an included file's environment files know.
pub async fn of_includes(
    world: &World,
    compose: &Compose,
    shell: &[(String, String)],
    wanted: &[Wanted],
    known: &BTreeMap<String, String>,
) -> Result<Contents, DeployError> {
    let Some(dir) = compose.dir.as_deref().filter(|_| !wanted.is_empty()) else { return Ok(Contents::new()) };
    let found = all_included(compose, dir, known);
    if found.is_empty() {
        return Ok(Contents::new());
    }
    let names: BTreeSet<&str> = wanted.iter().map(|(_, _, name)| name.as_str()).collect();
    let mut written = Written::new(world, names);
    let asked = written.ask(&found, compose, shell).await;
    written.clear();
    let values = asked?;
    let flat = flattened(&found);
    let of = |(kind, key, name): &Wanted| {
        let known = flat.iter().zip(&values).filter_map(|(one, values)| Some((one, values.get(name)?)));
        let all: Vec<(&&Included, &String)> = known.collect();
        let its_own = all.iter().find(|(one, _)| one.has.contains(&(*kind, key.clone())));
        // What is nowhere to be seen (a file from afar) is what all say that know the variable.
        let agreed = || all.first().filter(|(_, first)| all.iter().all(|(_, value)| value == first));
        let (_, value) = its_own.or_else(agreed)?;
        Some(((*kind, key.clone()), (*value).clone()))
    };
    Ok(wanted.iter().filter_map(of).collect())
}

fn all_included(compose: &Compose, dir: &Path, known: &BTreeMap<String, String>) -> Vec<Included> {
    let variable = |name: &str| known.get(name).cloned();
    compose.files.iter().flat_map(|file| included_by(&outline(file), dir, &variable, 0)).collect()
}

/// In the order in which they are numbered.
fn flattened(found: &[Included]) -> Vec<&Included> {
    found.iter().flat_map(|one| std::iter::once(one).chain(flattened(&one.includes))).collect()
}

fn outline(file: &Path) -> Outline {
    std::fs::read_to_string(file).ok().and_then(|text| Outline::read(&text)).unwrap_or_default()
}

fn included_by(
    outline: &Outline,
    dir: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
    depth: usize,
) -> Vec<Included> {
    let one = |include: &Include| {
        let plain = |text: &String| expanded(text, variable);
        let first = include.paths.first().map(plain)?;
        let relative = include.project_directory.as_ref().map(plain);
        let folder = relative.unwrap_or_else(|| {
            Path::new(&first).parent().map(|parent| parent.display().to_string()).unwrap_or_default()
        });
        let folder = dir.join(folder);
        let mut has = BTreeSet::new();
        let mut includes = Vec::new();
        for path in include.paths.iter().map(plain) {
            let outline = self::outline(&dir.join(path));
            has.extend(outline.secrets.iter().map(|key| ("secrets", key.clone())));
            has.extend(outline.configs.iter().map(|key| ("configs", key.clone())));
            if depth < DEEPEST {
                includes.extend(included_by(&outline, &folder, variable, depth + 1));
            }
        }
        Some(Included { include: include.clone(), dir: folder, has, includes })
    };
    outline.includes.iter().filter_map(one).collect()
}

/// The files of one question to Compose, which are gone after it. They hold names and paths, no values.
struct Written<'a> {
    world: &'a World,
    names: BTreeSet<&'a str>,
    prefix: String,
    files: Vec<PathBuf>,
}

impl<'a> Written<'a> {
    fn new(world: &'a World, names: BTreeSet<&'a str>) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let prefix = format!("run/variables-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        Self { world, names, prefix, files: Vec::new() }
    }

    /// What each of these knows, in the order of `flattened`.
    async fn ask(
        &mut self,
        found: &[Included],
        compose: &Compose,
        shell: &[(String, String)],
    ) -> Result<Vec<BTreeMap<String, String>>, DeployError> {
        let mut number = 0;
        let includes = self.includes(found, &mut number)?;
        let root = self.write("root", &json!({ "include": includes }))?;
        let compose = Compose { files: vec![root], ..compose.clone() };
        let output = self.world.run(with_shell(compose.config(), shell)).await?;
        let mut document = answer(output)?;
        Ok((0..number).map(|at| take(&mut document, &named(at))).collect())
    }

    /// The same includes in the same folders with the same environment files, and a probe in each.
    fn includes(&mut self, found: &[Included], number: &mut usize) -> Result<Vec<Value>, DeployError> {
        let mut entries = Vec::new();
        for one in found {
            let name = named(*number);
            *number += 1;
            let below = self.includes(&one.includes, number)?;
            let content = json!({ "services": { &name: service(self.names.iter().copied()) }, "include": below });
            let path = self.write(&name, &content)?;
            let mut entry = Map::new();
            entry.insert("path".into(), json!([path]));
            entry.insert("project_directory".into(), json!(one.dir));
            if !one.include.env_files.is_empty() {
                entry.insert("env_file".into(), json!(one.include.env_files));
            }
            entries.push(Value::Object(entry));
        }
        Ok(entries)
    }

    fn write(&mut self, name: &str, content: &Value) -> Result<PathBuf, DeployError> {
        let failed =
            |source| DeployError::State { operation: "write down which variables are asked for".into(), source };
        let file = PathBuf::from(format!("{}-{name}.json", self.prefix));
        self.files.push(file.clone());
        self.world.root.write_atomic(&file, content.to_string().as_bytes(), 0o600).map_err(failed)?;
        self.world.root.join(&file).map_err(failed)
    }

    /// What cannot be removed is written over the next time.
    fn clear(&mut self) {
        for file in self.files.drain(..) {
            let _ = self.world.root.remove(file);
        }
    }
}

fn named(at: usize) -> String {
    format!("{PROBE}-{at}")
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test writes the files that it reads")]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_taken_out_with_what_it_has_learnt() {
        let mut document = json!({"services": {
            "web": {"image": "x"},
            PROBE: {"image": PROBE, "environment": {"A": "one", "UNSET": null}},
        }});
        assert_eq!(take(&mut document, PROBE), BTreeMap::from([("A".to_owned(), "one".to_owned())]));
        assert_eq!(document, json!({"services": {"web": {"image": "x"}}}));
        assert!(take(&mut document, PROBE).is_empty());
    }

    #[test]
    fn included_files_are_found_in_their_folders_with_what_they_have() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let write = |name: &str, text: &str| {
            let path = dir.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("compose.yaml", "include:\n  - ${WHERE}/compose.yaml\n  - {path: b/c.yaml, project_directory: other}\n");
        write("app/compose.yaml", "include: [deep/c.yaml]\nsecrets: {part: {environment: P}}\n");
        write("app/deep/c.yaml", "configs: {c: {environment: C}}\n");
        write("b/c.yaml", "services: {}\n");
        let variable = |name: &str| (name == "WHERE").then(|| "app".to_owned());
        let found = included_by(&outline(&dir.join("compose.yaml")), dir, &variable, 0);
        let flat = flattened(&found);
        let dirs: Vec<_> = flat.iter().map(|one| one.dir.strip_prefix(dir).unwrap().to_owned()).collect();
        assert_eq!(dirs, ["app", "app/deep", "other"].map(PathBuf::from));
        assert!(flat[0].has.contains(&("secrets", "part".to_owned())));
        assert!(flat[1].has.contains(&("configs", "c".to_owned())));
        assert!(flat[2].has.is_empty());
    }
}
