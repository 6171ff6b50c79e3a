//! The watch over a release that has got all the traffic: judged by what its requests came to.

use std::time::Duration;

use edge::{Figures, PoolFigures, ReleaseFigures};
use futures_util::future::BoxFuture;
use saga::StepError;
use serde::{Deserialize, Serialize};
use serde_json::json;
use spec::{Verdict, human_duration};

use super::steps::{Done, wrap};
use super::{Found, Params};
use crate::health;
use crate::judge::{Judgement, Summary, Watched, judge};
use crate::release::Release;
use crate::world::World;

/// How often the edge is asked.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Lines that pass are kept while an operation lives, so not every look is told.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What a release's figures are compared with, and from where they count; journalled, so that a crash loses neither.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// The old release's.
    pub old: Figures,
    /// The new one's, from before the watch.
    pub before: Figures,
    /// Which run of the edge counted them: another one begins at nothing.
    pub edge_started_ms: i64,
    /// When the watch began, on the wall clock, since it may outlive this process.
    pub since_ms: i64,
}

/// A look while the watch goes on.
pub(super) struct Look {
    pub(super) old: Figures,
    pub(super) new: Figures,
}

impl Baseline {
    /// From now on, with what counts of the old release.
    pub(super) fn of(
        figures: &PoolFigures,
        params: &Params,
        since_ms: i64,
        old: impl FnOnce(ReleaseFigures) -> Figures,
    ) -> Baseline {
        let previous = params.previous.as_ref().map(|previous| figures.of(previous.as_ref()));
        Baseline {
            old: previous.map(old).unwrap_or_default(),
            before: figures.of(params.release.id.as_ref()).total,
            edge_started_ms: figures.started_ms,
            since_ms,
        }
    }

    /// The new release's requests since the watch began.
    pub(super) fn since(&self, now: &PoolFigures, release: &Release) -> Figures {
        let total = now.of(release.id.as_ref()).total;
        if now.started_ms == self.edge_started_ms { total.since(&self.before) } else { total }
    }
}

/// How the old release has done lately, asked right before the switch.
pub fn measure<'a>(world: &'a World, params: &'a Params, found: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let figures = figures(world, &params.release).await?;
        found.baseline = Some(Baseline::of(&figures, params, world.clock.now_ms(), |old| old.recent));
        Ok(())
    })
}

/// Both releases' figures, right before the first copies join.
pub fn measure_both<'a>(world: &'a World, params: &'a Params, found: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let figures = figures(world, &params.release).await?;
        found.baseline = Some(Baseline::of(&figures, params, world.clock.now_ms(), |old| old.total));
        Ok(())
    })
}

/// Watches for the service's time, or for what is left of it after a crash.
/// A release that is worse fails the step, which flips the traffic back; one that nobody asked enough stays, unjudged.
pub fn soak<'a>(world: &'a World, params: &'a Params, found: &'a mut Found) -> Done<'a> {
    Box::pin(async move {
        let release = &params.release;
        let Some(baseline) = found.baseline.clone() else { return Ok(()) };
        let time = release.plan.soak;
        world.talk.say(Some(&release.service), format!("watches {} for {}", release.id, human_duration(time)));
        let since_ms = found.switched_ms.unwrap_or(baseline.since_ms);
        let watch = Watch { watched: Watched::Soak, since_ms, time, heeds_abort: params.goes_back() };
        let look = |figures: &PoolFigures| Look { old: baseline.old.clone(), new: baseline.since(figures, release) };
        let judgement = watch.until_over(world, params, look).await?;
        conclude(world, params, found, judgement)
    })
}

/// Watches the copies that have joined beside the old ones, before more of those go: the first for the service's time,
/// later ones as they are found.
pub fn batch<'a>(world: &'a World, params: &'a Params, found: &'a mut Found, copies: u32, is_first: bool) -> Done<'a> {
    Box::pin(async move {
        let release = &params.release;
        let Some(baseline) = found.baseline.clone() else { return Ok(()) };
        let time = if is_first { release.plan.soak } else { Duration::ZERO };
        if is_first {
            let text = format!("watches {} beside the old copies for {}", release.id, human_duration(time));
            world.talk.say(Some(&release.service), text);
        }
        let since_ms = if is_first { baseline.since_ms } else { world.clock.now_ms() };
        let watch = Watch { watched: Watched::Batch { copies }, since_ms, time, heeds_abort: true };
        let judgement = watch.until_over(world, params, |figures| beside(&baseline, figures, params)).await?;
        conclude(world, params, found, judgement)
    })
}

/// How a release is looked at for a time.
struct Watch {
    watched: Watched,
    since_ms: i64,
    time: Duration,
    /// Whether there is a way back that somebody who gives up can take.
    heeds_abort: bool,
}

impl Watch {
    /// To the end of its time, or until the release is found to be worse.
    async fn until_over(
        &self,
        world: &World,
        params: &Params,
        look: impl Fn(&PoolFigures) -> Look,
    ) -> Result<Judgement, StepError> {
        let (release, time) = (&params.release, self.time);
        let (mut told, timer) = (None, Timer::since(world, self.since_ms));
        let mut turned = Turned::watch(world, release);
        loop {
            let passed = timer.passed();
            let judgement = match figures(world, release).await {
                Ok(figures) => judged(params, self.watched, &look(&figures), passed, passed * 2 >= time),
                Err(error) => unseen(params, self.watched, passed, &error),
            };
            let judgement = turned.heed(judgement);
            if passed >= time || matches!(judgement.verdict, Verdict::Fail(_)) {
                return Ok(judgement);
            }
            if world.abort.is_requested() && self.heeds_abort {
                return Err(StepError::aborted("given up during the soak"));
            }
            tell(world, release, &mut told, passed, || {
                format!("watched for {} more: {}", human_duration(whole(time - passed)), judgement.new)
            });
            turned.pause(LOOK_EVERY.min(time - passed)).await;
        }
    }
}

/// Whether the release's own health check still passes, asked beside the figures.
pub(super) struct Turned<'a> {
    unhealthy: BoxFuture<'a, String>,
    cause: Option<String>,
}

impl<'a> Turned<'a> {
    pub(super) fn watch(world: &'a World, release: &'a Release) -> Turned<'a> {
        Turned { unhealthy: Box::pin(health::turned(world, release)), cause: None }
    }

    /// Until the next look at the figures, or until the release has turned unhealthy.
    pub(super) async fn pause(&mut self, time: Duration) {
        if self.cause.is_none() {
            self.cause = tokio::time::timeout(time, &mut self.unhealthy).await.ok();
        }
    }

    /// Whatever its answers look like, an unhealthy release has failed.
    pub(super) fn heed(&self, judgement: Judgement) -> Judgement {
        match &self.cause {
            Some(cause) => Judgement { verdict: Verdict::Fail(cause.clone()), ..judgement },
            None => judgement,
        }
    }
}

/// Both releases since they have served side by side: the same minutes, the same clients.
/// An old release that was hardly asked in them is looked at over a longer time.
pub(super) fn beside(baseline: &Baseline, now: &PoolFigures, params: &Params) -> Look {
    let old = params.previous.as_ref().map(|previous| now.of(previous.as_ref()));
    let beside = old.as_ref().map(|old| match now.started_ms == baseline.edge_started_ms {
        true => old.total.since(&baseline.old),
        false => old.total.clone(),
    });
    let enough = u64::from(params.release.plan.soak_limits.requests);
    let lately = old.map(|old| old.recent).unwrap_or_default();
    Look {
        old: beside.filter(|beside| beside.requests() >= enough).unwrap_or(lately),
        new: baseline.since(now, &params.release),
    }
}

/// Writes the judgement into the journal's state, tells it, and fails where it says so.
pub(super) fn conclude(
    world: &World,
    params: &Params,
    found: &mut Found,
    judgement: Judgement,
) -> Result<(), StepError> {
    let release = &params.release;
    let said = match &judgement.verdict {
        Verdict::Pass => format!("{} does no worse than {}: {}", release.id, judgement.old.release, judgement.new),
        Verdict::Unknown(why) => format!("{} stays, but it is not known how well it does: {why}", release.id),
        Verdict::Fail(cause) => format!("{} does worse than {}: {cause}", release.id, judgement.old.release),
    };
    world.talk.say(Some(&release.service), said);
    let failed = match (&judgement.verdict, params.goes_back()) {
        (Verdict::Fail(cause), true) => {
            let detail = json!({ "cause": cause, "container": release.container, "judgement": judgement });
            Some(StepError::because(cause.clone()).with_detail(detail))
        }
        _ => None,
    };
    found.judged.push(judgement);
    failed.map_or(Ok(()), Err)
}

pub(super) fn judged(params: &Params, watch: Watched, look: &Look, passed: Duration, settled: bool) -> Judgement {
    let verdict = judge(&params.release.plan.soak_limits, &look.old, &look.new, settled);
    Judgement {
        watch,
        verdict,
        new: Summary::of(&params.release.id, &look.new),
        old: Summary::of(params.previous.as_ref().unwrap_or(&params.release.id), &look.old),
        over_ms: u64::try_from(passed.as_millis()).unwrap_or(u64::MAX),
    }
}

/// Could not look is an answer of its own.
pub(super) fn unseen(params: &Params, watch: Watched, passed: Duration, error: &StepError) -> Judgement {
    let nothing = Look { old: Figures::default(), new: Figures::default() };
    let verdict = Verdict::Unknown(format!("the edge's figures could not be read: {error}"));
    Judgement { verdict, ..judged(params, watch, &nothing, passed, false) }
}

pub(super) async fn figures(world: &World, release: &Release) -> Result<PoolFigures, StepError> {
    world.edge.figures(&release.pool()).await.map_err(wrap("read the edge's figures"))
}

/// How long a watch has gone on: by the wall clock, which outlives the process, and at least as long as this process
/// has measured, since that clock may be set back.
pub(super) struct Timer<'a> {
    world: &'a World,
    since_ms: i64,
    began: Duration,
}

impl<'a> Timer<'a> {
    pub(super) fn since(world: &'a World, since_ms: i64) -> Timer<'a> {
        Timer { world, since_ms, began: world.clock.monotonic() }
    }

    pub(super) fn passed(&self) -> Duration {
        let wall = u64::try_from(self.world.clock.now_ms() - self.since_ms).unwrap_or(0);
        Duration::from_millis(wall).max(self.world.clock.monotonic().saturating_sub(self.began))
    }
}

/// One passing line a second.
pub(super) fn tell(
    world: &World,
    release: &Release,
    told: &mut Option<Duration>,
    passed: Duration,
    text: impl FnOnce() -> String,
) {
    if told.is_none_or(|last| passed >= last + TELL_EVERY) {
        *told = Some(passed);
        world.talk.passing(Some(&release.service), text());
    }
}

pub(super) fn whole(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs() + u64::from(time.subsec_nanos() > 0))
}
