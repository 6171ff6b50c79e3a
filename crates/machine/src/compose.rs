//! Docker Compose v2 as words: every function returns a `Command` and runs nothing.
//!
//! The answers are read elsewhere; `decode_config` only undoes what Compose does to its own output.

pub(crate) mod plugin;

use std::path::PathBuf;
use std::time::Duration;

use crate::process::Command;

/// One Compose project: the words that every command begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compose {
    pub project: String,
    /// Later files are laid over earlier ones.
    pub files: Vec<PathBuf>,
    /// The folder that relative paths in the files start from. `None`: the folder of the first file.
    pub dir: Option<PathBuf>,
    pub env_files: Vec<PathBuf>,
    pub profiles: Vec<String>,
}

/// What `up` is asked to do. The defaults are what a deploy wants: these services, nothing else, nothing fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpOptions {
    /// Empty: all of them.
    pub services: Vec<String>,
    pub no_deps: bool,
    pub no_build: bool,
    pub pull_never: bool,
    pub detach: bool,
    /// Wait until the services are running and healthy, at most this long.
    pub wait: Option<Duration>,
    pub force_recreate: bool,
    pub quiet: bool,
}

impl Default for UpOptions {
    fn default() -> Self {
        Self {
            services: Vec::new(),
            no_deps: true,
            no_build: true,
            pull_never: true,
            detach: true,
            wait: None,
            force_recreate: false,
            quiet: true,
        }
    }
}

impl UpOptions {
    /// The defaults, for these services.
    pub fn of<S: Into<String>>(services: impl IntoIterator<Item = S>) -> Self {
        Self { services: services.into_iter().map(Into::into).collect(), ..Self::default() }
    }
}

/// How a one-off container of a service runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// A name of our choice makes the run something that can be looked up after a crash.
    pub name: Option<String>,
    pub env: Vec<(String, String)>,
    pub labels: Vec<(String, String)>,
    /// A terminal for a person; without one the output comes in plain lines.
    pub tty: bool,
    /// The container stays when it has ended, so that its end can be looked up.
    pub keep: bool,
}

impl Compose {
    /// A project of one file.
    pub fn new(project: impl Into<String>, file: impl Into<PathBuf>) -> Self {
        Self { project: project.into(), files: vec![file.into()], ..Self::default() }
    }

    /// The whole project as one JSON document: files merged, variables filled in, short forms written out.
    /// The answer needs `decode_config`.
    pub fn config(&self) -> Command {
        self.base().args(["config", "--format", "json"])
    }

    /// The same with one more file laid over the others, which Compose gets to read and nobody else.
    pub fn config_with(&self, over: &serde_json::Value) -> Command {
        let mut with = self.clone();
        with.files.push("-".into());
        with.config().stdin(over.to_string())
    }

    /// Builds the images of these services (all when empty).
    pub fn build(&self, services: &[String]) -> Command {
        self.base().arg("build").args(services.iter().cloned())
    }

    /// Fetches the images of these services (all when empty).
    pub fn pull(&self, services: &[String]) -> Command {
        self.base().args(["pull", "--quiet"]).args(services.iter().cloned())
    }

    /// Makes and starts containers.
    pub fn up(&self, options: &UpOptions) -> Command {
        let mut words = self.base().arg("up");
        let flags = [
            // `--wait` implies `--detach`, and Compose refuses some pairs of the two.
            (options.detach && options.wait.is_none(), "--detach"),
            (options.no_deps, "--no-deps"),
            (options.no_build, "--no-build"),
            (options.force_recreate, "--force-recreate"),
            (options.quiet, "--quiet-pull"),
        ];
        words = words.args(flags.into_iter().filter(|(wanted, _)| *wanted).map(|(_, flag)| flag));
        if options.pull_never {
            words = words.args(["--pull", "never"]);
        }
        if let Some(wait) = options.wait {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            words = words.args(["--wait", "--wait-timeout", &seconds.to_string()]);
        }
        words.args(options.services.iter().cloned())
    }

    /// Makes the containers that are missing or have changed, and starts none.
    pub fn create(&self) -> Command {
        self.base().args(["create", "--quiet-pull"])
    }

    /// Makes containers that are missing, so many of each of these services, and leaves those that are there alone.
    pub fn create_missing(&self, copies: &[(String, u32)]) -> Command {
        let words = self.base().args(["create", "--quiet-pull", "--no-recreate"]);
        copies.iter().fold(words, |words, (service, copies)| words.arg("--scale").arg(format!("{service}={copies}")))
    }

    /// Stops and removes the project's containers and networks; its volumes only with `volumes`.
    pub fn down(&self, volumes: bool) -> Command {
        let words = self.base().args(["down", "--remove-orphans"]);
        if volumes { words.arg("--volumes") } else { words }
    }

    /// Runs one command in a new container of a service, which is gone afterwards.
    pub fn run(&self, service: &str, command: &[String], options: &RunOptions) -> Command {
        let mut words = self.base().arg("run");
        if !options.keep {
            words = words.arg("--rm");
        }
        words = words.arg("--no-deps");
        if !options.tty {
            words = words.arg("--no-TTY");
        }
        if let Some(name) = &options.name {
            words = words.args(["--name", name]);
        }
        for (name, value) in &options.env {
            words = words.arg("--env").arg(format!("{name}={value}"));
        }
        for (key, value) in &options.labels {
            words = words.arg("--label").arg(format!("{key}={value}"));
        }
        words.arg(service).args(command.iter().cloned())
    }

    /// Stops these services' containers and keeps them.
    pub fn stop(&self, services: &[String]) -> Command {
        self.base().arg("stop").args(services.iter().cloned())
    }

    fn base(&self) -> Command {
        let mut words = Command::new("docker").args(["compose", "--project-name", &self.project]);
        for file in &self.files {
            words = words.arg("--file").arg(file.to_string_lossy());
        }
        if let Some(dir) = &self.dir {
            words = words.arg("--project-directory").arg(dir.to_string_lossy());
        }
        for file in &self.env_files {
            words = words.arg("--env-file").arg(file.to_string_lossy());
        }
        for profile in &self.profiles {
            words = words.args(["--profile", profile]);
        }
        words
    }
}

/// Which Compose is installed, as a bare number.
pub fn version() -> Command {
    Command::new("docker").args(["compose", "version", "--short"])
}

/// Runs words inside a running container, without an input.
pub fn docker_exec(container: &str, argv: &[String]) -> Command {
    docker_exec_with(container, argv, &ExecOptions::default())
}

/// How words run inside a container; the defaults are the container's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOptions {
    /// Whether what comes in here goes in there.
    pub input: bool,
    pub tty: bool,
    pub user: Option<String>,
    pub working_dir: Option<String>,
    pub env: Vec<(String, String)>,
    pub privileged: bool,
}

/// The same as another user, in another folder, with more variables.
pub fn docker_exec_with(container: &str, argv: &[String], options: &ExecOptions) -> Command {
    let mut words = Command::new("docker").arg("exec");
    for (flag, is_wanted) in [("--interactive", options.input), ("--tty", options.tty)] {
        if is_wanted {
            words = words.arg(flag);
        }
    }
    for (flag, value) in [("--user", &options.user), ("--workdir", &options.working_dir)] {
        if let Some(value) = value {
            words = words.args([flag, value]);
        }
    }
    if options.privileged {
        words = words.arg("--privileged");
    }
    for (name, value) in &options.env {
        words = match is_read_by_docker(name) {
            true => words.arg("--env").arg(format!("{name}={value}")),
            // Without a value Docker's client takes its own variable, so that no process list shows the value.
            false => words.args(["--env", name]).secret_env(name, value),
        };
    }
    words.arg(container).args(argv.iter().cloned())
}

/// Variables that would change what Docker's client does.
fn is_read_by_docker(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let begins = ["DOCKER_", "LD_", "GO", "SSL_", "OTEL_"].iter().any(|begin| upper.starts_with(begin));
    begins || upper.ends_with("_PROXY") || ["PATH", "HOME", "TMPDIR"].contains(&upper.as_str())
}

/// The document that `config` wrote, with each `$$` back to the `$` that it stands for.
///
/// Compose escapes every dollar of its output so that the document can be a Compose file again;
/// read as data, a password `a$b` would otherwise be `a$$b`.
pub fn decode_config(json: &[u8]) -> Result<serde_json::Value, serde_json::Error> {
    let mut document: serde_json::Value = serde_json::from_slice(json)?;
    unescape(&mut document);
    Ok(document)
}

fn unescape(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) if text.contains("$$") => *text = text.replace("$$", "$"),
        serde_json::Value::Array(items) => items.iter_mut().for_each(unescape),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(unescape),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
