//! One Docker Engine for everything: the agent's.
//!
//! The agent and the edge live beside one engine and keep speaking to it. A shell may choose another by `DOCKER_HOST`,
//! `DOCKER_CONTEXT` or `docker context use`. Where that is the agent's own, by whatever way, it is followed; else the
//! command is refused, since it would change one engine for somebody who means another.

use std::net::{ToSocketAddrs, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use deploy::Ending;
use machine::docker::{DEFAULT_HOST, Engine};
use machine::files::Root;
use machine::process::{Command, Processes, SystemProcesses};

use crate::errors::{Failure, failed};
use crate::layout::Layout;

/// The file of the state folder that names the engine it belongs to.
const FILE: &str = "engine";
/// An engine beside us answers at once.
const PATIENCE: Duration = Duration::from_secs(3);

/// The engine that a shell chooses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub host: String,
    /// What says so.
    by: String,
    /// What takes the choice back.
    undo: &'static str,
}

/// What this shell chooses, as Docker's own client finds it; `None` where it leaves the usual engine.
pub async fn chosen() -> Result<Option<Choice>, Failure> {
    let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.trim().is_empty());
    if let Some(host) = variable("DOCKER_HOST") {
        return Ok(Some(Choice { host: host.trim().to_owned(), by: "DOCKER_HOST".into(), undo: "unset DOCKER_HOST" }));
    }
    let (name, by, undo) = match variable("DOCKER_CONTEXT") {
        Some(name) => (name, "DOCKER_CONTEXT", "unset DOCKER_CONTEXT"),
        None => match config().and_then(|folder| current_context(&folder)) {
            Some(name) => (name, "`docker context use`", "docker context use default"),
            None => return Ok(None),
        },
    };
    if name == "default" {
        return Ok(None);
    }
    let ask = Command::new("docker").args(["context", "inspect", "--format", "{{.Endpoints.docker.Host}}", &name]);
    let answer = SystemProcesses.run(&ask.timeout(PATIENCE)).await.map_err(failed("look at the Docker context"))?;
    let host = answer.text().trim().to_owned();
    if answer.status != 0 || host.is_empty() {
        let text = format!("the Docker context `{name}`, which {by} chooses, cannot be read");
        return Err(Failure::new(text, Ending::Refused).hint(format!("`{undo}`, or `docker context ls`")));
    }
    Ok(Some(Choice { host, by: format!("the context `{name}` ({by})"), undo }))
}

/// The folder of Docker's own settings for this user.
fn config() -> Option<PathBuf> {
    let named = std::env::var_os("DOCKER_CONFIG").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    named.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker")))
}

/// The folders of Docker's settings whose logins count: this user's, and those of the one behind `sudo`.
pub fn settings_folders() -> Vec<PathBuf> {
    let behind = std::env::var("SUDO_USER").ok().filter(|_| nix::unistd::geteuid().is_root());
    let behind = behind.and_then(|name| nix::unistd::User::from_name(&name).ok().flatten());
    let folders = config().into_iter().chain(behind.map(|user| user.dir.join(".docker")));
    let mut folders: Vec<PathBuf> = folders.filter_map(|folder| std::path::absolute(folder).ok()).collect();
    folders.dedup();
    folders
}

fn current_context(folder: &Path) -> Option<String> {
    let text = std::fs::read(folder.join("config.json")).ok()?;
    let settings: serde_json::Value = serde_json::from_slice(&text).ok()?;
    let name = settings.get("currentContext")?.as_str()?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// The engine that the agent of a state folder works with, or will work with.
pub async fn of(layout: &Layout) -> Result<String, Failure> {
    let remembered = remembered(layout);
    match (remembered, chosen().await?) {
        (Some(host), Some(choice)) => {
            refuse_other(layout, &host, &choice).await?;
            Ok(host)
        }
        (Some(host), None) => Ok(host),
        (None, Some(choice)) => Ok(choice.host),
        (None, None) => Ok(DEFAULT_HOST.to_owned()),
    }
}

/// The engine that a state folder belongs to, once an agent has found one.
pub fn remembered(layout: &Layout) -> Option<String> {
    let text = std::fs::read_to_string(layout.root.join(FILE)).ok()?;
    Some(text.trim().to_owned()).filter(|host| !host.is_empty())
}

/// Writes down which engine a state folder belongs to.
pub fn remember(root: &Root, host: &str) -> Result<(), Failure> {
    let failed = failed("write down which Docker Engine this is");
    match root.read(FILE).map_err(&failed)? {
        Some(known) if known.trim_ascii() == host.as_bytes() => Ok(()),
        _ => root.write_atomic(FILE, format!("{host}\n").as_bytes(), 0o644).map_err(&failed),
    }
}

/// Refuses a command of a shell that has chosen another engine than this one.
pub async fn refuse_choice(layout: &Layout, host: &str) -> Result<(), Failure> {
    match chosen().await? {
        Some(choice) => refuse_other(layout, host, &choice).await,
        None => Ok(()),
    }
}

async fn refuse_other(layout: &Layout, host: &str, choice: &Choice) -> Result<(), Failure> {
    if is_same(host, &choice.host).await {
        return Ok(());
    }
    let text = format!(
        "this shell chooses the Docker Engine at {} by {}, and Mainstay ({}) works with the one at {host}",
        choice.host,
        choice.by,
        layout.root.display()
    );
    let hint = format!(
        "`{}` to work with this one; for the other, run `mainstay` on the machine where that engine runs, or with a state folder of its own (--root)",
        choice.undo
    );
    Err(Failure::new(text, Ending::Refused).hint(hint))
}

/// Refuses an engine of another machine: agent and edge have to reach its containers.
pub fn refuse_elsewhere(host: &str) -> Result<(), Failure> {
    if is_here(host) {
        return Ok(());
    }
    let text = format!("the Docker Engine at {host} is not one of this machine, and Mainstay runs beside its engine");
    Err(Failure::new(text, Ending::Refused)
        .hint("run `mainstay` on the machine where that engine runs, or leave DOCKER_HOST and the Docker context out"))
}

fn is_here(host: &str) -> bool {
    match host.split_once("://") {
        None | Some(("unix", _)) => true,
        Some(("tcp" | "http", address)) => {
            let address = address.split('/').next().unwrap_or_default();
            let address = if address.contains(':') { address.to_owned() } else { format!("{address}:2375") };
            let Ok(found) = address.to_socket_addrs() else { return false };
            // An address of this machine can be listened on.
            found.into_iter().any(|found| UdpSocket::bind((found.ip(), 0)).is_ok())
        }
        Some(_) => false,
    }
}

/// Whether both lead to one engine: by one address, by one socket under two names, or by two that say who they are.
async fn is_same(one: &str, other: &str) -> bool {
    let file = |host: &str| {
        let path = host.strip_prefix("unix://").or((!host.contains("://")).then_some(host))?;
        Path::new(path).canonicalize().ok()
    };
    if one == other || file(one).is_some_and(|one| Some(one) == file(other)) {
        return true;
    }
    let (one, other) = tokio::join!(id(one), id(other));
    one.is_some() && one == other
}

async fn id(host: &str) -> Option<String> {
    let engine = Engine::connect(Some(host)).ok()?;
    let id = tokio::time::timeout(PATIENCE, engine.id()).await.ok()?.ok()?;
    (!id.is_empty()).then_some(id)
}

/// Programs of Docker's that speak to this engine, whatever their caller's shell has chosen.
pub struct On(pub String);

#[async_trait::async_trait]
impl Processes for On {
    async fn run(&self, command: &Command) -> Result<machine::process::Output, machine::process::ProcessError> {
        SystemProcesses.run(&command.clone().env("DOCKER_HOST", &self.0)).await
    }

    async fn stream(
        &self,
        command: &Command,
        on_line: &mut (dyn FnMut(machine::process::Stream, String) + Send),
    ) -> Result<i32, machine::process::ProcessError> {
        SystemProcesses.stream(&command.clone().env("DOCKER_HOST", &self.0), on_line).await
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test writes the files that it reads")]
mod tests {
    use super::*;

    #[test]
    fn the_context_in_use_is_read_from_dockers_settings() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(current_context(folder.path()), None);
        for (text, expected) in [
            ("{}", None),
            ("{\"currentContext\": \"away\"}", Some("away")),
            ("{\"currentContext\": \"\"}", None),
            ("no", None),
        ] {
            std::fs::write(folder.path().join("config.json"), text).unwrap();
            assert_eq!(current_context(folder.path()).as_deref(), expected, "{text}");
        }
    }

    #[tokio::test]
    async fn one_socket_under_two_names_is_one_engine() {
        let folder = tempfile::tempdir().unwrap();
        let (socket, link) = (folder.path().join("a.sock"), folder.path().join("b.sock"));
        std::fs::write(&socket, "").unwrap();
        std::os::unix::fs::symlink(&socket, &link).unwrap();
        let host = |path: &Path| format!("unix://{}", path.display());
        assert!(is_same(&host(&socket), &host(&link)).await);
        assert!(is_same("tcp://127.0.0.1:1", "tcp://127.0.0.1:1").await);
        assert!(!is_same(&host(&socket), "tcp://127.0.0.1:1").await);
        assert!(!is_same(&host(&socket), &host(&folder.path().join("none.sock"))).await);
    }

    #[test]
    fn an_engine_of_another_machine_is_told_from_one_of_this() {
        for host in ["unix:///run/docker.sock", "/run/docker.sock", "tcp://127.0.0.1:2375", "tcp://localhost"] {
            assert!(is_here(host), "{host}");
            assert!(refuse_elsewhere(host).is_ok());
        }
        for host in ["tcp://203.0.113.9:2375", "ssh://root@server", "npipe:////./pipe/docker_engine"] {
            assert!(!is_here(host), "{host}");
            assert_eq!(refuse_elsewhere(host).unwrap_err().ending, Ending::Refused);
        }
    }

    #[test]
    fn a_state_folder_remembers_its_engine() {
        let folder = tempfile::tempdir().unwrap();
        let (layout, root) = (Layout::new(folder.path()), Root::open(folder.path()).unwrap());
        assert_eq!(remembered(&layout), None);
        remember(&root, "unix:///run/user/1000/docker.sock").unwrap();
        assert_eq!(remembered(&layout).as_deref(), Some("unix:///run/user/1000/docker.sock"));
    }
}
