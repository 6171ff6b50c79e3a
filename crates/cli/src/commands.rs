//! The verbs. Each has a file: its arguments with their help, one `run`, its rendering.

mod canary;
mod completion;
mod compose_project;
mod config;
mod consent;
mod deploy;
mod diff;
mod doctor;
mod down;
mod drift;
mod events;
mod exec;
mod follow;
mod init;
mod logs;
mod maintenance;
mod plan;
mod processes;
mod promote;
mod prune;
mod rebuild;
mod release_to_compose;
mod releases;
mod restart;
mod rollback;
mod scale;
mod shell;
mod standing;
mod status;
mod target;
mod top;
mod units;
mod up;
mod upgrade;

use std::path::{Component, Path, PathBuf};

use ::deploy::identity::same_folder;
use clap::{Parser, Subcommand};

use crate::errors::Failure;
use crate::layout::{DEFAULT_ROOT, Layout};

/// Takes one Linux server and a plain compose.yaml to a production platform
#[derive(Parser)]
#[command(name = "mainstay", version, propagate_version = true, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
}

const EXAMPLES: &str = "Examples:
  mainstay init                 write a mainstay.yaml for the compose.yaml in this folder
  mainstay plan                 show what `up` would do, and why
  mainstay up                   bring everything to what the files say
  mainstay deploy api --pull    put the newest image of one service into service
  mainstay rollback api         back to the previous good release

Exit codes: 0 done, 1 failed and nothing changed, 2 usage or invalid files,
            3 failed and rolled back, 4 refused, 5 stuck and needs a person,
            130 left to the agent by a second Ctrl-C, SIGTERM or SIGHUP";

#[derive(clap::Args)]
pub struct Global {
    /// State folder; one folder is one installation
    #[arg(long, global = true, env = "MAINSTAY_ROOT", default_value = DEFAULT_ROOT, value_name = "DIR")]
    pub root: PathBuf,
    /// Folder of the compose.yaml and mainstay.yaml
    #[arg(short = 'C', long, global = true, default_value = ".", value_name = "DIR")]
    pub dir: PathBuf,
    /// Environment, as the platform file names it
    #[arg(short = 'e', long = "env", global = true, env = "MAINSTAY_ENV", value_name = "NAME")]
    pub environment: Option<String>,
    /// The environment's name once more, where the platform file asks for it before a change
    #[arg(long, global = true, value_name = "NAME")]
    pub confirm: Option<String>,
    /// Print data as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Subcommand)]
pub enum Verb {
    /// Write a platform file from a compose file, with the reason beside each choice
    Init(init::Args),
    /// Check that this machine has what Mainstay needs
    #[command(after_help = "Example:\n  mainstay doctor")]
    Doctor,
    /// Show the platform file as it is understood, or its schema
    Config(config::Args),
    /// Show what `up` would do, and why
    Plan(plan::Args),
    /// Bring the platform to what its files say
    Up(up::Args),
    /// Put a new release of one or more services into service
    Deploy(deploy::Args),
    /// Look after releases that take a share of the requests
    Canary(canary::Args),
    /// Go back to an earlier release
    Rollback(rollback::Args),
    /// Change how many copies of a service run, without a new release
    Scale(scale::Args),
    /// List releases
    Releases(releases::Args),
    /// Replace a service's container by a new one of the same release
    Restart(restart::Args),
    /// Deploy what serves in one environment to another
    Promote(promote::Args),
    /// Show what was changed by hand
    Drift(drift::Args),
    /// Show what differs between releases, or between the files and what serves
    Diff(diff::Args),
    /// Let nothing be changed until it is resumed; traffic goes on
    Pause(standing::Pause),
    /// Let changes happen again
    Resume(standing::Resume),
    /// Refuse every change, with a message
    Lock(standing::Lock),
    /// Take the lock off
    Unlock(standing::Unlock),
    /// Answer every public route with a page, or stop doing so
    Maintenance(maintenance::Args),
    /// Clear away what Mainstay made and nobody needs
    Prune(prune::Args),
    /// Show what has happened
    Events(events::Args),
    /// Follow an operation that is under way
    Follow(follow::Args),
    /// Show what runs
    Status(status::Args),
    /// Watch requests, latencies and targets live, as the edge sees them
    Top(top::Args),
    /// Show the services' logs
    Logs(logs::Args),
    /// Run a command in a service's container
    Exec(exec::Args),
    /// Take the platform away; data stays unless asked
    Down(down::Args),
    /// Give the platform to plain Docker Compose, with its data
    ReleaseToCompose(release_to_compose::Args),
    /// Print shell completions
    Completion(completion::Args),
    /// Replace the running edge by this program; traffic goes on
    #[command(after_help = "Example:\n  mainstay upgrade")]
    Upgrade,
    /// Set a damaged ledger aside and build another from the containers and the edge
    Rebuild(rebuild::Args),
    /// Stop agent and edge on this machine
    #[command(after_help = "Example:\n  mainstay stop")]
    Stop,
    /// Run the control plane (started for you)
    #[command(hide = true)]
    Agent,
    /// Run the data plane (started for you)
    #[command(hide = true)]
    Edge(crate::edge_process::Args),
    /// Keep agent and edge running where no systemd does (started for you)
    #[command(hide = true)]
    Supervise,
}

/// What every verb gets.
pub struct Context {
    pub layout: Layout,
    pub global: Global,
}

/// The edge uses every core; the rest is mostly waiting.
pub fn runtime(cli: &Cli) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if !matches!(cli.verb, Verb::Edge(_)) {
        builder.worker_threads(2);
    }
    builder.enable_all().build()
}

pub async fn run(cli: Cli) -> Result<u8, Failure> {
    let context = Context { layout: Layout::new(&absolute(&cli.global.root)?), global: cli.global };
    match cli.verb {
        Verb::Init(args) => init::run(&context, args).await,
        Verb::Doctor => doctor::run(&context).await,
        Verb::Config(args) => config::run(&context, args).await,
        Verb::Plan(args) => plan::run(&context, args).await,
        Verb::Up(args) => up::run(&context, args).await,
        Verb::Deploy(args) => deploy::run(&context, args).await,
        Verb::Canary(args) => canary::run(&context, args).await,
        Verb::Rollback(args) => rollback::run(&context, args).await,
        Verb::Scale(args) => scale::run(&context, args).await,
        Verb::Releases(args) => releases::run(&context, args).await,
        Verb::Restart(args) => restart::run(&context, args).await,
        Verb::Promote(args) => promote::run(&context, args).await,
        Verb::Drift(args) => drift::run(&context, args).await,
        Verb::Diff(args) => diff::run(&context, args).await,
        Verb::Pause(args) => standing::pause(&context, args).await,
        Verb::Resume(args) => standing::resume(&context, args).await,
        Verb::Lock(args) => standing::lock(&context, args).await,
        Verb::Unlock(args) => standing::unlock(&context, args).await,
        Verb::Maintenance(args) => maintenance::run(&context, args).await,
        Verb::Prune(args) => prune::run(&context, args).await,
        Verb::Events(args) => events::run(&context, args).await,
        Verb::Follow(args) => follow::run(&context, args).await,
        Verb::Status(args) => status::run(&context, args).await,
        Verb::Top(args) => top::run(&context, args).await,
        Verb::Logs(args) => logs::run(&context, args).await,
        Verb::Exec(args) => exec::run(&context, args).await,
        Verb::Down(args) => down::run(&context, args).await,
        Verb::ReleaseToCompose(args) => release_to_compose::run(&context, args).await,
        Verb::Completion(args) => completion::run(args),
        Verb::Upgrade => upgrade::run(&context).await,
        Verb::Rebuild(args) => rebuild::run(&context, args).await,
        Verb::Stop => processes::stop(&context).await,
        Verb::Agent => logged(crate::agent::run(&context.layout)).await,
        Verb::Edge(args) => logged(crate::edge_process::run(&context.layout, &args)).await,
        Verb::Supervise => logged(processes::supervise(&context)).await,
    }
}

/// The long-running processes write a log.
async fn logged(work: impl Future<Output = Result<u8, Failure>>) -> Result<u8, Failure> {
    let filter = tracing_subscriber::EnvFilter::try_from_env("MAINSTAY_LOG").unwrap_or_else(|_| "info".into());
    // Where the log cannot be written it is done without: telling so on the same stream would end the work.
    let log = tracing_subscriber::fmt().log_internal_errors(false);
    log.with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    work.await
}

/// As a person writes it: a folder that is reached through a link keeps the link's name, whether by `cd` or by `-C`.
pub fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    let here = std::env::current_dir().map_err(crate::errors::failed("find the folder"))?;
    let shells = std::env::var_os("PWD").map(PathBuf::from);
    let shells = shells.filter(|shells| shells.is_absolute() && same_folder(shells, &here));
    Ok(without_dots(&shells.unwrap_or(here).join(path)))
}

/// `..` is left out only where that leads to the same folder: behind a link it does not.
fn without_dots(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => match out.parent() {
                Some(parent) if same_folder(&out.join(".."), parent) => out = parent.to_owned(),
                _ => out.push(part),
            },
            other => out.push(other),
        }
    }
    out
}

pub use processes::{binary, binary_stamp, stamp_of};
pub use prune::size;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_behind_a_link_keeps_its_name_and_dots_lead_where_they_do() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        std::fs::create_dir_all(dir.join("releases/1/sub")).unwrap();
        std::fs::create_dir(dir.join("tools")).unwrap();
        std::os::unix::fs::symlink("releases/1", dir.join("current")).unwrap();
        assert_eq!(without_dots(&dir.join("tools/../current")), dir.join("current"));
        assert_eq!(without_dots(&dir.join("tools/./../current/")), dir.join("current"));
        // Behind the link `..` is `releases`, not the folder of the link.
        assert_eq!(without_dots(&dir.join("current/..")), dir.join("current/.."));
        assert_eq!(without_dots(&dir.join("current/sub/..")), dir.join("current"));
    }
}
