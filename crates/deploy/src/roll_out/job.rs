//! A job: its container runs once for each release, to its end, before anything that depends on it.
//! It is kept afterwards with its log, until the next release's has ended well.

use std::time::Duration;

use machine::docker::{ContainerDetail, State as ContainerState};
use saga::{Step, StepError};
use serde_json::json;

use super::steps::{self as common, Done, LAST_LINES, wrap};
use super::{Found, Params, RollOut, migration};
use crate::world::World;
use crate::{copies, health};

/// The pause between two looks grows from the first to the second.
const LOOKS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

pub fn line(params: &Params) -> Vec<Step<RollOut>> {
    let mut line = vec![Step::new("pin", common::pin).undo(common::unpin)];
    line.extend(migration(params));
    line.extend(super::make_way_first(params));
    line.extend([
        Step::new("run", run).undo(common::keep_failed),
        Step::new("switch", common::switch).undo(common::switch_back).commits(),
        Step::new("retire", common::retire_previous).no_undo("the previous run has ended long ago"),
    ]);
    line.extend(super::take_away(params));
    line
}

/// Starts it unless it has begun already: a job that was interrupted by nobody is never run twice.
fn run<'a>(world: &'a World, params: &'a Params, found: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let release = &params.release;
        found.started_ms.get_or_insert(world.clock.now_ms());
        let detail = look(world, params).await?;
        if detail.is_none_or(|detail| detail.started_ms.is_none()) {
            copies::start(world, release, &[1]).await?;
        }
        let began = world.clock.monotonic();
        let mut pause = LOOKS.0;
        loop {
            let since = world.clock.monotonic().saturating_sub(began);
            match verdict(look(world, params).await?.as_ref(), since, release.plan.job_timeout) {
                Some(Ok(())) => break,
                Some(Err(cause)) => {
                    let logs = health::last_lines(world, release, &release.container, LAST_LINES).await;
                    let detail = json!({ "cause": cause, "container": release.container, "logs": logs });
                    return Err(StepError::because(cause).with_detail(detail));
                }
                None if world.abort.is_requested() => return Err(StepError::aborted("given up while the job ran")),
                None => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(LOOKS.1);
        }
        found.container_id = look(world, params).await?.map(|detail| detail.id);
        world.talk.say(Some(&release.service), format!("{} has ended well", release.id));
        Ok(())
    })
}

async fn look(world: &World, params: &Params) -> Result<Option<ContainerDetail>, StepError> {
    health::inspect(world, &params.release.container).await.map_err(wrap("find the container"))
}

/// How it ended, if it has.
fn verdict(detail: Option<&ContainerDetail>, since: Duration, timeout: Duration) -> Option<Result<(), String>> {
    let Some(detail) = detail else { return Some(Err("its container is gone".into())) };
    let has_ended = matches!(detail.state, ContainerState::Exited | ContainerState::Dead);
    let code = detail.exit_code.filter(|_| has_ended);
    if let (Some(_), Some(cause)) = (code, health::killed(detail)) {
        return Some(Err(cause.into()));
    }
    match code {
        Some(0) => Some(Ok(())),
        Some(code) => {
            let said = detail.error.as_deref().filter(|text| !text.is_empty());
            let said = said.map(|text| format!(": {text}")).unwrap_or_default();
            Some(Err(format!("the job exited with code {code}{said}")))
        }
        None if since >= timeout => {
            Some(Err(format!("the job has not ended within {}", spec::units::human_duration(timeout))))
        }
        None => None,
    }
}
