//! What the tests of this crate share: sample files, expected texts, and the keys of the schema.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop with the cause"
)]
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::disallowed_methods, reason = "tests read samples; the crate itself never touches a file")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use spec::compose::Project;

/// The files of a folder with this ending, by name without ending.
pub fn folder(path: &str, ending: &str) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = std::fs::read_dir(here(path))
        .expect(path)
        .map(|entry| entry.expect("a folder entry").path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .map(|path| (path.file_stem().expect("a name").to_string_lossy().into_owned(), read(&path)))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no .{ending} in {path}");
    files
}

/// The Compose projects of the samples.
pub fn projects() -> Vec<(String, Project)> {
    let read = |(name, text): (String, String)| {
        let json = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let project = Project::from_json(json).unwrap_or_else(|problems| panic!("{name}: {problems}"));
        (name, project)
    };
    folder("samples/compose", "json").into_iter().map(read).collect()
}

/// The Compose project of one sample.
pub fn project(name: &str) -> Project {
    projects().into_iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("no sample {name}")).1
}

/// Compares a text with its file; `UPDATE_REFERENCE=1` writes the file instead.
pub fn bless(path: &str, text: &str) {
    let file = here(path);
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&file, text).expect(path);
        return;
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        expected == text,
        "{path} differs; UPDATE_REFERENCE=1 writes it anew.\n--- expected\n{expected}\n--- found\n{text}"
    );
}

/// Every key that the JSON schema of the platform file knows.
pub fn keys_of_the_schema() -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    collect(&spec::render::schema(), &mut keys);
    keys
}

fn collect(value: &serde_json::Value, keys: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            if let Some(serde_json::Value::Object(properties)) = fields.get("properties") {
                keys.extend(properties.keys().cloned());
            }
            fields.values().for_each(|field| collect(field, keys));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, keys)),
        _ => {}
    }
}

pub fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
