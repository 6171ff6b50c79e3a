//! Since when the engine has answered, and when it was away.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use machine::docker::ContainerEvent;

use crate::error::DeployError;
use crate::world::World;
use crate::{absent, intruders, keeping, stopping};

/// A time in which the engine did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone {
    pub from_ms: i64,
    pub to_ms: i64,
}

/// What the agent has seen of the engine since it started itself. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Watch(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    answering_since_ms: Option<i64>,
    away_since_ms: Option<i64>,
    gone: Option<Gone>,
    booted: bool,
}

impl Watch {
    pub fn answers(&self, now_ms: i64) {
        self.with(|seen| {
            if let Some(from_ms) = seen.away_since_ms.take() {
                seen.gone = Some(Gone { from_ms, to_ms: now_ms });
            }
            seen.answering_since_ms.get_or_insert(now_ms);
        });
    }

    pub fn is_away(&self, since_ms: i64) {
        self.with(|seen| {
            // Before its first answer there is nothing from which it could have gone.
            if seen.answering_since_ms.take().is_some() {
                seen.away_since_ms = Some(since_ms);
            }
        });
    }

    /// Since when it answers and when it was away last; `None` while it does not answer.
    pub(crate) fn seen(&self) -> Option<(i64, Option<Gone>)> {
        self.with(|seen| seen.answering_since_ms.map(|since| (since, seen.gone)))
    }

    /// What was true once of this agent's machine stays so, whatever is written down meanwhile.
    pub(super) fn booted(&self, now: bool) -> bool {
        self.with(|seen| {
            seen.booted |= now;
            seen.booted
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// An answer that took longer came from an engine that was started for it.
const AT_ONCE: i64 = 1_000;

/// Whoever has to know what happens to containers, one event after the other.
async fn hear(world: &World, event: &ContainerEvent) {
    // First of all: until the edge knows it, requests go to whoever has the address.
    warn(absent::hear(world, event).await);
    warn(intruders::hear(world, event).await);
    warn(keeping::hear(world, event));
}

fn warn(result: Result<(), DeployError>) {
    if let Err(error) = result {
        let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        tracing::warn!("{error}{source}");
    }
}

async fn sweep(world: &World) -> Result<(), DeployError> {
    let failed = |source| DeployError::Docker { operation: "list containers".into(), source };
    let all = world.docker.list(&[], true).await.map_err(failed)?;
    let exists = |id: &str| all.iter().any(|container| container.id == id);
    keeping::sweep(world, exists)?;
    stopping::sweep(world, exists)?;
    intruders::sweep(world, exists)
}

/// Follows the engine as long as it answers, by a stream that breaks at the moment it goes: a look now and then would
/// miss one that is back in a second.
pub async fn follow_engine(world: &World, watch: &Watch) {
    // What nobody has heard since comes first.
    let Ok(mut stream) = world.docker.events_since(&[], keeping::last_heard(world)).await else {
        return watch.is_away(world.clock.now_ms());
    };
    watch.answers(world.clock.now_ms());
    warn(absent::look(world).await);
    warn(intruders::look(world).await);
    warn(sweep(world).await);
    while let Some(Ok(event)) = stream.next().await {
        hear(world, &event).await;
    }
    // A stream may also break by itself.
    let asked = world.clock.now_ms();
    let answered = world.docker.ping().await.is_ok();
    if !answered || world.clock.now_ms() - asked > AT_ONCE {
        watch.is_away(asked);
    }
    if !answered {
        warn(absent::look_without_engine(world).await);
    }
}
