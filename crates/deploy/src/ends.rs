//! Ends: what a container without a restart policy has come to, and who brings back what went down with its engine.
//!
//! As Compose means it, an end is the end where nothing says `restart`: with 0 it is one well done, with another code
//! one badly done, and neither is started again. But what runs comes back after the machine or its engine has, and
//! Docker does that only where a policy tells it to; for everything else the agent does. So it must know which end
//! was a container's own: it writes each of those down, and whatever else does not run is started.

mod watch;

use machine::docker::{Container, ContainerDetail, State as ContainerState};
use serde::{Deserialize, Serialize};
use serde_json::json;
use spec::Strategy;

use crate::error::DeployError;
use crate::keeping;
use crate::names;
use crate::release::Release;
use crate::world::World;

pub use watch::{Gone, Watch, follow_engine};

const END: &str = "end";
const BOOT: &str = "boot";
const MACHINE: &str = "machine";

/// An end that was the container's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct End {
    container: String,
    finished_ms: i64,
    code: i64,
}

/// The code with which a container has ended, where Docker leaves it at that. One whose policy starts it again after
/// every end and that lies still all the same was stopped by somebody.
pub fn code(detail: &ContainerDetail) -> Option<i64> {
    use machine::docker::Restart;
    let is_over = matches!(detail.state, ContainerState::Exited | ContainerState::Dead);
    let stays = matches!(detail.restart, Restart::No | Restart::OnFailure(_));
    detail.exit_code.filter(|_| is_over && stays)
}

/// What is wrong with a container that lies still; `None` for one that has done its work. That is none which traffic
/// would be switched on: who ends there is missed.
pub fn trouble(release: &Release, detail: &ContainerDetail) -> Option<String> {
    match code(detail) {
        // A database has no work that could be done.
        Some(0) if release.plan.port.is_none() && !is_kept_database(release) => None,
        Some(0) | None => Some(format!("its container is {}", format!("{:?}", detail.state).to_lowercase())),
        Some(code) => Some(format!("it ended with code {code}")),
    }
}

fn is_kept_database(release: &Release) -> bool {
    release.plan.strategy == Strategy::Keep && release.plan.database.is_some()
}

/// How an end is told, in a list of states.
pub fn word(detail: &ContainerDetail) -> Option<String> {
    code(detail).map(|code| match code {
        0 => "ended (exit 0)".to_owned(),
        code => format!("failed (exit {code})"),
    })
}

/// Whether every copy has ended well and lies still.
pub async fn is_over(world: &World, release: &Release) -> Result<bool, DeployError> {
    for container in release.containers() {
        let detail = crate::health::inspect(world, &container).await?;
        if detail.as_ref().and_then(code) != Some(0) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The container, where it lies still.
pub async fn still(world: &World, container: Option<&Container>) -> Result<Option<ContainerDetail>, DeployError> {
    match container.filter(|one| matches!(one.state, ContainerState::Exited | ContainerState::Dead)) {
        Some(container) => crate::health::inspect(world, &container.id).await,
        None => Ok(None),
    }
}

/// How long an end is looked at before it counts as the container's own: an engine that goes down ends them first.
const SETTLED_MS: i64 = 3_000;
/// An engine that is told to end gives its containers so long before it does.
const LAST_MOMENTS_MS: i64 = 15_000;
/// An engine that comes back writes down what it has lost before it answers, by a clock of its own.
const FIRST_MOMENTS_MS: i64 = 1_000;

/// What is known around an end.
#[derive(Debug, Clone, Copy)]
struct Around {
    now_ms: i64,
    /// Since when Docker has answered without a break.
    answering_since_ms: i64,
    gone: Option<Gone>,
    /// The machine has booted since anybody looked before.
    booted: bool,
    /// Traffic is switched on this container.
    is_called: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Its own; it is written down and left alone.
    Own,
    NotYet,
    /// It went down with this, and is started again.
    WentWith(&'static str),
}

const ENGINE: &str = "the engine went away";
const REBOOT: &str = "the machine was restarted";
const UNSEEN: &str = "it ended unseen, as if it had been stopped";

fn verdict(finished_ms: i64, code: i64, around: Around) -> Verdict {
    if around.gone.is_some_and(|gone| gone.covers(finished_ms)) {
        return Verdict::WentWith(ENGINE);
    }
    if finished_ms >= around.answering_since_ms {
        return if around.now_ms - finished_ms < SETTLED_MS { Verdict::NotYet } else { Verdict::Own };
    }
    // Nobody looked. What is called is wanted back, and so is what died of a signal.
    match around.booted {
        true => Verdict::WentWith(REBOOT),
        false if around.is_called || DIED_OF_SIGNALS.contains(&code) => Verdict::WentWith(UNSEEN),
        false => Verdict::Own,
    }
}

/// SIGKILL, SIGTERM, and what Docker says of one that was lost.
const DIED_OF_SIGNALS: [i64; 3] = [137, 143, 255];

impl Gone {
    pub(crate) fn covers(self, finished_ms: i64) -> bool {
        (self.from_ms - LAST_MOMENTS_MS..=self.to_ms + FIRST_MOMENTS_MS).contains(&finished_ms)
    }
}

/// One look at everything that serves and lies still. Answers what was started again, in words for the log.
/// `boot` tells one life of the machine from another.
pub async fn follow(world: &World, watch: &Watch, boot: &str) -> Result<Vec<String>, DeployError> {
    let Some((answering_since_ms, gone)) = watch.seen() else { return Ok(Vec::new()) };
    let known: Option<String> = world.ledger.get_record(BOOT, MACHINE).map_err(ledger("read the machine's life"))?;
    let booted = watch.booted(known.is_some_and(|known| known != boot));
    let serving = world.all_serving()?;
    forget(world, &serving)?;
    let mut started = Vec::new();
    let mut skipped = false;
    for release in serving.iter().filter(|release| release.plan.strategy != Strategy::Job) {
        if is_in_work(world, release)? {
            skipped = true;
            continue;
        }
        for container in release.containers() {
            let detail = crate::health::inspect(world, &container).await?;
            let Some((detail, code)) = detail.and_then(|detail| code(&detail).map(|code| (detail, code))) else {
                continue;
            };
            // What somebody stopped on purpose, and what is started again as it was, is another's matter.
            if release.plan.strategy == Strategy::Keep
                && (trouble(release, &detail).is_some() || keeping::by_hand(world, release, &detail, gone)?.is_some())
            {
                continue;
            }
            let end = End { container: detail.id.clone(), finished_ms: detail.finished_ms.unwrap_or_default(), code };
            let key = key(release, &container);
            let own: Option<End> = world.ledger.get_record(END, &key).map_err(ledger("read an end"))?;
            if own.as_ref() == Some(&end) {
                continue;
            }
            let is_called = release.plan.port.is_some();
            let now_ms = world.clock.now_ms();
            match verdict(end.finished_ms, code, Around { now_ms, answering_since_ms, gone, booted, is_called }) {
                Verdict::NotYet => skipped = true,
                Verdict::Own => {
                    world.ledger.put_record(END, &key, &end).map_err(ledger("write an end down"))?;
                    tell(world, release, "release.ended", json!({ "container": container, "code": code }))?;
                }
                // Asked once more: an operation may have begun since.
                Verdict::WentWith(_) if is_in_work(world, release)? => skipped = true,
                Verdict::WentWith(why) => {
                    let failed = |source| DeployError::Docker {
                        operation: format!("start container `{container}` again, because {why}"),
                        source,
                    };
                    world.docker.start(&detail.id).await.map_err(failed)?;
                    tell(world, release, "release.started-again", json!({ "container": container, "because": why }))?;
                    started.push(format!("{container}: {why}"));
                }
            }
        }
    }
    if !skipped {
        let written = world.ledger.put_record(BOOT, MACHINE, &boot);
        written.map_err(ledger("write down the machine's life"))?;
    }
    Ok(started)
}

/// Somebody changes it or has said that it is to be left as it is.
pub(crate) fn is_in_work(world: &World, release: &Release) -> Result<bool, DeployError> {
    let held = world.ledger.holder(&release.scope.lease()).map_err(ledger("look at the lock"))?;
    Ok(held.is_some() || release.making_way_for.is_some() || world.is_paused(&release.scope)?)
}

fn key(release: &Release, container: &str) -> String {
    format!("{}/{container}", release.key())
}

/// Ends of what does not serve any more are of no more use.
fn forget(world: &World, serving: &[Release]) -> Result<(), DeployError> {
    let ends = world.ledger.list_records::<End>(END, "").map_err(ledger("list the ends"))?;
    let is_of = |name: &str, release: &Release| {
        name.strip_prefix(&format!("{}/", release.key())).is_some_and(|name| names::is_copy(&release.container, name))
    };
    for (name, _) in ends.iter().filter(|(name, _)| !serving.iter().any(|release| is_of(name, release))) {
        world.ledger.delete_record(END, name).map_err(ledger("forget an end"))?;
    }
    Ok(())
}

pub(crate) fn tell(world: &World, release: &Release, kind: &str, data: serde_json::Value) -> Result<(), DeployError> {
    let event = ledger::NewEvent {
        kind: kind.to_owned(),
        platform: release.scope.platform.clone(),
        environment: release.scope.environment.clone(),
        service: Some(release.service.clone()),
        saga: None,
        data,
    };
    world.ledger.append_event(event).map(drop).map_err(ledger("tell of an end"))
}

fn ledger(operation: &'static str) -> impl Fn(ledger::LedgerError) -> DeployError {
    move |source| DeployError::Ledger { operation, source }
}

#[cfg(test)]
mod tests;
