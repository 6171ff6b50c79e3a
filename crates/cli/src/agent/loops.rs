//! Everything periodic, as one table: name, period, function.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::Agent;

struct Loop {
    name: &'static str,
    every: Duration,
    turn: fn(Agent) -> BoxFuture<'static, Result<(), String>>,
}

const LOOPS: [Loop; 4] = [
    Loop { name: "follow the engine", every: Duration::from_millis(200), turn: engine },
    Loop { name: "reconcile", every: Duration::from_secs(2), turn: reconcile },
    Loop { name: "look for changes by hand", every: Duration::from_secs(60), turn: drift },
    Loop { name: "tidy the ledger", every: Duration::from_secs(3600), turn: tidy },
];

pub async fn run(agent: Agent) {
    let loops = LOOPS.iter().map(|row| turn_forever(row, agent.clone()));
    futures_util::future::join_all(loops).await;
}

async fn turn_forever(row: &Loop, agent: Agent) {
    let mut last_error = String::new();
    loop {
        match (row.turn)(agent.clone()).await {
            Ok(()) => last_error.clear(),
            // A lasting trouble is said once, not every two seconds.
            Err(error) if error == last_error => {}
            Err(error) => {
                tracing::warn!(r#loop = row.name, "{error}");
                last_error = error;
            }
        }
        tokio::time::sleep(row.every).await;
    }
}

fn reconcile(agent: Agent) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move {
        let world = agent.world();
        let boot = machine::facts::life();
        // A container that cannot be started keeps nobody from the rest of the turn.
        let kept = deploy::keeping::turn(&world, &agent.engine, &agent.tries).await;
        let started = deploy::ends::follow(&world, &agent.engine, &boot).await;
        for started in started.iter().flatten() {
            tracing::info!("started again: {started}");
        }
        let turn = deploy::tick::tick(&world).await.map_err(|error| chain(&error))?;
        if turn != deploy::tick::Turn::default() {
            tracing::info!(?turn, "reconciled");
        }
        kept.and(started.map(drop)).map_err(|error| chain(&error))
    })
}

/// One turn lasts as long as the engine answers.
fn engine(agent: Agent) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move {
        deploy::ends::follow_engine(&agent.world(), &agent.engine).await;
        Ok(())
    })
}

fn drift(agent: Agent) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move { super::telling::drift(&agent).await.map_err(|error| chain(&error)) })
}

fn tidy(agent: Agent) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move {
        let retention = ledger::Retention::default();
        agent.parts.ledger.prune(&retention).map_err(|error| chain(&error))?;
        super::operations::forget_old(&agent.parts.ledger).map(drop).map_err(|error| chain(&error))
    })
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
