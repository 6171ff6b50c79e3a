//! The steps of a canary: a share of the requests, judged, then a larger one.

use std::time::Duration;

use saga::StepError;
use spec::platform::Pause;
use spec::{Percent, Verdict, human_duration};

use super::soak::{Baseline, LOOK_EVERY, Timer, Turned, beside, conclude, figures, judged, tell, unseen, whole};
use super::steps::{Done, current, finish_requests, wrap};
use super::{Found, Params};
use crate::canary::{Canary, Decision};
use crate::judge::Watched;
use crate::world::World;

/// The share goes to the new release, acknowledged by the edge.
pub fn open<'a>(world: &'a World, params: &'a Params, found: &'a mut Found, share: Percent) -> Done<'a> {
    Box::pin(async move {
        let (Some(plan), Some(beside)) = (&params.canary, &params.previous) else { return Ok(()) };
        if found.promoted {
            return Ok(());
        }
        let mut release = current(world, &params.release)?;
        if release.targets.is_empty() {
            release.targets.clone_from(&found.targets);
            release.addresses.clone_from(&found.addresses);
        }
        world.save_release(&release).map_err(wrap("record the canary's container"))?;
        let figures = figures(world, &release).await?;
        let since_ms = world.clock.now_ms();
        let canary = Canary {
            scope: release.scope.clone(),
            service: release.service.clone(),
            release: release.id.clone(),
            beside: beside.clone(),
            operation: params.operation.clone(),
            share,
            steps: plan.steps.clone(),
            pause: plan.pause,
            by: plan.by,
            since_ms,
            decision: None,
        };
        world.save_canary(&canary).map_err(wrap("record the canary's share"))?;
        let applied = world.push_routes().await.map_err(wrap("share the traffic"))?;
        found.baseline = Some(Baseline::of(&figures, params, since_ms, |old| old.total));
        let text = format!("{} gets {share} of the requests (epoch {})", release.id, applied.epoch);
        world.talk.say(Some(&release.service), text);
        Ok(())
    })
}

/// All requests to the old release again, and those that the new one is still answering get their time.
pub fn close<'a>(world: &'a World, params: &'a Params, _: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let mut release = current(world, &params.release)?;
        if !world.end_canary(&release).map_err(wrap("end the canary"))? && release.targets.is_empty() {
            return Ok(());
        }
        world.push_routes().await.map_err(wrap("take the canary's share away"))?;
        finish_requests(world, &release).await?;
        release.targets.clear();
        release.addresses.clear();
        world.save_release(&release).map_err(wrap("record the end of the canary"))
    })
}

/// Judges the share until its time is over, or until a person says how it goes on.
pub fn judge<'a>(world: &'a World, params: &'a Params, found: &'a mut Found, share: Percent) -> Done<'a> {
    Box::pin(async move {
        let Some(plan) = params.canary.as_ref().filter(|_| !found.promoted) else { return Ok(()) };
        let Some(baseline) = found.baseline.clone() else { return Ok(()) };
        let release = &params.release;
        if plan.pause == Pause::Manual {
            let service = &release.service;
            let text = format!(
                "{} waits at {share}: `mainstay canary promote {service}` gives it everything, `mainstay canary abort {service}` nothing",
                release.id
            );
            world.talk.waits(service, text);
        }
        let watch = Watched::Canary { share };
        let (mut told, timer) = (None, Timer::since(world, baseline.since_ms));
        let mut turned = Turned::watch(world, release);
        let judgement = loop {
            let passed = timer.passed();
            let settled = matches!(plan.pause, Pause::Time(time) if passed * 2 >= time);
            let judgement = match figures(world, release).await {
                Ok(figures) => {
                    judged(params, watch, &beside(&baseline, &figures, params), passed, settled || long(passed))
                }
                Err(error) => unseen(params, watch, passed, &error),
            };
            let judgement = turned.heed(judgement);
            let decision = decision(world, params)?;
            if let Some(Decision::Abort { by }) = &decision {
                found.judged.push(judgement);
                return Err(StepError::because(format!("the canary was given up by {by}")));
            }
            if world.abort.is_requested() {
                return Err(StepError::aborted("given up during the canary"));
            }
            found.promoted = matches!(decision, Some(Decision::Promote { .. }));
            let over = matches!(plan.pause, Pause::Time(time) if passed >= time);
            if over || decision.is_some() || matches!(judgement.verdict, Verdict::Fail(_)) {
                break judgement;
            }
            tell(world, release, &mut told, passed, || match plan.pause {
                Pause::Time(time) => {
                    format!("at {share} for {} more: {}", human_duration(whole(time - passed)), judgement.new)
                }
                Pause::Manual => format!("waits at {share}: {}", judgement.new),
            });
            let left = match plan.pause {
                Pause::Time(time) => time - passed,
                Pause::Manual => LOOK_EVERY,
            };
            turned.pause(LOOK_EVERY.min(left)).await;
        };
        // Docker may have started it again meanwhile, and its address is another then.
        let release = current(world, release)?;
        found.targets.clone_from(&release.targets);
        found.addresses.clone_from(&release.addresses);
        conclude(world, params, found, judgement)
    })
}

/// Warm after half a minute, where no time is set.
fn long(passed: Duration) -> bool {
    passed >= Duration::from_secs(30)
}

fn decision(world: &World, params: &Params) -> Result<Option<Decision>, StepError> {
    let canary = world.canary_of(&params.release.scope, &params.release.service).map_err(wrap("read the canary"))?;
    Ok(canary.filter(|canary| canary.release == params.release.id).and_then(|canary| canary.decision))
}
