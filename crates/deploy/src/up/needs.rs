//! `depends_on` with `service_healthy`, where what is needed runs already: it has to be healthy now, as in Compose.
//! What is started by the same operation has passed its gate before.

use std::time::Duration;

use machine::docker::Health as HealthState;
use spec::ServiceName;
use spec::compose::Condition;

use super::Work;
use super::reports::{not_reached, still};
use crate::draft::Draft;
use crate::error::{DeployError, Ending};
use crate::health::{self, Wording};
use crate::plan::{Action, Change};
use crate::release::Release;
use crate::report::{Failure, Outcome, ServiceReport, Traffic};
use crate::world::World;

const PAUSE: Duration = Duration::from_millis(500);

/// Why a service is not begun: one that it needs healthy is not, or does not become so within its time.
pub async fn missing(world: &World, draft: &Draft, change: &Change) -> Result<Option<Failure>, DeployError> {
    let Some(written) = draft.loaded.project.services.get(&change.service) else { return Ok(None) };
    for (needed, condition) in &written.depends_on {
        let is_changed = draft.plan.changes.iter().any(|other| {
            other.service == *needed && !matches!(other.action, Action::Nothing | Action::Hold | Action::Remove)
        });
        if *condition != Condition::Healthy || is_changed || written.optional.contains(needed) {
            continue;
        }
        if let Some(release) = draft.serving.get(needed)
            && let Some(why) = wait(world, &change.service, release).await?
        {
            let cause = format!("`{needed}`, which it needs healthy (`depends_on`), is not: {why}");
            return Ok(Some(Failure {
                step: "needs".to_owned(),
                cause,
                logs: health::last_lines(world, release, &release.container, 5).await,
                kept: None,
                ending: Ending::Failed,
                traffic: change.from.as_ref().map_or(Traffic::Unsaid, |_| Traffic::Stayed),
            }));
        }
    }
    Ok(None)
}

/// Waits for what is still starting, for as long as a release of it may take.
async fn wait(world: &World, service: &ServiceName, release: &Release) -> Result<Option<String>, DeployError> {
    // The platform file has put another check in the place of the declared one.
    if !health::counts_dockers(&release.plan.health) {
        return Ok(None);
    }
    let (began, mut told) = (world.clock.monotonic(), false);
    for container in release.containers() {
        while let Some(why) = not_yet(world, release, &container).await? {
            let is_over = world.clock.monotonic().saturating_sub(began) >= release.plan.health.budget;
            if why.is_final || is_over || world.abort.is_requested() {
                return Ok(Some(why.text));
            }
            if !std::mem::replace(&mut told, true) {
                world.talk.say(Some(service), format!("waits for `{}` to be healthy: {}", release.service, why.text));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(None)
}

impl Work<'_> {
    /// Where one of several that go together lacks what it needs, none is begun.
    pub(super) async fn needs_missing(&self) -> Result<Option<Vec<ServiceReport>>, DeployError> {
        let changes = self.draft.plan.changes.iter().filter(|change| change.action != Action::Start);
        let begins = |change: &&Change| matches!(change.action, Action::Create | Action::Update);
        for change in changes.clone().filter(begins) {
            if let Some(failure) = missing(self.world, self.draft, change).await? {
                let refused = still(self.draft, change, Outcome::Failed(failure));
                let others = changes.filter(|other| other.service != change.service).map(not_reached);
                return Ok(Some(std::iter::once(refused).chain(others).collect()));
            }
        }
        Ok(None)
    }
}

struct NotYet {
    text: String,
    is_final: bool,
}

/// Docker's first look may be far away, so where it has none yet its check is run here, as the gate does.
async fn not_yet(world: &World, release: &Release, container: &str) -> Result<Option<NotYet>, DeployError> {
    let Some(detail) = health::inspect(world, container).await? else { return Ok(None) };
    let wording = || Wording::of(world, release, &detail);
    match (detail.health, &detail.health_check) {
        (Some(HealthState::Unhealthy), _) => Ok(Some(NotYet { text: wording().unhealthy(&detail), is_final: true })),
        (Some(HealthState::Starting), Some(check)) => {
            let probe = world.docker.probe(&detail.id, &check.words(), check.timeout).await;
            Ok(match probe {
                Ok(probe) if probe.exit_code == Some(0) => None,
                Ok(probe) => Some(NotYet { text: wording().outcome(Some(check), &probe), is_final: false }),
                Err(error) => Some(NotYet { text: error.to_string(), is_final: false }),
            })
        }
        _ => Ok(None),
    }
}
