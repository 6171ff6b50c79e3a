//! The control plane's process: assembly, recovery, loops, the socket.

mod api;
pub mod last_words;
mod loops;
mod operations;
mod queue;
mod salt;
mod telling;
mod work;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use deploy::{Ending, Parts, Talk, World};
use machine::clock::{Clock, SystemClock};
use machine::docker::{Docker, Engine};
use machine::files::{Lock, Root};
use machine::process::SystemProcesses;
use spec::HostSize;

use crate::engine;
use crate::errors::{Failure, failed};
use crate::layout::{AGENT_LOCK, Layout};
use crate::supervise::stop_signal;
use operations::Operations;

/// The environment the agent's programs get: where Docker is, and nothing else of ours.
pub const PASSED_ON: [&str; 4] = ["PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG"];

/// Everything the agent's parts share.
#[derive(Clone)]
pub struct Agent {
    pub parts: Arc<Parts>,
    pub operations: Operations,
    pub queue: queue::Queue,
    /// Where notices for others go.
    pub notices: deploy::notify::Notices,
    pub host: HostSize,
    pub boot_id: String,
    /// What is seen of the engine, by which a container's own end is told from one that went down with it.
    pub engine: deploy::ends::Watch,
    /// How often kept services were started again.
    pub tries: deploy::keeping::Tries,
    /// The one engine that everything here speaks to.
    pub docker_host: String,
    /// What the binary looked like when this agent started.
    pub binary: String,
    pub stop: tokio_util::sync::CancellationToken,
}

impl Agent {
    pub fn world(&self) -> World {
        World::new(self.parts.clone(), Talk::silent(), saga::Abort::new()).notifying(self.notices.clone())
    }
}

pub async fn run(layout: &Layout) -> Result<u8, Failure> {
    let root = Root::open(&layout.root).map_err(failed("open the state folder"))?;
    let _lock = match root.lock(AGENT_LOCK).map_err(failed("take the agent's lock"))? {
        Lock::Acquired(lock) => lock,
        Lock::Held { .. } => {
            return Err(Failure::new("an agent is already running for this state folder", Ending::Refused));
        }
    };
    // Before anything is pushed to the edge, which asks here for what a push names.
    let lending = bind(&layout.lend_socket())?;
    let (notices, waiting) = deploy::notify::Notices::channel();
    let lent: Arc<deploy::lent::Lent> = Arc::default();
    let lender = lent.clone();
    tokio::spawn(edge::lend::lend(lending, move |wanted| lender.open(wanted)));
    let prepared = prepare(layout, root.clone(), notices, lent).await;
    last_words::keep(&root, prepared.as_ref().err());
    let agent = prepared?;
    let alone = work::take_up(&agent);
    let listener = bind(&layout.agent_socket())?;
    tracing::info!(root = %layout.root.display(), "the agent is up");
    tokio::spawn(work::go_on_alone(agent.clone(), alone));
    tokio::spawn(loops::run(agent.clone()));
    tokio::spawn(telling::deliver(agent.clone(), waiting));
    let stop = agent.stop.clone();
    let served = axum::serve(listener, api::router(agent));
    tokio::select! {
        result = served => result.map_err(failed("serve the agent's socket"))?,
        // Ending in the middle of an operation is harmless: the journal says where to go on.
        () = stop.cancelled() => tokio::time::sleep(LAST_ANSWERS).await,
    }
    Ok(0)
}

/// An engine that is well answers a ping in milliseconds.
const SOON: Duration = Duration::from_secs(1);

/// Answers that are on their way when the agent ends.
const LAST_ANSWERS: Duration = Duration::from_millis(50);

/// Everything that has to be right before anybody is answered and anything is pushed to the edge.
async fn prepare(
    layout: &Layout,
    root: Root,
    notices: deploy::notify::Notices,
    lent: Arc<deploy::lent::Lent>,
) -> Result<Agent, Failure> {
    let agent = assemble(layout, root, notices, lent).await?;
    if let Some(rebuilt) = deploy::rebuild::ensure(&agent.world()).await? {
        tracing::warn!(?rebuilt, "the ledger was gone and has been built again");
    }
    deploy::learn(&agent.world()).await?;
    Ok(agent)
}

async fn assemble(
    layout: &Layout,
    root: Root,
    notices: deploy::notify::Notices,
    lent: Arc<deploy::lent::Lent>,
) -> Result<Agent, Failure> {
    let clock = clock();
    let mut environment: Vec<(String, String)> =
        PASSED_ON.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect();
    let docker_host = take(&mut environment, "DOCKER_HOST").or_else(|| engine::remembered(layout));
    let docker = Engine::connect(docker_host.as_deref()).map_err(failed("prepare for Docker"))?;
    // Without it Docker's own programs would follow the context that root has in use.
    let docker_host = docker.host().to_owned();
    environment.push(("DOCKER_HOST".into(), docker_host.clone()));
    // An engine that says nothing keeps the agent from nothing: it is remembered when it has answered once.
    if matches!(tokio::time::timeout(SOON, docker.ping()).await, Ok(Ok(_))) {
        engine::remember(&root, &docker_host)?;
    }
    let ledger = open_ledger(layout, clock.clone())?;
    let salt = salt::load(&root)?;
    let facts =
        machine::facts::collect(&SystemProcesses, &layout.root).await.map_err(failed("look at this machine"))?;
    let parts = Parts {
        docker: Arc::new(docker),
        processes: Arc::new(SystemProcesses),
        ledger,
        edge: edge::Control::new(layout.edge_socket()),
        clock,
        root,
        environment,
        salt,
        switching: tokio::sync::Mutex::new(()),
        holding: tokio::sync::Mutex::new(()),
        lent,
        faults: crash_point(),
    };
    Ok(Agent {
        parts: Arc::new(parts),
        operations: Operations::default(),
        queue: queue::Queue::default(),
        notices,
        host: HostSize { cpus: facts.cpus, memory: spec::Bytes(facts.memory) },
        boot_id: facts.boot_id,
        engine: deploy::ends::Watch::default(),
        tries: deploy::keeping::Tries::default(),
        docker_host,
        binary: crate::commands::binary_stamp(),
        stop: stop_signal(),
    })
}

fn take(environment: &mut Vec<(String, String)>, name: &str) -> Option<String> {
    let at = environment.iter().position(|(known, _)| known == name)?;
    Some(environment.remove(at).1)
}

fn open_ledger(layout: &Layout, clock: Arc<dyn Clock>) -> Result<ledger::Ledger, Failure> {
    ledger::Ledger::open(&layout.ledger(), clock).map_err(|error| {
        let hint = match &error {
            ledger::LedgerError::Damaged { .. } => Some(
                "`mainstay rebuild` sets it aside and builds another from the containers and the edge; traffic goes on"
                    .into(),
            ),
            other => other.next_step(),
        };
        Failure { hint, ..failed("open the ledger")(error) }
    })
}

/// Used by the crash tests only: names a file with milliseconds by which the wall clock is wrong.
const CLOCK_SHIFT: &str = "MAINSTAY_TEST_CLOCK_SHIFT";

fn clock() -> Arc<dyn Clock> {
    match std::env::var_os(CLOCK_SHIFT) {
        Some(file) => Arc::new(Shifted { clock: SystemClock::new(), file: file.into() }),
        None => Arc::new(SystemClock::new()),
    }
}

/// A wall clock that jumps when a test says so.
struct Shifted {
    clock: SystemClock,
    file: std::path::PathBuf,
}

impl Clock for Shifted {
    fn now_ms(&self) -> i64 {
        let shift = std::fs::read_to_string(&self.file).ok().and_then(|text| text.trim().parse::<i64>().ok());
        self.clock.now_ms().saturating_add(shift.unwrap_or_default())
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }
}

/// Used by the crash tests only: the process kills itself after the n-th entry of the journal, or breaks there.
const CRASH_AFTER: &str = "MAINSTAY_TEST_CRASH_AFTER";
const BREAK_AFTER: &str = "MAINSTAY_TEST_BREAK_AFTER";

#[expect(clippy::panic, reason = "a fault of the agent's own is what the test is about")]
fn crash_point() -> Option<Arc<dyn saga::Faults>> {
    let entry = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (crash, breaks) = (entry(CRASH_AFTER), entry(BREAK_AFTER));
    crash.or(breaks)?;
    let seen = std::sync::atomic::AtomicU64::new(0);
    Some(Arc::new(move |_: u64, _: &saga::LogEvent| {
        let now = Some(seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1);
        if now == crash {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL);
        }
        if now == breaks {
            std::panic::panic_any("a test has asked for this");
        }
        saga::Inject::None
    }))
}

/// Opens a socket of the agent's for its owner only.
fn bind(path: &Path) -> Result<tokio::net::UnixListener, Failure> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed("open the folder of the sockets"))?;
    }
    // We hold the agent's lock, so a socket that is there belongs to nobody.
    let _ = std::fs::remove_file(path);
    let listener = tokio::net::UnixListener::bind(path).map_err(failed("open the agent's socket"))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .map_err(failed("protect the agent's socket"))?;
    Ok(listener)
}
