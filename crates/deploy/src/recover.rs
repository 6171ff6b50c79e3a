//! After a restart of the agent: every roll-out that was under way is finished or undone.

use crate::error::DeployError;
use crate::release::{Event, Release, State};
use crate::report::{Report, ServiceReport};
use crate::roll_out::{RollOut, after};
use crate::scale::{self, Scale};
use crate::together::{self, Together};
use crate::world::World;

/// What became of one interrupted roll-out.
#[derive(Debug)]
pub struct Recovered {
    pub saga: spec::SagaId,
    /// The operation it belonged to.
    pub operation: String,
    pub result: Result<ServiceReport, DeployError>,
}

/// Goes on with all of them, one after the other: a recovery should be quiet, not quick.
pub async fn recover(world: &World) -> Result<Vec<Recovered>, DeployError> {
    let failed = |source| DeployError::Ledger { operation: "list unfinished roll-outs", source };
    // Read first: whatever is begun from now on is nobody's leftover.
    let undecided = undecided(world)?;
    let unfinished = world.ledger.unfinished_sagas().map_err(failed)?;
    let mut recovered = Vec::new();
    for row in &unfinished {
        let result = match row.kind.as_str() {
            <RollOut as saga::Saga>::KIND => after::resume(world, &row.id).await.map(|(_, report)| report),
            <Scale as saga::Saga>::KIND => scale::resume(world, &row.id).await,
            _ => continue,
        };
        recovered.push(Recovered { saga: row.id.clone(), operation: operation(&row.id).to_owned(), result });
    }
    // What holds several of those together decides when each of them has ended.
    for row in unfinished.iter().filter(|row| row.kind == <Together as saga::Saga>::KIND) {
        let result = together::resume(world, operation(&row.id)).await;
        for result in services(result) {
            recovered.push(Recovered { saga: row.id.clone(), operation: operation(&row.id).to_owned(), result });
        }
    }
    let stuck = world.ledger.unfinished_sagas().map_err(failed)?;
    for release in undecided {
        let ending = format!(".{}.{}", release.service, release.id);
        if !stuck.iter().any(|row| row.id.as_ref().ends_with(&ending)) {
            give_up(world, &release)?;
        }
    }
    Ok(recovered)
}

fn operation(saga: &spec::SagaId) -> &str {
    saga.as_ref().split('.').next().unwrap_or_default()
}

fn services(result: Result<Option<Report>, DeployError>) -> Vec<Result<ServiceReport, DeployError>> {
    match result {
        Ok(report) => report.into_iter().flat_map(|report| report.services).map(Ok).collect(),
        Err(error) => vec![Err(error)],
    }
}

/// Releases that have begun and neither serve nor have failed.
fn undecided(world: &World) -> Result<Vec<Release>, DeployError> {
    let mut undecided = Vec::new();
    for platform in world.platforms()? {
        undecided.extend(world.releases(&platform.scope, None)?.into_iter().filter(is_undecided));
    }
    Ok(undecided)
}

fn is_undecided(release: &Release) -> bool {
    matches!(release.state, State::Prepared | State::Starting)
}

/// The crash came before its roll-out had begun, or between its end and the release's own record.
fn give_up(world: &World, release: &Release) -> Result<(), DeployError> {
    let Some(mut release) = world.release(&release.scope, &release.service, &release.id)?.filter(is_undecided) else {
        return Ok(());
    };
    let reason = "it never took traffic, and the agent ended before it was written down why".to_owned();
    world.advance(&mut release, &Event::Failed { reason })?;
    world.save_release(&release)
}
