//! Compose's `pre_stop` hooks: commands that run inside a running container before it gets its stop signal.
//!
//! Compose runs them only where Compose itself stops the container, which it never does here. So they are kept in the
//! release's definition under a key of our own, and run with Docker's own `exec`.

use std::time::Duration;

use machine::compose::{ExecOptions, decode_config, docker_exec_with};
use serde_json::{Map, Value};
use spec::ServiceName;

use crate::release::Release;
use crate::world::World;

/// The key of a service in a rendered definition.
pub const KEY: &str = "x-mainstay-pre-stop";
/// A hook gets the service's grace, and never less than this.
const LEAST: Duration = Duration::from_secs(60);
/// The last lines of a hook that are told.
const LAST_LINES: usize = 20;

/// One hook, as the Compose file has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hook {
    pub command: Vec<String>,
    pub options: ExecOptions,
}

/// Takes the hooks out of what Compose is given and keeps them readable.
pub fn keep(service: &mut Map<String, Value>) {
    if let Some(Value::Array(hooks)) = service.remove("pre_stop").filter(|hooks| hooks != &Value::Array(Vec::new())) {
        service.insert(KEY.into(), Value::Array(hooks));
    }
}

/// The hooks of a release. A definition that is gone or broken must not keep a container from being stopped.
pub(super) fn of(world: &World, release: &Release) -> Vec<Hook> {
    let definition = &release.definition;
    let document = match world.root.read(&definition.file) {
        Ok(Some(text)) => decode_config(&text).map_err(|error| error.to_string()),
        Ok(None) => return Vec::new(),
        Err(error) => Err(error.to_string()),
    };
    match document {
        Ok(document) => hooks(document.get("services").and_then(|all| all.get(&definition.service)?.get(KEY))),
        Err(error) => {
            let text = format!(
                "warning: the definition of {} cannot be read, so its pre_stop hooks do not run: {error}",
                release.id
            );
            world.talk.say(Some(&release.service), text);
            Vec::new()
        }
    }
}

fn hooks(written: Option<&Value>) -> Vec<Hook> {
    let all = written.and_then(Value::as_array).into_iter().flatten();
    all.map(hook).filter(|hook| !hook.command.is_empty()).collect()
}

fn hook(value: &Value) -> Hook {
    let text = |key: &str| value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let command = match value.get("command") {
        Some(Value::Array(words)) => words.iter().map(plain).collect(),
        Some(Value::String(line)) => vec!["sh".into(), "-c".into(), line.clone()],
        _ => Vec::new(),
    };
    let env = match value.get("environment") {
        Some(Value::Object(map)) => {
            map.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.clone(), plain(value))).collect()
        }
        Some(Value::Array(list)) => {
            let pairs = list.iter().filter_map(|pair| pair.as_str()?.split_once('='));
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        }
        _ => Vec::new(),
    };
    let privileged = value.get("privileged").and_then(Value::as_bool).unwrap_or_default();
    let options =
        ExecOptions { user: text("user"), working_dir: text("working_dir"), env, privileged, ..ExecOptions::default() };
    Hook { command, options }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Runs them one after the other. One that fails, or takes too long, is told and the stop goes on.
pub(super) async fn run(
    world: &World,
    service: Option<&ServiceName>,
    container: &str,
    hooks: &[Hook],
    grace: Duration,
) {
    for hook in hooks {
        // Its first word only: what follows may hold a secret.
        let word = hook.command.first().map(String::as_str).unwrap_or_default();
        world.talk.say(service, format!("runs the pre_stop hook `{word}` in {container}"));
        let command = world.dress(docker_exec_with(container, &hook.command, &hook.options)).timeout(grace.max(LEAST));
        let failure = match world.processes.run(&command).await {
            Ok(output) => {
                tell(world, service, &[output.stdout, output.stderr].concat());
                (output.status != 0).then(|| format!("it ended with code {}", output.status))
            }
            Err(machine::process::ProcessError::Timeout { .. }) => {
                let limit = spec::units::human_duration(grace.max(LEAST));
                Some(format!("it has not ended within {limit}"))
            }
            // The error shows the whole command.
            Err(_) => Some("it could not be run".to_owned()),
        };
        if let Some(failure) = failure {
            let text =
                format!("warning: the pre_stop hook `{word}` in {container} failed: {failure}; the stop goes on");
            world.talk.say(service, text);
        }
    }
}

fn tell(world: &World, service: Option<&ServiceName>, output: &[u8]) {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    for line in &lines[lines.len().saturating_sub(LAST_LINES)..] {
        world.talk.say(service, format!("pre_stop | {line}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_hook_is_read_in_every_form_and_without_a_command_there_is_none() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let read = hooks(Some(&json!([
            { "command": ["flush", "--all"], "user": "app", "working_dir": "/srv", "privileged": true,
              "environment": { "LEVEL": 3, "NONE": null } },
            { "command": "flush && sync", "environment": ["A=b=c"] },
            { "user": "app" },
        ])));
        let first = ExecOptions {
            user: Some("app".into()),
            working_dir: Some("/srv".into()),
            env: vec![("LEVEL".into(), "3".into())],
            privileged: true,
            ..ExecOptions::default()
        };
        let second = ExecOptions { env: vec![("A".into(), "b=c".into())], ..ExecOptions::default() };
        assert_eq!(
            read,
            [
                Hook { command: words(&["flush", "--all"]), options: first },
                Hook { command: words(&["sh", "-c", "flush && sync"]), options: second },
            ]
        );
        assert_eq!(hooks(None), []);
    }

    #[test]
    fn compose_is_not_given_the_hooks_and_an_empty_list_leaves_nothing() {
        let kept = |value: Value| {
            let mut service = json!({ "pre_stop": value }).as_object().cloned().unwrap();
            keep(&mut service);
            Value::Object(service)
        };
        assert_eq!(kept(json!([{ "command": ["a"] }])), json!({ KEY: [{ "command": ["a"] }] }));
        assert_eq!((kept(json!([])), kept(Value::Null)), (json!({}), json!({})));
    }
}
