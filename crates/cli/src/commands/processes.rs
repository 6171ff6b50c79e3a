//! Starting, replacing and stopping agent and edge.

use std::path::{Path, PathBuf};
use std::time::Duration;

use deploy::Ending;
use machine::docker::Engine;
use machine::files::{Lock, Root};
use machine::process::{Command, spawn_detached};
use machine::systemd;

use super::{Context, units};
use crate::agent::last_words;
use crate::client::Client;
use crate::engine;
use crate::errors::{Failure, failed};
use crate::layout::{AGENT_LOCK, DEFAULT_ROOT, EDGE_LOCK, Layout, SUPERVISOR_LOCK};
use crate::messages::About;
use crate::supervise;

/// How long agent and edge get to come up.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(25);

/// A client to a running agent, which is started if it does not run and replaced if it runs an
/// older binary than this one.
pub async fn ensure(context: &Context) -> Result<Client, Failure> {
    let client = Client::new(&context.layout.agent_socket());
    client.refuse_forbidden().await?;
    if client.answers().await {
        let about = of_this_engine(context, &client).await?;
        if units::are_in_charge(&context.layout)? {
            units::settle(&context.layout, &host(&about)).await?;
        }
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
    client.refuse_forbidden().await?;
    match client.answers().await {
        true => of_this_engine(context, &client).await.map(drop)?,
        false if context.layout.is_in_use() => return ensure(context).await,
        false => {}
    }
    Ok(client)
}

/// The agent, where it works with the engine that this shell means.
async fn of_this_engine(context: &Context, client: &Client) -> Result<About, Failure> {
    let about: About = client.get("/v1/about").await?;
    engine::refuse_choice(&context.layout, &host(&about)).await?;
    Ok(about)
}

/// An agent of the version before says nothing about its engine; it has the usual one.
pub fn host(about: &About) -> String {
    about.docker_host.clone().unwrap_or_else(|| machine::docker::DEFAULT_HOST.to_owned())
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
    let host = engine::of(layout).await?;
    engine::refuse_elsewhere(&host)?;
    Engine::connect(Some(&host)).map_err(|error| {
        failed("start the agent")(error).hint("start Docker (`systemctl start docker`), then try again")
    })?;
    if units::are_used() {
        return units::start(layout, &host).await;
    }
    if systemd::detect() && layout.root == Path::new(DEFAULT_ROOT) {
        return Err(needs_root(layout));
    }
    let root = layout.root.display().to_string();
    let binary = binary()?;
    // The processes live long: what this shell happens to export must not leak into later deploys.
    let kept = crate::agent::PASSED_ON.iter().filter(|name| **name != "DOCKER_HOST");
    let kept = kept.filter_map(|name| Some(format!("{name}={}", std::env::var(name).ok()?)));
    let command = Command::new("env")
        .arg("-i")
        .args(kept)
        .arg(format!("DOCKER_HOST={host}"))
        .arg(binary.display().to_string())
        .args(["supervise", "--root", &root]);
    spawn_detached(&command, &layout.log("supervisor")).await.map(drop).map_err(failed("start the supervisor"))
}

fn needs_root(layout: &Layout) -> Failure {
    let text = format!(
        "agent and edge are units of systemd and keep their state in {}, which only root can set up",
        layout.root.display()
    );
    Failure::new(text, Ending::Refused)
        .hint("run it as root (`sudo mainstay up`), or with a state folder of your own (--root), which does not come back after a reboot")
}

pub async fn supervise(context: &Context) -> Result<u8, Failure> {
    supervise::supervise(&context.layout, &binary()?).await?;
    Ok(0)
}

/// Stops supervisor, agent and edge, in this order; containers keep running.
pub async fn stop(context: &Context) -> Result<u8, Failure> {
    let layout = &context.layout;
    if units::are_used() {
        units::stop(layout).await?;
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
    stamp_of(Path::new("/proc/self/exe")).unwrap_or_default()
}

/// The same of any program.
pub fn stamp_of(program: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::metadata(program).ok()?;
    Some(format!("{}-{}.{}", file.size(), file.mtime(), file.mtime_nsec()))
}
