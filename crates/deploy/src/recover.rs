//! After a restart of the agent: every roll-out that was under way is finished or undone.

use crate::error::DeployError;
use crate::report::ServiceReport;
use crate::roll_out::{RollOut, after};
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
    let unfinished = world.ledger.unfinished_sagas().map_err(failed)?;
    let mut recovered = Vec::new();
    for row in unfinished {
        if row.kind != <RollOut as saga::Saga>::KIND {
            continue;
        }
        let operation = row.id.as_ref().split('.').next().unwrap_or_default().to_owned();
        let result = after::resume(world, &row.id).await.map(|(_, report)| report);
        recovered.push(Recovered { saga: row.id, operation, result });
    }
    Ok(recovered)
}
