//! Starting, replacing and stopping agent and edge.

use std::path::{Path, PathBuf};
use std::time::Duration;

use deploy::Ending;
use machine::docker::Engine;
use machine::files::{Lock, Root};
use machine::process::{Command, Processes, SystemProcesses, spawn_detached};
use machine::systemd::{self, Unit};

use super::Context;
use crate::agent::last_words;
use crate::client::Client;
use crate::errors::{Failure, failed};
use crate::layout::{AGENT_LOCK, EDGE_LOCK, Layout, SUPERVISOR_LOCK};
use crate::messages::About;
use crate::supervise;

/// How long agent and edge get to come up.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(25);

/// A client to a running agent, which is started if it does not run and replaced if it runs an
/// older binary than this one.
pub async fn ensure(context: &Context) -> Result<Client, Failure> {
    let client = Client::new(&context.layout.agent_socket());
    if client.answers().await {
        let about: About = client.get("/v1/about").await?;
        if about.binary == binary_stamp() {
            return Ok(client);
        }
        eprintln!("the agent runs another version of Mainstay; it is replaced, traffic goes on");
        let _: bool = client.post("/v1/stop", &()).await?;
        return answering(context, client, about.pid).await;
    }
    start(context).await?;
    answering(context, client, 0).await
}

/// A client to an agent that has to be there already.
pub async fn connect(context: &Context) -> Result<Client, Failure> {
    let client = Client::new(&context.layout.agent_socket());
    if !client.answers().await && context.layout.is_in_use() {
        return ensure(context).await;
    }
    Ok(client)
}

async fn answering(context: &Context, client: Client, other_than: u32) -> Result<Client, Failure> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let edge = edge::Control::new(context.layout.edge_socket());
    let root = Root::open(&context.layout.root).map_err(failed("open the state folder"))?;
    loop {
        let agent = match client.answers().await {
            true => client.get::<About>("/v1/about").await.is_ok_and(|about| about.pid != other_than),
            false => false,
        };
        if agent && edge.status().await.is_ok() {
            return Ok(client);
        }
        if !agent && let Some(failure) = last_words::read(&root) {
            return Err(failure);
        }
        if tokio::time::Instant::now() > deadline {
            let what = if agent { "edge" } else { "agent" };
            let log = context.layout.log(what);
            return Err(Failure::new(
                format!("the {what} did not come up within {} s", PATIENCE.as_secs()),
                Ending::Failed,
            )
            .hint(format!("its log is {}", log.display())));
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn start(context: &Context) -> Result<(), Failure> {
    let layout = &context.layout;
    Root::open(&layout.root).map_err(|error| {
        failed("open the state folder")(error).hint("run as root, or name another folder with --root")
    })?;
    // What an agent has left that could not start is no news of the one that starts now.
    last_words::clear(&Root::open(&layout.root).map_err(failed("open the state folder"))?);
    // An agent without an engine ends at once; the reason is told here and not in its log.
    let docker_host = std::env::var("DOCKER_HOST").ok();
    Engine::connect(docker_host.as_deref()).map_err(|error| {
        failed("start the agent")(error).hint("start Docker (`systemctl start docker`), then try again")
    })?;
    let binary = binary()?;
    if use_systemd(layout) {
        return start_units(layout, &binary).await;
    }
    let root = layout.root.display().to_string();
    // The processes live long: what this shell happens to export must not leak into later deploys.
    let kept = crate::agent::PASSED_ON.iter().filter_map(|name| Some(format!("{name}={}", std::env::var(name).ok()?)));
    let command =
        Command::new("env").arg("-i").args(kept).arg(binary.display().to_string()).args(["supervise", "--root", &root]);
    spawn_detached(&command, &layout.log("supervisor")).await.map(drop).map_err(failed("start the supervisor"))
}

/// Units exist once per machine, so only the normal installation uses them.
pub fn use_systemd(layout: &Layout) -> bool {
    systemd::detect() && layout.root == Path::new(crate::layout::DEFAULT_ROOT)
}

async fn start_units(layout: &Layout, binary: &Path) -> Result<(), Failure> {
    let units = Root::open("/etc/systemd/system").map_err(failed("open the folder of systemd's units"))?;
    let processes = SystemProcesses;
    for name in ["edge", "agent"] {
        let unit = unit(layout, binary, name);
        unit.save(&units).map_err(failed("write a systemd unit"))?;
    }
    let mut commands = vec![systemd::daemon_reload()];
    commands.extend(["mainstay-edge", "mainstay-agent"].map(systemd::enable_now));
    for command in commands {
        let output = processes.run(&command).await.map_err(failed("run systemctl"))?;
        output.ok(&command).map_err(failed("start a systemd unit"))?;
    }
    Ok(())
}

fn unit(layout: &Layout, binary: &Path, name: &str) -> Unit {
    let root = layout.root.display().to_string();
    Unit {
        name: format!("mainstay-{name}"),
        description: match name {
            "edge" => "Mainstay edge: the platform's public ports".into(),
            _ => "Mainstay agent: deploys, schedules, recovery".into(),
        },
        exec: vec![binary.display().to_string(), name.into(), "--root".into(), root.clone()],
        after: vec!["network-online.target".into(), "docker.service".into()],
        writable: vec![root],
        extra: match name {
            // The successor of an upgrade says itself that it is the service now.
            // Should that one die, the one before it may still be finishing; it must not keep the service from starting.
            "edge" => {
                vec!["NotifyAccess=all".into(), "ExecReload=/bin/kill -USR2 $MAINPID".into(), "KillMode=process".into()]
            }
            _ => vec![],
        },
        ..Unit::default()
    }
}

pub async fn supervise(context: &Context) -> Result<u8, Failure> {
    supervise::supervise(&context.layout, &binary()?).await?;
    Ok(0)
}

/// Stops supervisor, agent and edge, in this order; containers keep running.
pub async fn stop(context: &Context) -> Result<u8, Failure> {
    let layout = &context.layout;
    if use_systemd(layout) {
        for unit in ["mainstay-agent", "mainstay-edge"] {
            let command = systemd::disable_now(unit);
            SystemProcesses.run(&command).await.map_err(failed("run systemctl"))?;
        }
    }
    let root = Root::open(&layout.root).map_err(failed("open the state folder"))?;
    for (name, lock) in [("supervisor", SUPERVISOR_LOCK), ("agent", AGENT_LOCK), ("edge", EDGE_LOCK)] {
        end(&root, name, lock).await?;
    }
    eprintln!("agent and edge have stopped; containers are left as they are.");
    Ok(0)
}

async fn end(root: &Root, name: &str, lock: &str) -> Result<(), Failure> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    let mut asked = None;
    loop {
        let Lock::Held { pid } = root.lock(lock).map_err(failed("look at a lock"))? else { return Ok(()) };
        if asked != pid
            && let Some(pid) = pid
        {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap_or_default());
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        }
        asked = pid;
        if tokio::time::Instant::now() > deadline {
            return Err(Failure::new(format!("the {name} does not end"), Ending::Failed));
        }
        tokio::time::sleep(LOOK).await;
    }
}

pub fn binary() -> Result<PathBuf, Failure> {
    let path = std::env::current_exe().map_err(failed("find this program's own file"))?;
    // After an upgrade the kernel names the file that was replaced.
    let text = path.display().to_string();
    Ok(text.strip_suffix(" (deleted)").map(PathBuf::from).unwrap_or(path))
}

/// Size and modification time: enough to notice that the binary was replaced.
pub fn binary_stamp() -> String {
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::metadata("/proc/self/exe");
    file.map(|file| format!("{}-{}.{}", file.size(), file.mtime(), file.mtime_nsec())).unwrap_or_default()
}
