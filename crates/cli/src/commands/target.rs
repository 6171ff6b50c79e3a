//! Which platform and environment a command means.

use deploy::Scope;
use deploy::load::Source;
use spec::{EnvironmentName, ServiceName};

use super::{Context, absolute};
use crate::client::Client;
use crate::errors::{Failure, failed};
use crate::messages::{Locate, Target};

pub fn source(context: &Context) -> Result<Source, Failure> {
    let dir = absolute(&context.global.dir)?;
    let environment = context.global.environment.as_deref().map(EnvironmentName::parse).transpose();
    let environment = environment.map_err(failed("understand --env"))?;
    Ok(Source { shell: shell(&dir), dir, environment })
}

pub async fn scope(context: &Context, client: &Client) -> Result<Scope, Failure> {
    client.post("/v1/locate", &Locate { source: source(context)? }).await
}

/// The same, with whether a change needs the environment's name.
pub async fn target(context: &Context, client: &Client) -> Result<Target, Failure> {
    client.post("/v1/target", &Locate { source: source(context)? }).await
}

pub fn service(name: &str) -> Result<ServiceName, String> {
    ServiceName::parse(name).map_err(|error| error.to_string())
}

/// Who asks, for the audit trail.
pub fn who() -> String {
    let name = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_else(|_| "root".into());
    let via = if std::env::var_os("SSH_CONNECTION").is_some() { " over ssh" } else { "" };
    format!("{name}{via}")
}

/// Variables of this shell that the Compose files name, so that `TAG=2 mainstay up` means what it
/// means to Compose. Only those: the rest of the environment is nobody's business.
fn shell(dir: &std::path::Path) -> Vec<(String, String)> {
    let mut names: Vec<String> = ["COMPOSE_FILE", "COMPOSE_PATH_SEPARATOR", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME"]
        .map(str::to_owned)
        .into();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let file = entry.file_name();
        let file = file.to_string_lossy();
        let yaml = file.ends_with(".yaml") || file.ends_with(".yml");
        if yaml && file.contains("compose") {
            let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
            names.extend(variables(&text));
            names.extend(sources(&text));
            names.extend(passed_on(&text));
        }
    }
    names.sort();
    names.dedup();
    names.into_iter().filter_map(|name| Some((name.clone(), std::env::var(&name).ok()?))).collect()
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
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = text.split("environment:").skip(1).map(|rest| rest.trim_start_matches([' ', '"', '\'']));
    names
        .map(|rest| rest.chars().take_while(|c| is_name(*c)).collect())
        .filter(|name: &String| !name.is_empty())
        .collect()
}

/// Every variable that is passed on without a value: a line `- NAME` or `NAME:`.
fn passed_on(text: &str) -> Vec<String> {
    let is_name =
        |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    let lines = text.lines().map(str::trim);
    let words = lines.filter_map(|line| line.strip_prefix("- ").or(line.strip_suffix(':'))).map(str::trim);
    words.filter(|word| is_name(word)).map(str::to_owned).collect()
}

#[cfg(test)]
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
        let text = "services:\n  web:\n    environment:\n      - SECRET_KEY\n      - A=b\n    command:\n      - serve\n  x:\n    environment:\n      TOKEN:\n";
        assert_eq!(passed_on(text), ["SECRET_KEY", "TOKEN"]);
    }
}
