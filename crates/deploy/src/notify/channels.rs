//! The ways out there are now: a program on this machine, and a web address that takes JSON.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use machine::process::Command;
use spec::platform::NotificationSettings;

use super::{Channel, Notice};
use crate::world::World;

/// How long one attempt may take when the file says nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// POSTs the notice as JSON.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The address itself, or the file that holds it: an address often is a secret.
    pub address: Address,
    pub timeout: Duration,
}

#[derive(Debug, Clone)]
pub enum Address {
    Written(String),
    InFile(PathBuf),
}

/// Runs a program with the notice on its input.
#[derive(Debug, Clone)]
pub struct Program {
    pub command: Vec<String>,
    pub dir: PathBuf,
    pub timeout: Duration,
}

#[async_trait]
impl Channel for Webhook {
    fn name(&self) -> String {
        match &self.address {
            // The path of such an address is what makes it secret.
            Address::Written(url) => format!("webhook {}", host(url)),
            Address::InFile(path) => format!("webhook of {}", path.display()),
        }
    }

    async fn send(&self, _: &World, notice: &Notice) -> Result<(), String> {
        let url = match &self.address {
            Address::Written(url) => url.clone(),
            Address::InFile(path) => {
                let text = std::fs::read_to_string(path);
                text.map_err(|error| format!("could not read `{}`: {error}", path.display()))?.trim().to_owned()
            }
        };
        let body = serde_json::to_vec(notice).map_err(|error| error.to_string())?;
        let status = machine::net::post_json(&url, body, self.timeout).await.map_err(|error| chain(&error))?;
        match status {
            200..=299 => Ok(()),
            status => Err(format!("{} answered {status}", host(&url))),
        }
    }
}

#[async_trait]
impl Channel for Program {
    fn name(&self) -> String {
        format!("command {}", self.command.first().map_or("", String::as_str))
    }

    async fn send(&self, world: &World, notice: &Notice) -> Result<(), String> {
        let mut words = self.command.iter();
        let program = words.next().cloned().unwrap_or_default();
        let services = notice.services.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let variables = [
            ("MAINSTAY_NOTICE", notice.kind.to_string()),
            ("MAINSTAY_PLATFORM", notice.platform.to_string()),
            ("MAINSTAY_ENVIRONMENT", notice.environment.to_string()),
            ("MAINSTAY_OPERATION", notice.operation.clone().unwrap_or_default()),
            ("MAINSTAY_SERVICES", services),
            ("MAINSTAY_BY", notice.by.clone()),
            ("MAINSTAY_TEXT", notice.text.clone()),
        ];
        let body = serde_json::to_vec(notice).map_err(|error| error.to_string())?;
        let command = Command::new(program).args(words.cloned()).dir(&self.dir).stdin(body).timeout(self.timeout);
        let command = variables.into_iter().fold(command, |command, (name, value)| command.env(name, value));
        let output = world.processes.run(&world.dress(command)).await.map_err(|error| chain(&error))?;
        match output.status {
            0 => Ok(()),
            status => {
                let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                Err(format!("status {status}: {said}"))
            }
        }
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// The channels that the platform file names for this kind of notice.
pub(super) fn of(notice: &Notice) -> Vec<Box<dyn Channel>> {
    let Some(file) = super::file(notice) else { return Vec::new() };
    let wanted = |one: &&NotificationSettings| one.on.as_ref().is_none_or(|kinds| kinds.contains(&notice.kind));
    file.notifications.iter().filter(wanted).filter_map(|one| channel(one, &notice.dir)).collect()
}

fn channel(settings: &NotificationSettings, dir: &Path) -> Option<Box<dyn Channel>> {
    let timeout = settings.timeout.unwrap_or(PATIENCE);
    if let Some(command) = &settings.command {
        return Some(Box::new(Program { command: command.clone(), dir: dir.to_owned(), timeout }));
    }
    let written = settings.webhook.clone().map(Address::Written);
    let address = written.or_else(|| settings.webhook_file.as_ref().map(|file| Address::InFile(dir.join(file))))?;
    Some(Box::new(Webhook { address, timeout }))
}

/// `hooks.example.com` of an address; nothing of its path.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_called_by_the_host_alone() {
        let written = |url: &str| Webhook { address: Address::Written(url.into()), timeout: PATIENCE }.name();
        assert_eq!(written("https://me:pw@hooks.example.com/T0/secret?x"), "webhook hooks.example.com");
    }
}
