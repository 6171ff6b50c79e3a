//! A declared health check, run as Docker runs it, only sooner and more often.
//!
//! The gate runs the command itself, by the engine's `exec`: in the container, with its user, folder, variables and
//! shell, and with the time that it declares. Docker's own verdict counts beside that. Its first run comes only after
//! the interval (30 s where nothing is said), so waiting for it alone would make every deploy slow; to ask the URL in
//! the command from outside instead would be another check, in which headers, pipes and exit codes are lost.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use machine::docker::{ContainerDetail, DockerResult, Health as HealthState, HealthCheck, Probe};

use super::Look;
use super::wording::Wording;
use crate::world::World;

/// How long a look waits for a run, so that what else becomes of the container is seen meanwhile.
const GLANCE: Duration = Duration::from_millis(200);
/// A command that takes long rests at least as long afterwards, but not longer than this.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// The runs of one container's check, never two at once.
#[derive(Default)]
pub(super) struct Declared {
    running: Option<Run>,
    not_before: Duration,
    last: Option<String>,
}

struct Run {
    check: HealthCheck,
    began: Duration,
    result: BoxFuture<'static, DockerResult<Probe>>,
    ended: Option<DockerResult<Probe>>,
}

impl Declared {
    /// What the check says now.
    pub(super) async fn look(&mut self, world: &World, detail: &ContainerDetail, wording: &Wording) -> Look {
        match (&detail.health_check, detail.health) {
            (_, Some(HealthState::Healthy)) => return Look::Proved,
            (_, Some(HealthState::Unhealthy)) => return Look::NotYet(wording.unhealthy(detail)),
            (None, Some(HealthState::Starting)) => {
                return Look::NotYet("its own health check is still starting".into());
            }
            (None, None) => return Look::NotYet("it has no health check of its own".into()),
            (Some(check), _) if self.running.is_none() && world.clock.monotonic() >= self.not_before => {
                self.running = Some(Run::of(world, detail, check));
            }
            (Some(_), _) => {}
        }
        self.pause(GLANCE).await;
        let now = world.clock.monotonic();
        match self.running.take() {
            Some(Run { ended: Some(result), check, began, .. }) => {
                self.not_before = now + now.saturating_sub(began).min(LONGEST_REST);
                match result {
                    Ok(probe) if probe.exit_code == Some(0) => {
                        self.not_before = Duration::ZERO;
                        return Look::Good;
                    }
                    Ok(probe) => self.last = Some(wording.outcome(Some(&check), &probe)),
                    Err(error) => self.last = Some(format!("its health check did not run: {error}")),
                }
            }
            Some(run) => {
                let since = now.saturating_sub(run.began);
                if since >= Duration::from_secs(1) || self.last.is_none() {
                    self.last = Some(wording.running(&run.check, since));
                }
                self.running = Some(run);
            }
            None => {}
        }
        Look::NotYet(self.last.clone().unwrap_or_default())
    }

    /// Waits so long, or until the run that is under way has ended.
    pub(super) async fn pause(&mut self, time: Duration) {
        match &mut self.running {
            Some(run) if run.ended.is_none() => {
                if let Ok(result) = tokio::time::timeout(time, &mut run.result).await {
                    run.ended = Some(result);
                }
            }
            Some(_) => {}
            None => tokio::time::sleep(time).await,
        }
    }
}

impl Run {
    fn of(world: &World, detail: &ContainerDetail, check: &HealthCheck) -> Run {
        Run { began: world.clock.monotonic(), result: run(world, detail, check), check: check.clone(), ended: None }
    }
}

/// One run, which needs nobody to hold on to anything.
pub(super) fn run(
    world: &World,
    detail: &ContainerDetail,
    check: &HealthCheck,
) -> BoxFuture<'static, DockerResult<Probe>> {
    let (docker, id) = (world.docker.clone(), detail.id.clone());
    let (words, timeout) = (check.words(), check.timeout);
    async move { docker.probe(&id, &words, timeout).await }.boxed()
}
