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
    let mut names: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let file = entry.file_name();
        let file = file.to_string_lossy();
        let yaml = file.ends_with(".yaml") || file.ends_with(".yml");
        if yaml && file.contains("compose") {
            names.extend(variables(&std::fs::read_to_string(entry.path()).unwrap_or_default()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_in_both_forms_and_escaped_dollars_name_nothing_odd() {
        assert_eq!(variables("image: web:${TAG:-1}\nx: $HOME/y $$5 ${_A}"), ["TAG", "HOME", "_A"]);
    }
}
