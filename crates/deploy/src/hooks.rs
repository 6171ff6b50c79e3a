//! The platform's own commands around the work.
//!
//! One before the work can stop it; one after it only has its trouble told, since what was done is done.
//! Each gets `MAINSTAY_HOOK`, `MAINSTAY_PLATFORM`, `MAINSTAY_ENVIRONMENT`, `MAINSTAY_SERVICES` and `MAINSTAY_BY`.

use std::path::Path;

use machine::process::Command;
use spec::HookJob;

use crate::error::DeployError;
use crate::names::Scope;
use crate::world::World;

/// What a hook is told about.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    pub scope: &'a Scope,
    pub dir: &'a Path,
    /// Names of the services that change, separated by spaces.
    pub services: &'a str,
    pub by: &'a str,
}

/// The last lines of a hook that are told.
const LAST_LINES: usize = 5;

/// Runs them one after the other and stops at the first that fails.
pub async fn before(world: &World, about: About<'_>, name: &str, hooks: &[HookJob]) -> Result<(), DeployError> {
    for hook in hooks {
        run(world, about, name, hook).await?;
    }
    Ok(())
}

/// Runs them all; a failure is told and changes nothing.
pub async fn after(world: &World, about: About<'_>, name: &str, hooks: &[HookJob]) {
    for hook in hooks {
        if let Err(error) = run(world, about, name, hook).await {
            world.talk.say(None, format!("warning: {error}"));
        }
    }
}

async fn run(world: &World, about: About<'_>, name: &str, hook: &HookJob) -> Result<(), DeployError> {
    let words = hook.job.command.join(" ");
    world.talk.say(hook.service.as_ref(), format!("hook {name}: {words}"));
    let failed = |said: String| DeployError::Hook { hook: name.to_owned(), command: words.clone(), said };
    let command = command(world, about, name, hook).await?.timeout(hook.job.timeout);
    let output = world.processes.run(&world.dress(command)).await.map_err(|error| failed(error.to_string()))?;
    match output.status {
        0 => Ok(()),
        status => {
            let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
            let last = lines[lines.len().saturating_sub(LAST_LINES)..].join(" / ");
            Err(failed(format!("status {status}: {last}")))
        }
    }
}

async fn command(world: &World, about: About<'_>, name: &str, hook: &HookJob) -> Result<Command, DeployError> {
    if let Some(service) = &hook.service {
        let Some(release) = world.serving_of(about.scope, service)? else {
            let said = format!("service `{service}` does not run");
            return Err(DeployError::Hook { hook: name.to_owned(), command: hook.job.command.join(" "), said });
        };
        return Ok(machine::compose::docker_exec(&release.container, &hook.job.command));
    }
    let mut words = hook.job.command.iter();
    let program = words.next().cloned().unwrap_or_default();
    let environment = [
        ("MAINSTAY_HOOK", name),
        ("MAINSTAY_PLATFORM", about.scope.platform.as_ref()),
        ("MAINSTAY_ENVIRONMENT", about.scope.environment.as_ref()),
        ("MAINSTAY_SERVICES", about.services),
        ("MAINSTAY_BY", about.by),
    ];
    let command = Command::new(program).args(words.cloned()).dir(about.dir);
    Ok(environment.into_iter().fold(command, |command, (key, value)| command.env(key, value)))
}
