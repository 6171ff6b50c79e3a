//! A platform of one test: its folder, its state folder, its port, and its end.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// How an operator's command ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

pub struct Place {
    pub name: String,
    pub port: u16,
    trust: String,
    folder: PathBuf,
    /// Removes the folder in the end.
    _dir: TempDir,
    state: TempDir,
    /// An engine of this test's own, instead of the machine's.
    pub engine: Option<String>,
    /// The state folder is a file system of its own.
    is_mounted: bool,
    /// Processes that this test has started itself.
    pub started: Vec<Child>,
}

impl Place {
    /// Nothing watches its releases.
    pub fn new(test: &str) -> Place {
        Place::trusted(test, "soak: 0s")
    }

    /// Its `web` earns its traffic as these keys of the platform file say.
    pub fn trusted(test: &str, trust: &str) -> Place {
        let dir = tempfile::tempdir().unwrap();
        Place {
            name: format!("real-{test}-{}", std::process::id()),
            port: testkit::free_port(),
            trust: trust.to_owned(),
            folder: dir.path().to_owned(),
            _dir: dir,
            state: tempfile::tempdir().unwrap(),
            engine: None,
            is_mounted: false,
            started: Vec::new(),
        }
    }

    /// Its folder bears its name, as it must without a platform file.
    pub fn in_folder_of_its_name(test: &str) -> Place {
        let mut place = Place::new(test);
        place.folder = place.folder.join(&place.name);
        place
    }

    /// A platform of one blue-green service `web` with a volume, which is up.
    pub fn with_web(test: &str, image: &str) -> Place {
        let place = Place::new(test);
        place.compose(&web(image, ""));
        place.platform("5m", "");
        place.run(&["up", "--yes"]).done();
        place
    }

    pub fn dir(&self) -> &Path {
        &self.folder
    }

    pub fn state(&self) -> &Path {
        self.state.path()
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir().join(name), text).unwrap();
    }

    pub fn compose(&self, services: &str) {
        // Networks and volumes have the names that plain Compose would give them.
        let name = &self.name;
        self.write("compose.yaml", &format!("name: {name}\nservices:\n{services}volumes:\n  data: {{}}\n"));
    }

    /// `more` is further services, each line indented by two.
    pub fn platform(&self, warm: &str, more: &str) {
        self.write(
            "mainstay.yaml",
            &format!(
                "version: 1\nplatform: {}\nenvironments:\n  production:\n    edge: {{http: \"127.0.0.1:{}\"}}\nservices:\n  web:\n    strategy: blue-green\n    shared_data: safe\n    port: 8080\n    health: {{path: /health, budget: 5s}}\n    routes: [{{path: /}}]\n    warm: {warm}\n    drain: 2s\n    drain_websocket: 2s\n    {}\n{more}",
                self.name, self.port, self.trust
            ),
        );
    }

    /// Puts the state folder on a file system in memory with room for so many bytes; needs the rights of root.
    pub fn mount(&mut self, bytes: u64) {
        let size = format!("size={bytes},mode=750");
        let words = ["-t", "tmpfs", "-o", &size, "mainstay-crash"];
        let output = Command::new("mount").args(words).arg(self.state()).output().unwrap();
        assert!(output.status.success(), "mount: {}", String::from_utf8_lossy(&output.stderr));
        self.is_mounted = true;
    }

    /// Docker's own words, to the engine of this place.
    pub fn docker(&self, words: &[&str]) -> String {
        self.try_docker(words).unwrap_or_else(|error| panic!("docker {words:?}: {error}"))
    }

    pub fn try_docker(&self, words: &[&str]) -> Result<String, String> {
        let output = self.docker_command().args(words).output().unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    pub fn docker_command(&self) -> Command {
        let mut command = Command::new("docker");
        if let Some(engine) = &self.engine {
            command.env("DOCKER_HOST", engine);
        }
        command
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
        if let Some(engine) = &self.engine {
            command.env("DOCKER_HOST", engine);
        }
        command.arg("--root").arg(self.state()).arg("-C").arg(self.dir()).args(words).stdin(Stdio::null());
        command
    }

    pub fn run(&self, words: &[&str]) -> Ran {
        Ran::of(self.command(words).output().unwrap())
    }

    /// Takes it away with its data, databases as well, with the words that a refusal gives.
    pub fn down_with_data(&self) -> Ran {
        let ran = self.run(&["down", "--yes", "--volumes", "--no-wait"]);
        let given = ran.err.split_once("`mainstay down ").and_then(|(_, rest)| rest.split_once('`'));
        match given.filter(|_| ran.code == 4) {
            Some((words, _)) => self.run(&["down"].into_iter().chain(words.split_whitespace()).collect::<Vec<_>>()),
            None => ran,
        }
    }

    /// The same, in the background.
    pub fn begin(&self, words: &[&str]) -> Child {
        self.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// One of the long-running processes, started by this test instead of the supervisor.
    pub fn start(&mut self, process: &str, crash_after: Option<u32>) -> u32 {
        let crash_after = crash_after.map(|after| after.to_string());
        let variable = crash_after.as_ref().map(|after| ("MAINSTAY_TEST_CRASH_AFTER", after.as_str()));
        self.start_with(process, variable.as_slice())
    }

    /// The same with these variables.
    pub fn start_with(&mut self, process: &str, variables: &[(&str, &str)]) -> u32 {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.state().join(format!("{process}.test.log")))
            .unwrap();
        let mut command = self.command(&[process]);
        command.envs(variables.iter().copied());
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let pid = child.id();
        self.started.push(child);
        pid
    }

    pub fn status(&self) -> Value {
        self.run(&["status", "--json"]).json()
    }

    /// The status of one service.
    pub fn service(&self, name: &str) -> Value {
        let status = self.status();
        let services = status["platforms"][0]["services"].as_array().cloned().unwrap_or_default();
        services.into_iter().find(|service| service["service"] == name).unwrap_or(Value::Null)
    }

    pub fn releases(&self) -> Vec<Value> {
        self.run(&["releases", "--json"]).json().as_array().unwrap().clone()
    }

    /// Names and states of this platform's containers.
    pub fn containers(&self) -> Vec<(String, String)> {
        let text = self.docker(&["ps", "--all", "--filter", &self.label(), "--format", "{{.Names}} {{.State}}"]);
        text.lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(name, state)| (name.to_owned(), state.to_owned()))
            .collect()
    }

    pub fn networks(&self) -> Vec<String> {
        lines(&self.docker(&["network", "ls", "--quiet", "--filter", &self.label()]))
    }

    pub fn volumes(&self) -> Vec<String> {
        lines(&self.docker(&["volume", "ls", "--quiet", "--filter", &self.label()]))
    }

    pub fn label(&self) -> String {
        format!("label=dev.mainstay.platform={}", self.name)
    }

    /// Removes what is found.
    fn sweep(&self, find: &[&str], remove: &[&str]) {
        let Ok(found) = self.docker_command().args(find).output() else { return };
        let text = String::from_utf8_lossy(&found.stdout).into_owned();
        if !text.trim().is_empty() {
            let _ = self.docker_command().args(remove).args(text.split_whitespace()).output();
        }
    }

    /// The container of a release of a service.
    pub fn container(&self, service: &str, release: &str) -> String {
        format!("{}-production-{service}-{release}", self.name)
    }
}

impl Drop for Place {
    /// Nothing here may panic: the test's own verdict counts, and everything has to be tried.
    fn drop(&mut self) {
        if std::thread::panicking() {
            for log in ["log/agent.log", "log/edge.log", "log/supervisor.log", "agent.test.log", "edge.test.log"] {
                if let Ok(text) = std::fs::read_to_string(self.state().join(log)) {
                    eprintln!("--- {log}\n{text}");
                }
            }
        }
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.down_with_data()));
        let _ = self.command(&["stop"]).output();
        for child in &mut self.started {
            let _ = child.kill();
            let _ = child.wait();
        }
        let label = self.label();
        self.sweep(&["ps", "--all", "--quiet", "--filter", &label], &["rm", "--force", "--volumes"]);
        let holders = format!("label=dev.mainstay.names={}/production", self.name);
        self.sweep(&["ps", "--all", "--quiet", "--filter", &holders], &["rm", "--force"]);
        self.sweep(&["network", "ls", "--quiet", "--filter", &label], &["network", "rm"]);
        self.sweep(&["volume", "ls", "--quiet", "--filter", &label], &["volume", "rm", "--force"]);
        let kept = format!("reference=mainstay/{}-production/*", self.name);
        self.sweep(&["image", "ls", "--filter", &kept, "--format", "{{.Repository}}:{{.Tag}}"], &["rmi", "--no-prune"]);
        if self.is_mounted {
            let _ = Command::new("umount").arg("--lazy").arg(self.state()).output();
        }
    }
}

impl Ran {
    pub fn of(output: Output) -> Ran {
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    pub fn ended(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "exit code\n--- stdout\n{}\n--- stderr\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    pub fn done(self) -> Ran {
        self.ended(0)
    }

    #[track_caller]
    pub fn says(&self, text: &str) -> &Ran {
        assert!(
            self.err.contains(text) || self.out.contains(text),
            "`{text}` is not in\n--- stdout\n{}\n--- stderr\n{}",
            self.out,
            self.err
        );
        self
    }

    #[track_caller]
    pub fn json(self) -> Value {
        let ran = self.done();
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}", ran.out))
    }
}

/// The Compose service `web`, with more lines, each indented by four.
pub fn web(image: &str, more: &str) -> String {
    service("web", image, &format!("    volumes: [\"data:/data\"]\n{more}"))
}

pub fn service(name: &str, image: &str, more: &str) -> String {
    format!("  {name}:\n    image: {image}\n    init: true\n{more}")
}

pub fn image(build: &str, env: &[(&str, &str)]) -> String {
    block_on(testkit::app_image(build, env))
}

pub fn docker(words: &[&str]) -> String {
    let output = Command::new("docker").args(words).output().unwrap();
    assert!(output.status.success(), "docker {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// `testkit::wait_for`, for looks that block.
pub fn wait<T>(what: &str, timeout: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    block_on(testkit::wait_for(what, timeout, || std::future::ready(look())))
}

pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
