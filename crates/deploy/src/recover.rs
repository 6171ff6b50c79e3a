//! After a restart of the agent: every roll-out that was under way is finished or undone.

use spec::SagaId;

use crate::error::DeployError;
use crate::names::Scope;
use crate::release::{Event, Release, State};
use crate::report::{Report, ServiceReport};
use crate::roll_out::{RollOut, after};
use crate::scale::{self, Scale};
use crate::together::{self, Together};
use crate::world::World;

/// What a crash interrupted: a roll-out, a change of the number of copies, or what holds several of those together.
#[derive(Debug, Clone)]
pub struct Interrupted {
    pub saga: SagaId,
    kind: String,
    /// The operation it belongs to.
    pub operation: String,
}

/// What became of one service.
#[derive(Debug)]
pub struct Recovered {
    pub saga: SagaId,
    /// The operation it belonged to.
    pub operation: String,
    pub result: Result<ServiceReport, DeployError>,
}

/// What is to be gone on with, oldest first; what holds others together comes after them.
/// Releases that had begun and whose roll-out is not among it are given up: nobody will decide them any more.
/// Called before anything new begins: whatever is undecided then is somebody's leftover.
pub fn interrupted(world: &World) -> Result<Vec<Interrupted>, DeployError> {
    let failed = |source| DeployError::Ledger { operation: "list unfinished roll-outs", source };
    let undecided = undecided(world)?;
    sorted_out(world, world.ledger.unfinished_sagas().map_err(failed)?, undecided)
}

/// The same of one operation that still holds the lock of its scope: what it has left because its journal could not be
/// written, as on a full disk.
pub fn left_by(world: &World, scope: &Scope, of: &str) -> Result<Vec<Interrupted>, DeployError> {
    let failed = |source| DeployError::Ledger { operation: "list unfinished roll-outs", source };
    let mut rows = world.ledger.unfinished_sagas().map_err(failed)?;
    rows.retain(|row| operation(&row.id) == of);
    let undecided = world.releases(scope, None)?.into_iter().filter(is_undecided).collect();
    sorted_out(world, rows, undecided)
}

fn sorted_out(
    world: &World,
    rows: Vec<ledger::SagaRow>,
    undecided: Vec<Release>,
) -> Result<Vec<Interrupted>, DeployError> {
    for release in undecided {
        let is_held = rows.iter().any(|row| row.kind == TOGETHER);
        if !is_held && !rows.iter().any(|row| is_of(&row.id, &release)) {
            give_up(world, &release)?;
        }
    }
    let known = rows.into_iter().filter(|row| [ROLL_OUT, SCALE, TOGETHER].contains(&row.kind.as_str()));
    let mut all: Vec<Interrupted> = known
        .map(|row| Interrupted { operation: operation(&row.id).to_owned(), kind: row.kind, saga: row.id })
        .collect();
    all.sort_by_key(|one| one.kind == TOGETHER);
    Ok(all)
}

const ROLL_OUT: &str = <RollOut as saga::Saga>::KIND;
const SCALE: &str = <Scale as saga::Saga>::KIND;
const TOGETHER: &str = <Together as saga::Saga>::KIND;

/// Goes on with one of them to its end.
pub async fn go_on(world: &World, one: Interrupted) -> Vec<Recovered> {
    let results = match one.kind.as_str() {
        SCALE => vec![scale::resume(world, &one.saga).await],
        TOGETHER => services(together::resume(world, &one.operation).await),
        _ => vec![roll_out(world, &one.saga).await],
    };
    let recovered = |result| Recovered { saga: one.saga.clone(), operation: one.operation.clone(), result };
    results.into_iter().map(recovered).collect()
}

async fn roll_out(world: &World, saga: &SagaId) -> Result<ServiceReport, DeployError> {
    let (params, report) = after::resume(world, saga).await?;
    give_up(world, &params.release)?;
    Ok(report)
}

/// Goes on with all of them, one after the other: a recovery should be quiet, not quick.
pub async fn recover(world: &World) -> Result<Vec<Recovered>, DeployError> {
    let mut recovered = Vec::new();
    for one in interrupted(world)? {
        recovered.extend(go_on(world, one).await);
    }
    Ok(recovered)
}

/// `op7.api.r12` is of release r12 of `api`.
fn is_of(saga: &SagaId, release: &Release) -> bool {
    saga.as_ref().ends_with(&format!(".{}.{}", release.service, release.id))
}

fn operation(saga: &SagaId) -> &str {
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
