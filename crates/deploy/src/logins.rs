//! Logins for registries: those of whoever deploys, as Docker's own client would find them.
//!
//! The agent is not the person who typed `docker login`. So a request names the folders of settings that its caller has
//! (`DOCKER_CONFIG`, `~/.docker`, that of the user behind `sudo`), and an image is pulled with the first that knows its
//! registry. What is in them, credential helpers included, stays Docker's business.

use std::path::{Path, PathBuf};

use machine::process::Command;
use serde_json::Value;

/// The file in a folder of Docker's settings.
const FILE: &str = "config.json";
/// How Docker Hub is called in images and in settings.
const HUB: &str = "docker.io";
const HUB_KEYS: [&str; 3] = ["index.docker.io", "docker.io", "registry-1.docker.io"];

/// What a folder of settings says about a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Knows {
    Nothing,
    /// A helper that may know it.
    Perhaps,
    Login,
}

/// The command with the settings that know this image's registry best; the agent's own where none does.
pub fn with_login(command: Command, folders: &[PathBuf], image: &str) -> Command {
    let registry = registry_of(image);
    with_best(command, folders, |settings| knows(settings, registry))
}

/// The same for a build, which may pull from any.
pub fn with_any_login(command: Command, folders: &[PathBuf]) -> Command {
    with_best(command, folders, |settings| match has_any(settings) {
        true => Knows::Login,
        false => Knows::Nothing,
    })
}

fn with_best(command: Command, folders: &[PathBuf], rate: impl Fn(&Value) -> Knows) -> Command {
    let rated = folders.iter().rev().filter_map(|folder| Some((rate(&settings(folder)?), folder)));
    // Of two that know as much, the first counts: the last of the greatest, from behind.
    let best = rated.filter(|(knows, _)| *knows > Knows::Nothing).max_by_key(|(knows, _)| *knows);
    match best.map(|(_, folder)| folder) {
        None => command,
        Some(folder) => {
            let command = command.env("DOCKER_CONFIG", folder.display().to_string());
            // A helper keeps what it knows in the home of its user.
            match folder.parent().filter(|_| folder.ends_with(".docker")) {
                Some(home) => command.env("HOME", home.display().to_string()),
                None => command,
            }
        }
    }
}

/// The words that a refused pull gets: where logins were looked for, and what was found there.
pub fn looked_at(folders: &[PathBuf], image: &str) -> String {
    let registry = registry_of(image);
    let one = |folder: &PathBuf| {
        let found = match settings(folder).map(|settings| knows(&settings, registry)) {
            None => "which is not there or no JSON",
            Some(Knows::Login) => "which has a login for it",
            Some(Knows::Perhaps) => "which names a credential helper",
            Some(Knows::Nothing) => "which has none for it",
        };
        format!("{} ({found})", folder.join(FILE).display())
    };
    let all: Vec<String> = folders.iter().map(one).collect();
    let at = if all.is_empty() { "no settings of the caller's".to_owned() } else { all.join(", ") };
    format!("logins for {registry} were looked for in {at}; `docker login {registry}` as that user adds one")
}

/// Whether a registry's answer is about who asks.
pub fn is_denied(said: &str) -> bool {
    let said = said.to_lowercase();
    ["denied", "unauthorized", "authentication required", "no basic auth", "forbidden", "error getting credentials"]
        .iter()
        .any(|word| said.contains(word))
}

/// The registry that an image's name means.
fn registry_of(image: &str) -> &str {
    match image.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => HUB,
    }
}

fn settings(folder: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(folder.join(FILE)).ok()?).ok()
}

fn knows(settings: &Value, registry: &str) -> Knows {
    let names = |key: &str| settings.get(key).and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name);
    let is_it = |name: &String| {
        let host = name.split_once("://").map_or(name.as_str(), |(_, rest)| rest).split('/').next().unwrap_or_default();
        host == registry || (registry == HUB && HUB_KEYS.contains(&host))
    };
    if names("auths").chain(names("credHelpers")).any(is_it) {
        return Knows::Login;
    }
    let has_store = settings.get("credsStore").and_then(Value::as_str).is_some_and(|store| !store.is_empty());
    if has_store { Knows::Perhaps } else { Knows::Nothing }
}

fn has_any(settings: &Value) -> bool {
    let is_filled = |key: &str| settings.get(key).and_then(Value::as_object).is_some_and(|map| !map.is_empty());
    is_filled("auths") || is_filled("credHelpers") || settings.get("credsStore").is_some_and(Value::is_string)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test writes the files that it reads")]
mod tests {
    use super::*;

    fn folder(dir: &Path, name: &str, text: &str) -> PathBuf {
        let folder = dir.join(name).join(".docker");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(FILE), text).unwrap();
        folder
    }

    #[test]
    fn the_registry_of_an_image_is_what_docker_takes_for_it() {
        for (image, expected) in [
            ("nginx", HUB),
            ("library/nginx:1", HUB),
            ("ghcr.io/a/b:1", "ghcr.io"),
            ("localhost/a", "localhost"),
            ("10.0.0.1:5000/a@sha256:00", "10.0.0.1:5000"),
        ] {
            assert_eq!(registry_of(image), expected);
        }
    }

    #[test]
    fn the_settings_that_know_the_registry_are_used_and_the_first_of_two() {
        let dir = tempfile::tempdir().unwrap();
        let root = folder(dir.path(), "root", r#"{"auths": {"ghcr.io": {"auth": "eA=="}}, "credsStore": "pass"}"#);
        let user = folder(dir.path(), "user", r#"{"auths": {"https://index.docker.io/v1/": {}, "ghcr.io": {}}}"#);
        let helper = folder(dir.path(), "helper", r#"{"credHelpers": {"eu.gcr.io": "gcloud"}}"#);
        let folders = [root.clone(), user.clone(), helper.clone()];
        let with = |image: &str| format!("{:?}", with_login(Command::new("docker"), &folders, image));
        let says = |image: &str, folder: &Path| with(image).contains(&folder.display().to_string());
        assert!(says("ghcr.io/a/b", &root));
        assert!(says("nginx", &user));
        assert!(says("eu.gcr.io/a/b", &helper));
        // A helper for everything is asked where nobody has a login.
        assert!(says("quay.io/a/b", &root));
        assert!(with("nginx").contains(&dir.path().join("user").display().to_string()));
        let none = format!("{:?}", with_login(Command::new("docker"), &[user], "quay.io/a/b"));
        assert!(!none.contains("DOCKER_CONFIG"), "{none}");
    }

    #[test]
    fn a_denied_pull_is_told_where_logins_were_looked_for() {
        let dir = tempfile::tempdir().unwrap();
        let user = folder(dir.path(), "user", r#"{"auths": {"ghcr.io": {}}}"#);
        let told = looked_at(&[user.clone(), dir.path().join("gone")], "quay.io/a/b");
        assert!(told.contains(&format!("{}/config.json (which has none for it)", user.display())), "{told}");
        assert!(told.contains("gone/config.json (which is not there"), "{told}");
        assert!(is_denied("Error response from daemon: pull access denied for x"));
        assert!(is_denied("Get \"https://x/v2/\": no basic auth credentials"));
        assert!(!is_denied("manifest unknown"));
    }
}
