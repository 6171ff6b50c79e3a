//! What one Compose file says about other files, read from its text.
//!
//! Compose merges included files away, and with them where a secret came from: the environment files of an included file
//! count for what that file has, and for nothing else.

use serde_json::Value;

/// One entry of `include`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Include {
    /// The included file, and what is laid over it.
    pub paths: Vec<String>,
    /// The folder that its paths start from, where it is written.
    pub project_directory: Option<String>,
    /// Its environment files; empty where none is written.
    pub env_files: Vec<String>,
}

/// The parts of a Compose file that Compose does not print.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    pub includes: Vec<Include>,
    /// The keys under `secrets` and `configs`.
    pub secrets: Vec<String>,
    pub configs: Vec<String>,
}

impl Outline {
    /// Reads a file's text; `None` where it has no shape.
    pub fn read(text: &str) -> Option<Outline> {
        let document: Value = serde_saphyr::from_str(text).ok()?;
        let keys = |name: &str| {
            let map = document.get(name).and_then(Value::as_object);
            map.into_iter().flatten().map(|(key, _)| key.clone()).collect()
        };
        let entries = document.get("include").and_then(Value::as_array);
        let includes = entries.into_iter().flatten().map(include).filter(|include| !include.paths.is_empty()).collect();
        Some(Outline { includes, secrets: keys("secrets"), configs: keys("configs") })
    }
}

fn include(entry: &Value) -> Include {
    Include {
        paths: words(Some(entry).filter(|entry| entry.is_string()).or(entry.get("path"))),
        project_directory: entry.get("project_directory").and_then(Value::as_str).map(str::to_owned),
        env_files: words(entry.get("env_file")),
    }
}

/// One text, or a list of them.
fn words(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(word)) => vec![word.clone()],
        Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn includes_are_read_in_each_form_beside_tags_and_anchors_of_composes_own() {
        let text = "x-a: &a {K: 1}\ninclude:\n  - one/compose.yaml\n  - path: [two.yaml, over.yaml]\n    project_directory: two\n    env_file: two.env\n  - {path: three.yaml, env_file: [a.env, b.env]}\nservices:\n  web:\n    environment: {<<: *a}\n    ports: !reset []\n    command: !override [x]\nsecrets:\n  part: {environment: PART}\nconfigs: {c: {content: x}}\n";
        let outline = Outline::read(text).unwrap();
        let include = |paths: &[&str], dir: Option<&str>, env: &[&str]| Include {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            project_directory: dir.map(str::to_owned),
            env_files: env.iter().map(|path| (*path).to_owned()).collect(),
        };
        assert_eq!(
            outline.includes,
            [
                include(&["one/compose.yaml"], None, &[]),
                include(&["two.yaml", "over.yaml"], Some("two"), &["two.env"]),
                include(&["three.yaml"], None, &["a.env", "b.env"]),
            ]
        );
        assert_eq!((outline.secrets, outline.configs), (vec!["part".to_owned()], vec!["c".to_owned()]));
        assert_eq!(Outline::read("services: [").map(|outline| outline.includes), None);
    }
}
