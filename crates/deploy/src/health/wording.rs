//! How a declared health check and what came of it are told: without the secrets in either.

use machine::docker::{ContainerDetail, HealthCheck, Probe};
use secrets::{Redactor, Secret};
use serde_json::Value;

use crate::release::Release;
use crate::shown;
use crate::world::World;

/// A check is a line in a sentence, and so is what it said.
const LONGEST: usize = 160;

/// What may be told of one release's checks.
#[derive(Clone, Default)]
pub(crate) struct Wording {
    redactor: Redactor,
    /// The words of the declared test as they may be shown, where the compose file declares it.
    test: Vec<String>,
}

impl Wording {
    /// With the values of environment files that this operation has read, and those variables of the container that
    /// the release's shown definition hides.
    pub(crate) fn of(world: &World, release: &Release, detail: &ContainerDetail) -> Wording {
        let shown = world.shown(release).unwrap_or_default();
        let variables = &shown["environment"];
        let mut redactor = world.redactor.clone();
        for (name, value) in detail.env.iter() {
            if shown::tells(name) || variables[name].as_str().is_some_and(shown::is_hidden) {
                redactor.know(name, &Secret::new(value));
                password(value).into_iter().for_each(|word| redactor.know(name, &Secret::new(word)));
            }
        }
        let words = shown["healthcheck"]["test"].as_array().map(Vec::as_slice).unwrap_or_default();
        let test = words.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        Wording { redactor, test }
    }

    /// What a container wrote, without the secrets in it.
    pub(crate) fn clean(&self, line: &str) -> String {
        self.redactor.redact(line).into_owned()
    }

    /// The command as its author wrote it.
    fn command(&self, check: &HealthCheck) -> String {
        let words: Vec<String> = check.test.iter().enumerate().skip(1).map(|(at, word)| self.word(at, word)).collect();
        let line = match words.as_slice() {
            [line] => line.clone(),
            words => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
        };
        format!("its health check `{}`", short(&line))
    }

    /// A word that the shown definition hides is told without its secret or, where that is not known, without its rest.
    fn word(&self, at: usize, word: &str) -> String {
        let clean = self.clean(word);
        let is_hidden = self.test.get(at).is_some_and(|shown| shown::is_hidden(shown));
        match is_hidden && clean == word {
            true => format!("{} …", word.split_whitespace().next().filter(|_| word.contains(' ')).unwrap_or_default()),
            false => clean,
        }
    }

    /// ``its health check `curl …` exited with 22: curl: (22) …``
    pub(crate) fn outcome(&self, check: Option<&HealthCheck>, probe: &Probe) -> String {
        let command = check.map_or_else(|| "its health check".to_owned(), |check| self.command(check));
        let last = self.redactor.redact(&probe.output);
        let last = last.lines().map(str::trim).rfind(|line| !line.is_empty()).map(short);
        let said = last.map_or_else(String::new, |line| format!(": {line}"));
        match (probe.exit_code, check) {
            (Some(0), _) => format!("{command} passes"),
            (Some(code), _) if code < 0 => format!("{command} did not run{said}"),
            (Some(code), _) => format!("{command} exited with {code}{said}"),
            (None, Some(check)) => {
                format!("{command} did not end within {}{said}", spec::human_duration(check.timeout))
            }
            (None, None) => format!("{command} did not end in time{said}"),
        }
    }

    /// A check that runs for a while already.
    pub(super) fn running(&self, check: &HealthCheck, since: std::time::Duration) -> String {
        let (since, timeout) = (whole(since), spec::human_duration(check.timeout));
        format!("{} has been running for {since} (it may take {timeout})", self.command(check))
    }

    /// Why Docker calls it unhealthy.
    pub(crate) fn unhealthy(&self, detail: &ContainerDetail) -> String {
        match &detail.last_probe {
            Some(probe) if probe.exit_code != Some(0) => {
                format!("Docker calls it unhealthy: {}", self.outcome(detail.health_check.as_ref(), probe))
            }
            _ => "Docker calls it unhealthy".to_owned(),
        }
    }
}

/// Whole seconds, so that what is told does not change all the time.
fn whole(time: std::time::Duration) -> String {
    spec::human_duration(std::time::Duration::from_secs(time.as_secs()))
}

/// The password in `scheme://user:password@host`.
fn password(text: &str) -> Option<&str> {
    let authority = text.split_once("://")?.1.split(['/', '?']).next()?;
    authority.rsplit_once('@')?.0.split_once(':').map(|(_, password)| password)
}

fn quoted(word: &str) -> String {
    match word.is_empty() || word.contains(|c: char| c.is_whitespace() || "'\"$;|&".contains(c)) {
        true => format!("'{word}'"),
        false => word.to_owned(),
    }
}

/// One line that is not too long.
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(test: &[&str]) -> HealthCheck {
        HealthCheck::new(test.iter().map(|word| (*word).to_owned()).collect()).unwrap()
    }

    fn failed(code: i64, output: &str) -> Probe {
        Probe { exit_code: Some(code), output: output.to_owned() }
    }

    #[test]
    fn the_command_its_exit_code_and_the_last_line_are_told() {
        let shell = check(&["CMD-SHELL", "curl -f http://localhost/up\n  || exit 1"]);
        let told = Wording::default().outcome(Some(&shell), &failed(22, "  % Total\n\ncurl: (22) error: 503\n\n"));
        assert_eq!(
            told,
            "its health check `curl -f http://localhost/up || exit 1` exited with 22: curl: (22) error: 503"
        );
        let words = check(&["CMD", "test", "-n", "a b"]);
        let told = Wording::default().outcome(Some(&words), &failed(1, ""));
        assert_eq!(told, "its health check `test -n 'a b'` exited with 1");
        let late = Wording::default().outcome(Some(&words), &Probe::default());
        assert_eq!(late, "its health check `test -n 'a b'` did not end within 30 s");
    }

    #[test]
    fn no_secret_is_told_of_a_command_or_of_its_output() {
        let mut redactor = Redactor::default();
        redactor.know("REDIS_PASSWORD", &Secret::new("hunter2-long"));
        let hidden = "(hidden, version ab12)".to_owned();
        let wording = Wording { redactor, test: vec!["CMD-SHELL".into(), hidden.clone()] };
        let told = wording.outcome(
            Some(&check(&["CMD-SHELL", "redis-cli -a hunter2-long ping"])),
            &failed(1, "AUTH failed: hunter2-long"),
        );
        assert!(!told.contains("hunter2") && told.contains("redis-cli -a [REDIS_PASSWORD redacted] ping"), "{told}");
        let blind = Wording { test: vec!["CMD-SHELL".into(), hidden.clone()], ..Wording::default() };
        let told = blind.outcome(Some(&check(&["CMD-SHELL", "redis-cli -a hunter2-long ping"])), &failed(1, ""));
        assert_eq!(told, "its health check `redis-cli …` exited with 1");
        let words = vec!["CMD".into(), "redis-cli".into(), "-a".into(), hidden];
        let blind = Wording { test: words, ..Wording::default() };
        let told = blind.outcome(Some(&check(&["CMD", "redis-cli", "-a", "hunter2-long"])), &failed(1, ""));
        assert!(!told.contains("hunter2") && told.starts_with("its health check `redis-cli -a "), "{told}");
        assert_eq!(password("postgres://me:p%40ss-word@db:5432/x"), Some("p%40ss-word"));
    }
}
