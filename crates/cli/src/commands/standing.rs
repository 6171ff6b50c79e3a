//! `pause`, `resume`, `lock`, `unlock`: standing orders.

use super::{Context, processes, target};
use crate::errors::Failure;
use crate::show;
use deploy::Ending;
use deploy::standing::{Kind, Request, Standing};

#[derive(clap::Args)]
#[command(after_help = "Examples:
  mainstay pause -m \"database work until noon\"
  mainstay pause -e staging --yes

Until `mainstay resume` nothing is deployed, rolled back, restarted or tidied away; traffic goes on.
Whoever tries is told who paused it, since when and why, and gets exit code 4.")]
pub struct Pause {
    /// Why, for whoever meets it
    #[arg(short = 'm', long = "message", default_value = "", value_name = "TEXT")]
    why: String,
    /// Do not ask
    #[arg(short = 'y', long)]
    yes: bool,
}

#[derive(clap::Args)]
#[command(after_help = "Example:
  mainstay resume -m \"done\" --yes")]
pub struct Resume {
    /// Why, for the record
    #[arg(short = 'm', long = "message", default_value = "", value_name = "TEXT")]
    why: String,
    /// Do not ask
    #[arg(short = 'y', long)]
    yes: bool,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:
  mainstay lock -m \"release freeze\"
  mainstay lock -m \"I am looking into r12\" --yes

Until `mainstay unlock` every change is refused with exit code 4 and this message; the reconciler goes on.")]
pub struct Lock {
    /// Why, for whoever meets it
    #[arg(short = 'm', long = "message", required = true, value_name = "TEXT")]
    why: String,
    /// Do not ask
    #[arg(short = 'y', long)]
    yes: bool,
}

#[derive(clap::Args)]
#[command(after_help = "Example:
  mainstay unlock --yes")]
pub struct Unlock {
    /// Why, for the record
    #[arg(short = 'm', long = "message", default_value = "", value_name = "TEXT")]
    why: String,
    /// Do not ask
    #[arg(short = 'y', long)]
    yes: bool,
}

pub async fn pause(context: &Context, args: Pause) -> Result<u8, Failure> {
    order(context, Kind::Pause, true, args.why, args.yes).await
}

pub async fn resume(context: &Context, args: Resume) -> Result<u8, Failure> {
    order(context, Kind::Pause, false, args.why, args.yes).await
}

pub async fn lock(context: &Context, args: Lock) -> Result<u8, Failure> {
    order(context, Kind::Lock, true, args.why, args.yes).await
}

pub async fn unlock(context: &Context, args: Unlock) -> Result<u8, Failure> {
    order(context, Kind::Lock, false, args.why, args.yes).await
}

async fn order(context: &Context, kind: Kind, on: bool, why: String, yes: bool) -> Result<u8, Failure> {
    let client = processes::ensure(context).await?;
    let target = target::target(context, &client).await?;
    let scope = &target.scope;
    eprintln!("{}", plan(kind, on, scope));
    if !show::ask::is_given(context, &target, yes)? && !show::ask::consent(&target, "Go on?")? {
        return Ok(Ending::Refused.exit_code());
    }
    let request = Request { scope: scope.clone(), kind, on, by: target::who(), why };
    let standing: Standing = client.post("/v1/standing", &request).await?;
    match context.global.json {
        true => println!("{}", show::json(&standing)),
        false if on => eprintln!("{scope} is {}; `mainstay {}` ends it.", kind.word(), kind.end()),
        false => eprintln!("{scope} is no longer {}.", kind.word()),
    }
    Ok(0)
}

fn plan(kind: Kind, on: bool, scope: &deploy::Scope) -> String {
    match (kind, on) {
        (Kind::Pause, true) => {
            format!("~ {scope}: no deploy, rollback, restart or tidying until it is resumed; traffic goes on")
        }
        (Kind::Lock, true) => format!("~ {scope}: every change is refused until it is unlocked; traffic goes on"),
        (kind, false) => format!("~ {scope}: is no longer {}", kind.word()),
    }
}
