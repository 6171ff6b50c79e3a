//! A release that was healthy and is not any more, while it is watched.

use std::time::Duration;

use futures_util::future::select_all;
use machine::docker::{Health as HealthState, HealthCheck, State as ContainerState};

use super::wording::Wording;
use super::{counts_dockers, declared, inspect};
use crate::names;
use crate::release::Release;
use crate::world::World;

/// A watch is shorter than three of Docker's usual intervals, so its check is run as often as this, or as often as it
/// declares, where that is more often.
const EVERY: Duration = Duration::from_secs(2);
const LEAST: Duration = Duration::from_millis(250);

/// Waits for as long as all copies of the release that run are well, and says what became of the first that is not:
/// Docker calls it unhealthy, or its declared check has failed as often in a row as makes Docker say so.
/// A check that the platform file has put another in the place of decides nothing here either.
pub async fn turned(world: &World, release: &Release) -> String {
    if !counts_dockers(&release.plan.health) || release.copies == 0 {
        return std::future::pending().await;
    }
    let numbers = release.numbers();
    let copies = numbers.iter().map(|number| Box::pin(copy(world, release, names::copy(&release.container, *number))));
    select_all(copies).await.0
}

async fn copy(world: &World, release: &Release, container: String) -> String {
    let mut failures = 0;
    // The start from which on it was well: the gate has seen the first, and one that starts again may take its time again.
    let mut well_since = None;
    loop {
        let mut every = EVERY;
        // What cannot be seen is not judged: others look after a container that has gone.
        let detail = inspect(world, &container).await.ok().flatten();
        if let Some(detail) = detail.filter(|detail| detail.state == ContainerState::Running) {
            let wording = Wording::of(world, release, &detail);
            let started = *well_since.get_or_insert(detail.started_ms);
            if detail.health == Some(HealthState::Unhealthy) {
                return format!("`{container}` turned unhealthy: {}", wording.unhealthy(&detail));
            }
            if let Some(check) = &detail.health_check {
                every = pace(check);
                match declared::run(world, &detail, check).await {
                    Ok(probe) if probe.exit_code == Some(0) => {
                        (failures, well_since) = (0, Some(detail.started_ms));
                    }
                    Ok(_) if started != detail.started_ms => {}
                    Ok(probe) => {
                        failures += 1;
                        if failures >= check.retries.max(1) {
                            let outcome = wording.outcome(Some(check), &probe);
                            return format!("`{container}` turned unhealthy: {outcome}, {failures} times in a row");
                        }
                    }
                    Err(error) => tracing::debug!(container, %error, "the declared check did not run"),
                }
            }
        }
        tokio::time::sleep(every).await;
    }
}

fn pace(check: &HealthCheck) -> Duration {
    check.interval.clamp(LEAST, EVERY)
}
