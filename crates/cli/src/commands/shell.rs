//! Variables of the caller's shell that the files of a folder name, so that `TAG=2 mainstay up` means what it means to
//! Compose. Only those: the rest of the environment is nobody's business.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What Compose reads whether a file names it or not.
const ALWAYS: [&str; 4] = ["COMPOSE_FILE", "COMPOSE_PATH_SEPARATOR", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME"];
/// More files than any platform has; a circle of them ends by itself.
const MOST_FILES: usize = 500;
const LARGEST_FILE: u64 = 1024 * 1024;

/// Names and values, sorted.
pub fn named_by(dir: &Path) -> Vec<(String, String)> {
    let more = std::env::var("COMPOSE_FILE").unwrap_or_default();
    let names = names(dir, &more);
    names.into_iter().filter_map(|name| Some((name.clone(), std::env::var(&name).ok()?))).collect()
}

/// Every variable that a file here names, or a file that one of them names: included ones, those that a service extends,
/// environment files.
fn names(dir: &Path, more: &str) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = ALWAYS.map(str::to_owned).into();
    let mut waiting: Vec<PathBuf> = paths(more, dir, dir);
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let is_yaml = file.ends_with(".yaml") || file.ends_with(".yml");
        if (is_yaml && (file.contains("compose") || file.contains("mainstay"))) || file == ".env" {
            waiting.push(entry.path());
        }
    }
    let mut seen = BTreeSet::new();
    while let Some(path) = waiting.pop() {
        if seen.len() == MOST_FILES || !seen.insert(path.clone()) {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        names.extend(variables(&text));
        match is_yaml(&path) {
            true => names.extend(sources(&text).into_iter().chain(passed_on(&text))),
            false => names.extend(bare(&text)),
        }
        waiting.extend(paths(&text, path.parent().unwrap_or(dir), dir));
    }
    names
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml" || extension == "json")
}

/// What looks like the path of a Compose or environment file and is one, from the folder of who names it or from ours.
fn paths(text: &str, from: &Path, dir: &Path) -> Vec<PathBuf> {
    let words = text.split(|c: char| c.is_whitespace() || "\"',[]{}:=;".contains(c));
    let likely = |word: &&str| {
        let name = word.rsplit('/').next().unwrap_or_default();
        is_yaml(Path::new(name)) || name.contains("env")
    };
    let words: BTreeSet<&str> = words.filter(likely).collect();
    let files = words.into_iter().flat_map(|word| [from.join(word), dir.join(word)]);
    let is_small = |path: &PathBuf| path.metadata().is_ok_and(|file| file.is_file() && file.len() <= LARGEST_FILE);
    files.filter(is_small).collect()
}

/// Every `$NAME` and `${NAME…}` in a text.
fn variables(text: &str) -> Vec<String> {
    text.split('$')
        .skip(1)
        .map(|rest| rest.trim_start_matches('{'))
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>())
        .filter(|name| name.chars().next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_'))
        .collect()
}

/// Every variable that a secret or config is taken from: `environment: NAME`.
fn sources(text: &str) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let names = text.split("environment:").skip(1).map(|rest| rest.trim_start_matches([' ', '"', '\'']));
    names
        .map(|rest| rest.chars().take_while(|c| is_name(*c)).collect())
        .filter(|name: &String| !name.is_empty())
        .collect()
}

/// Every variable that is passed on without a value: a line `- NAME` or `NAME:`. Keys of Compose and words of commands
/// have no capitals; one that is no variable of the shell changes nothing.
fn passed_on(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    let words = lines.filter_map(|line| line.strip_prefix("- ").or(line.strip_suffix(':'))).map(str::trim);
    words
        .filter(|word| is_name(word) && word.contains(|c: char| c.is_ascii_uppercase() || c == '_'))
        .map(str::to_owned)
        .collect()
}

/// Every name that stands alone in a line of an environment file.
fn bare(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.trim().trim_start_matches("export ").trim());
    lines.filter(|line| is_name(line)).map(str::to_owned).collect()
}

fn is_name(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test writes the files that it reads")]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_in_both_forms_and_escaped_dollars_name_nothing_odd() {
        assert_eq!(variables("image: web:${TAG:-1}\nx: $HOME/y $$5 ${_A}"), ["TAG", "HOME", "_A"]);
    }

    #[test]
    fn the_variables_of_secrets_are_found_and_the_mappings_of_services_are_none() {
        let text = "services: {a: {environment: {X: 1}}, b: {environment:\n  - Y=2}}\nsecrets: {t: {environment: TOKEN}, u: {environment: \"KEY\"}}";
        assert_eq!(sources(text), ["TOKEN", "KEY"]);
    }

    #[test]
    fn variables_that_are_passed_on_are_found_and_services_and_commands_are_none() {
        let text = "services:\n  web:\n    environment:\n      - SECRET_KEY\n      - A=b\n      - http_proxy\n    command:\n      - serve\n  x:\n    environment:\n      TOKEN:\n";
        assert_eq!(passed_on(text), ["SECRET_KEY", "http_proxy", "TOKEN"]);
    }

    #[test]
    fn files_that_files_name_count_and_others_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("compose.yaml", "include:\n  - {path: app/part.yaml, env_file: app/part.env}\n");
        write("app/part.yaml", "services: {a: {image: \"x:${INCLUDED}\", extends: {file: base.yaml}}}\n");
        write("app/base.yaml", "services: {a: {env_file: [more.env]}}\n# ${EXTENDED}\n");
        write("app/part.env", "A=${OF_ENV_FILE}\nALONE\n");
        write("app/more.env", "B=$MORE\n");
        write(".env", "URL=http://${HOST_OF_SHELL}/\n");
        write("other/compose.yaml", "x: ${NOT_OURS}\n");
        write("over.yml", "x: ${NAMED_BY_VARIABLE}\n");
        let found = names(folder.path(), "compose.yaml:over.yml");
        for name in ["INCLUDED", "EXTENDED", "OF_ENV_FILE", "ALONE", "MORE", "HOST_OF_SHELL", "NAMED_BY_VARIABLE"] {
            assert!(found.contains(name), "{name}: {found:?}");
        }
        assert!(!found.contains("NOT_OURS"));
    }
}
