//! A definition as it may be shown: every value that could be a secret is named by its version.
//!
//! It is made while the secrets are known and kept beside the definition, so that whoever compares releases later
//! never touches a value.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrets::EnvFile;
use serde_json::{Map, Value};

use crate::error::DeployError;
use crate::release::Release;
use crate::release::origin::version;
use crate::stopping::PRE_STOP;
use crate::world::World;

/// Values that must not be shown.
#[derive(Clone, Default)]
pub struct Known {
    files: Vec<Arc<EnvFile>>,
    shell: Vec<String>,
    /// Nothing is known about where the values came from, so no variable is shown.
    blind: bool,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Known({} files, {} variables)", self.files.len(), self.shell.len())
    }
}

/// Shorter values are in every second text; they count only where they stand alone.
const SHORTEST: usize = 6;
/// Names whose values are nobody's business wherever they come from.
const TELLING: [&str; 9] =
    ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "PRIVATE", "DSN", "PASSPHRASE"];
/// What every release has of its own, and what is compared elsewhere.
const LEFT_OUT: [&str; 4] = ["container_name", "image", "pull_policy", "extra_hosts"];

impl Known {
    pub fn new(files: Vec<Arc<EnvFile>>, shell: &[(String, String)]) -> Known {
        Known { files, shell: shell.iter().map(|(_, value)| value.clone()).collect(), blind: false }
    }

    /// For a definition of which no shown form was kept.
    pub fn blind() -> Known {
        Known { blind: true, ..Known::default() }
    }

    fn values(&self) -> impl Iterator<Item = &str> {
        let files = self.files.iter().flat_map(|file| file.iter()).map(|(_, secret)| secret.expose());
        files.chain(self.shell.iter().map(String::as_str)).filter(|value| !value.is_empty())
    }

    fn hides(&self, variable: Option<&str>, text: &str) -> bool {
        let long = |value: &str| value.len() >= SHORTEST && text.contains(value);
        match variable {
            Some(name) => {
                self.blind
                    || tells(name)
                    || has_credentials(text)
                    || self.values().any(|value| text == value || long(value))
            }
            None => has_credentials(text) || self.values().any(long),
        }
    }
}

/// `scheme://user:password@host`.
fn has_credentials(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', ' ']).next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

/// The service's part of a rendered document, safe to show.
pub fn of(document: &Value, service: &str, known: &Known, salt: &[u8]) -> Value {
    let raw = document.get("services").and_then(|services| services.get(service));
    let mut map = raw.and_then(Value::as_object).cloned().unwrap_or_default();
    for key in LEFT_OUT {
        map.remove(key);
    }
    if let Some(Value::Object(labels)) = map.get_mut("labels") {
        labels.retain(|key, _| !key.starts_with("dev.mainstay."));
    }
    for hook in map.get_mut(PRE_STOP).and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(environment) = hook.get_mut("environment") {
            *environment = Value::Object(variables(environment, known, salt));
        }
    }
    let environment = map.remove("environment").map(|environment| variables(&environment, known, salt));
    let mut shown = match plain(&Value::Object(map), known, salt) {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    if let Some(environment) = environment.filter(|map| !map.is_empty()) {
        shown.insert("environment".into(), Value::Object(environment));
    }
    shown.retain(|_, value| !matches!(value, Value::Null) && value.as_object().is_none_or(|map| !map.is_empty()));
    Value::Object(shown)
}

fn variables(environment: &Value, known: &Known, salt: &[u8]) -> Map<String, Value> {
    let pairs: BTreeMap<String, String> = match environment {
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), words(value))).collect(),
        Value::Array(list) => list
            .iter()
            .filter_map(Value::as_str)
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        _ => BTreeMap::new(),
    };
    let shown = |(name, value): (String, String)| {
        let text = value.replace("$$", "$");
        let hidden = known.hides(Some(&name), &text);
        (name, Value::String(if hidden { masked(&text, salt) } else { text }))
    };
    pairs.into_iter().map(shown).collect()
}

fn plain(value: &Value, known: &Known, salt: &[u8]) -> Value {
    match value {
        Value::String(text) => {
            let text = text.replace("$$", "$");
            Value::String(if known.hides(None, &text) { masked(&text, salt) } else { text })
        }
        Value::Array(list) => Value::Array(list.iter().map(|item| plain(item, known, salt)).collect()),
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.clone(), plain(value, known, salt))).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Whether a shown text is none.
pub(crate) fn is_hidden(shown: &str) -> bool {
    shown.starts_with(HIDDEN)
}

/// Whether the name of a variable says that its value is a secret.
pub(crate) fn tells(name: &str) -> bool {
    let name = name.to_uppercase();
    TELLING.iter().any(|word| name.contains(word))
}

const HIDDEN: &str = "(hidden, version ";

fn masked(text: &str, salt: &[u8]) -> String {
    format!("{HIDDEN}{})", version(salt, text.as_bytes()))
}

/// Where the shown form of a release lies.
pub fn file(definition: &str) -> String {
    format!("{}.shown.json", definition.trim_end_matches(".json"))
}

impl World {
    /// What a release's definition says, as far as it may be shown.
    pub fn shown(&self, release: &Release) -> Result<Value, DeployError> {
        let read = |file: &str| {
            let content = self.root.read(file);
            content.map_err(|source| DeployError::State {
                operation: format!("read the definition of {}", release.id),
                source,
            })
        };
        if let Some(kept) = read(&file(&release.definition.file))?
            && let Ok(shown) = serde_json::from_slice(&kept)
        {
            return Ok(shown);
        }
        let Some(definition) = read(&release.definition.file)? else { return Ok(Value::Null) };
        let document: Value = serde_json::from_slice(&definition).unwrap_or_default();
        Ok(of(&document, &release.definition.service, &Known::blind(), &self.salt))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SALT: [u8; 32] = [7; 32];

    fn known(env: &str, shell: &[(&str, &str)]) -> Known {
        let file = EnvFile::parse(env.as_bytes(), ".env").unwrap();
        let shell: Vec<_> = shell.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Known::new(vec![Arc::new(file)], &shell)
    }

    fn shown(service: Value, known: &Known) -> Value {
        of(&json!({ "services": { "web-r1": service } }), "web-r1", known, &SALT)
    }

    #[test]
    fn values_of_environment_files_and_of_the_shell_are_named_by_their_version_alone() {
        let known = known("DB=hunter2-long\nLEVEL=5\n", &[("TAG", "from-shell")]);
        let view = shown(
            json!({
                "environment": { "URL": "postgres://db/hunter2-long", "LEVEL": "5", "X": "from-shell", "MODE": "fast", "N": "55" },
                "command": ["run", "--with=hunter2-long"],
            }),
            &known,
        );
        let text = view.to_string();
        assert!(!text.contains("hunter2") && !text.contains("from-shell"), "{text}");
        assert_eq!(view["environment"]["MODE"], "fast");
        assert_eq!(view["environment"]["N"], "55", "a short value is hidden only where it stands alone");
        assert!(view["environment"]["LEVEL"].as_str().unwrap().starts_with("(hidden, version "));
        assert!(view["command"][1].as_str().unwrap().starts_with("(hidden, version "));
    }

    #[test]
    fn variables_with_telling_names_and_addresses_with_passwords_are_hidden_wherever_they_come_from() {
        let view = shown(
            json!({ "environment": ["API_TOKEN=abc", "DATABASE_URL=postgres://me:pw@db/x", "HOME_URL=http://x/@me:1"] }),
            &Known::default(),
        );
        for name in ["API_TOKEN", "DATABASE_URL"] {
            assert!(view["environment"][name].as_str().unwrap().starts_with("(hidden"), "{view}");
        }
        assert_eq!(view["environment"]["HOME_URL"], "http://x/@me:1");
    }

    #[test]
    fn what_every_release_has_of_its_own_is_left_out_and_a_blind_view_shows_no_variable() {
        let service = json!({
            "container_name": "shop-r1", "image": "sha256:1", "labels": { "dev.mainstay.release": "r1", "team": "a" },
            "environment": { "MODE": "fast" }, "user": "app",
        });
        let view = shown(service, &Known::blind());
        assert_eq!((&view["labels"], &view["user"]), (&json!({ "team": "a" }), &json!("app")));
        assert!(view.get("container_name").is_none() && view.get("image").is_none());
        assert!(view["environment"]["MODE"].as_str().unwrap().starts_with("(hidden"));
    }
}
