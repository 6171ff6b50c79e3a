//! An operation whose journal or whose end cannot be written, as on a full disk: it keeps its lock, and goes on as soon as
//! there is room. Given up where it stands it would be neither finished nor undone until the agent's next start.

use std::sync::Arc;
use std::time::Duration;

use deploy::recover::{self, Interrupted};
use deploy::{DeployError, Ending, Scope};
use ledger::{Lease, LeaseError};

use super::{Leftover, perform, try_write_end};
use crate::agent::Agent;
use crate::agent::operations::Live;
use crate::errors::{Failure, failed};
use crate::messages::{Ended, Operation};

/// How soon it is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Carries it out until none of its roll-outs is left in the middle.
pub async fn to_the_end(
    agent: &Agent,
    scope: &Scope,
    live: &Arc<Live>,
    lease: &Lease,
    operation: &Operation,
    mut left: Leftover,
) -> Ended {
    loop {
        let ended = perform(agent, live, lease, operation, left).await;
        // Whoever has lost the lock has no business here any more.
        if matches!(agent.parts.ledger.check(lease), Err(LeaseError::Lost { .. })) {
            return ended;
        }
        let rest = match recover::left_by(&agent.world(), scope, &operation.id) {
            Ok(rest) if rest.is_empty() => return ended,
            rest => rest,
        };
        let mut why = match (&ended, rest) {
            (Ended::Failed { failure }, _) => failure.clone(),
            (_, Err(error)) => error.into(),
            (_, Ok(_)) => Failure::new("its journal could not be written", Ending::Failed),
        };
        why.causes.extend(probe(agent).err().map(|error| error.to_string()));
        tracing::error!(operation = operation.id, "waits until the ledger can be written: {}", why.message);
        live.end(Ended::Failed { failure: waits(operation, why) });
        let roll_outs = when_there_is_room(agent, scope, operation).await;
        if roll_outs.is_empty() {
            return ended;
        }
        left = Leftover { roll_outs, again: true };
    }
}

/// Whoever has asked is not kept waiting for a person who makes room.
fn waits(operation: &Operation, why: Failure) -> Failure {
    let hint = format!(
        "make room on the disk of the state folder; {} then goes on by itself, see `mainstay follow {0}`",
        operation.id
    );
    Failure { ending: Ending::Stuck, hint: Some(hint), ..why }
}

async fn when_there_is_room(agent: &Agent, scope: &Scope, operation: &Operation) -> Vec<Interrupted> {
    loop {
        tokio::time::sleep(AGAIN).await;
        let written = probe(agent).map_err(|source| DeployError::Ledger { operation: "look for room", source });
        if let Ok(rest) = written.and_then(|()| recover::left_by(&agent.world(), scope, &operation.id)) {
            return rest;
        }
    }
}

/// Whether the ledger can be written.
fn probe(agent: &Agent) -> ledger::Result<()> {
    agent.parts.ledger.put_record("probe", "room", &agent.parts.clock.now_ms())
}

/// Nothing has begun, so nothing shall be locked; on a full disk that, too, waits until it can be written.
/// Whoever holds a lock in this agent is taken to live, so one that was forgotten would keep everybody out for good.
pub fn free(agent: &Agent, lease: Lease) {
    let agent = agent.clone();
    tokio::spawn(async move {
        while let Err(error) = agent.parts.ledger.release(&lease) {
            tracing::error!(lease = lease.name, "could not free the lock: {error}");
            tokio::time::sleep(AGAIN).await;
        }
    });
}

/// Writes down how it ended and frees the lock, however long that takes: an operation without an end would be done
/// again at the next start, and a lock that nobody holds would keep everybody out.
pub async fn close(
    agent: &Agent,
    scope: &Scope,
    live: &Arc<Live>,
    lease: &Lease,
    operation: &mut Operation,
    ended: &Ended,
) {
    let mut is_told = false;
    loop {
        let written = try_write_end(agent, scope, operation, ended)
            .and_then(|()| agent.parts.ledger.release(lease).map_err(failed("free the lock")));
        let Err(failure) = written else { return };
        if !is_told {
            tracing::error!(operation = operation.id, "how it ended waits to be written: {}", failure.message);
            live.end(ended.clone());
            is_told = true;
        }
        tokio::time::sleep(AGAIN).await;
    }
}
