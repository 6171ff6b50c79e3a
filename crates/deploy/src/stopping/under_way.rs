//! A stop that was begun and whose end nobody has seen: its agent died, or another task of this one waits for it.

use std::time::Duration;

use machine::docker::ContainerDetail;
use serde::{Deserialize, Serialize};
use spec::ServiceName;

use super::{look, may_run};
use crate::error::DeployError;
use crate::world::World;

/// Stops that were begun, by the container's id.
const STOPPING: &str = "stopping";
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Docker needs some time of its own after the grace, to kill and to say so.
const AFTER_THE_GRACE: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Begun {
    at_ms: i64,
    grace_ms: u64,
}

/// Notes that the container is told to stop now, and until when Docker waits for it.
pub(super) fn note(world: &World, id: &str, grace: Duration) {
    let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    let begun = Begun { at_ms: world.clock.now_ms(), grace_ms };
    // What has to stop stops, even if that cannot be noted.
    if let Err(error) = world.ledger.put_record(STOPPING, id, &begun) {
        tracing::warn!("could not note that container {id} is being stopped: {error}");
    }
}

pub(super) fn forget(world: &World, id: &str) {
    if let Err(error) = world.ledger.delete_record(STOPPING, id) {
        tracing::warn!("could not note that container {id} has been stopped: {error}");
    }
}

/// Waits for a stop that is under way to end. Answers the container where it runs all the same: it was never told to
/// stop in this life, or its stop has gone with the engine.
pub(super) async fn wait(
    world: &World,
    service: Option<&ServiceName>,
    detail: ContainerDetail,
) -> Result<Option<ContainerDetail>, DeployError> {
    let failed = |source| DeployError::Ledger { operation: "look for a stop that was begun", source };
    let begun: Option<Begun> = world.ledger.get_record(STOPPING, &detail.id).map_err(failed)?;
    let Some(left) = begun.and_then(|begun| left(begun, detail.started_ms, world.clock.now_ms())) else {
        return Ok(Some(detail));
    };
    world.talk.say(service, format!("waits for {}, which was told to stop before", detail.name));
    let (began, started_ms) = (world.clock.monotonic(), detail.started_ms);
    loop {
        let now = look(world, &detail.id).await?.filter(may_run);
        let is_same_life = now.as_ref().is_some_and(|now| now.started_ms == started_ms);
        if !is_same_life || world.clock.monotonic().saturating_sub(began) >= left {
            forget(world, &detail.id);
            return Ok(now);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// How long such a stop may still take; `None` where it was over before the container started again, or long ago.
fn left(begun: Begun, started_ms: Option<i64>, now_ms: i64) -> Option<Duration> {
    let whole = Duration::from_millis(begun.grace_ms).saturating_add(AFTER_THE_GRACE);
    // A clock that was set back makes it no longer than the whole.
    let gone = Duration::from_millis(u64::try_from(now_ms - begun.at_ms).unwrap_or_default());
    let left = whole.saturating_sub(gone);
    (started_ms.is_some_and(|started_ms| started_ms <= begun.at_ms) && !left.is_zero()).then_some(left)
}

/// What is noted of containers that are gone is of no more use.
pub(crate) fn sweep(world: &World, exists: impl Fn(&str) -> bool) -> Result<(), DeployError> {
    let failed = |source| DeployError::Ledger { operation: "forget stops that are over", source };
    for (id, _) in world.ledger.list_records::<Begun>(STOPPING, "").map_err(failed)? {
        if !exists(&id) {
            world.ledger.delete_record(STOPPING, &id).map_err(failed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_that_was_begun_in_this_life_is_waited_for_until_docker_has_killed() {
        let begun = Begun { at_ms: 10_000, grace_ms: 30_000 };
        assert_eq!(left(begun, Some(5_000), 12_000), Some(Duration::from_secs(31)));
        assert_eq!(left(begun, Some(5_000), 42_999), Some(Duration::from_millis(1)));
        assert_eq!(left(begun, Some(5_000), 43_000), None, "it is over, or has gone with the engine");
        assert_eq!(left(begun, Some(11_000), 12_000), None, "the container has been started again since");
        assert_eq!(left(begun, None, 12_000), None);
        assert_eq!(left(begun, Some(5_000), 1_000), Some(Duration::from_secs(33)), "the clock was set back");
    }
}
