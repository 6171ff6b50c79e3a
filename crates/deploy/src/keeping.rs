//! Keep means keep: what is kept and lies still is started again as it was, and never as its files would have it now.
//!
//! The agent does that within seconds after a crash, a kill, a removal or a reboot, unless somebody has stopped the
//! container on purpose: Docker tells a stop from every other end, and a stop that no operation has made was meant. That
//! is told, and only `mainstay up` starts it then.

mod hand;
mod tries;

use futures_util::FutureExt;
use machine::docker::{ContainerDetail, State as ContainerState};
use serde_json::json;
use spec::Strategy;
use spec::platform::NoticeKind;

use crate::draft::Draft;
use crate::ends::{self, Watch};
use crate::error::{DeployError, Ending};
use crate::notify::Notice;
use crate::plan::Change;
use crate::release::Release;
use crate::report::{Failure, Outcome, ServiceReport, Traffic};
use crate::roll_out::after;
use crate::world::World;
use crate::{copies, health, names, places};

pub use hand::{Stopped, by_hand, stopped};
pub(crate) use hand::{forget, hear, last_heard, own_stop, sweep};
pub use tries::Tries;

/// How long an end is looked at: Docker tells of a stop only when it is over, and what was missed comes at once when
/// the engine is followed again.
const SETTLED_MS: i64 = 1_000;

/// One look at every kept service that serves.
pub async fn turn(world: &World, watch: &Watch, tries: &Tries) -> Result<(), DeployError> {
    let now_ms = world.clock.now_ms();
    let seen = watch.seen().filter(|(since_ms, _)| now_ms - since_ms >= SETTLED_MS);
    let Some((_, gone)) = seen else { return Ok(()) };
    let mut first = Ok(());
    for release in world.all_serving()?.iter().filter(|release| release.plan.strategy == Strategy::Keep) {
        if ends::is_in_work(world, release)? {
            continue;
        }
        for number in release.numbers() {
            // One that cannot be started keeps nobody from the rest of the turn.
            let looked = look(world, release, number, gone, tries).await;
            first = first.and(looked);
        }
    }
    first
}

async fn look(
    world: &World,
    release: &Release,
    number: u32,
    gone: Option<ends::Gone>,
    tries: &Tries,
) -> Result<(), DeployError> {
    let container = names::copy(&release.container, number);
    let detail = health::inspect(world, &container).await?;
    let now = world.clock.monotonic();
    let why = match &detail {
        None => "its container was removed".to_owned(),
        Some(detail) if runs(detail) => {
            tries.runs(&container, now);
            return Ok(());
        }
        Some(detail) if detail.finished_ms.is_some_and(|ms| world.clock.now_ms() - ms < SETTLED_MS) => return Ok(()),
        Some(detail) => match by_hand(world, release, detail, gone)? {
            Some(stopped) => return tell_stopped(world, release, stopped),
            None if ends::trouble(release, detail).is_none() => return Ok(()),
            None => cause(detail),
        },
    };
    if !tries.may(&container, now) {
        return Ok(());
    }
    refuse_beside_others(world, release).await?;
    // Asked once more: an operation may have begun since.
    if ends::is_in_work(world, release)? {
        return Ok(());
    }
    let is_first = tries.tried(&container, now);
    match &detail {
        Some(detail) => world.docker.start(&detail.id).await.map_err(|source| DeployError::Docker {
            operation: format!("start container `{container}` again, because {why}"),
            source,
        })?,
        None => copies::start(world, release, &[number])
            .await
            .map_err(|error| DeployError::Refused(after::cause(&error.into())))?,
    }
    tell_started(world, release, &container, &why, is_first)
}

fn runs(detail: &ContainerDetail) -> bool {
    matches!(detail.state, ContainerState::Running | ContainerState::Restarting | ContainerState::Paused)
}

fn cause(detail: &ContainerDetail) -> String {
    match detail.exit_code {
        _ if detail.state == ContainerState::Created => "it was never started".into(),
        _ if detail.oom_killed => "it ran out of memory".into(),
        Some(137) => "it was killed".into(),
        Some(code) => format!("it ended with code {code}"),
        None => "it had ended".into(),
    }
}

/// Two programs on a database's files destroy them: who has come meanwhile has to go first.
async fn refuse_beside_others(world: &World, release: &Release) -> Result<(), DeployError> {
    let containers = world.docker.list(&[], false).await;
    let containers =
        containers.map_err(|source| DeployError::Docker { operation: "list containers".into(), source })?;
    let releases = world.all_releases()?;
    let foreign: Vec<_> = containers.into_iter().filter(|container| !places::is_living(&releases, container)).collect();
    let found = places::strangers(world, &release.plan, &foreign).await?;
    match found.into_iter().find(|stranger| stranger.database) {
        None => Ok(()),
        Some(stranger) => Err(DeployError::Refused(format!(
            "{} of `{}` is not started again: container `{}` writes to {}; stop it with `docker stop {}`",
            release.id, release.service, stranger.container, stranger.what, stranger.container
        ))),
    }
}

fn tell_started(
    world: &World,
    release: &Release,
    container: &str,
    why: &str,
    is_first: bool,
) -> Result<(), DeployError> {
    tracing::warn!("started {container} again as it was: {why}");
    ends::tell(world, release, "release.started-again", json!({ "container": container, "because": why }))?;
    if is_first {
        notice(world, release, NoticeKind::StartedAgain, format!("{container}: {why}"))?;
    }
    Ok(())
}

fn tell_stopped(world: &World, release: &Release, stopped: Stopped) -> Result<(), DeployError> {
    if stopped.told {
        return Ok(());
    }
    let text = stopped.text();
    tracing::warn!("{text}");
    hand::told(world, &stopped)?;
    ends::tell(world, release, "release.stopped-by-hand", json!({ "container": stopped.container, "text": text }))?;
    notice(world, release, NoticeKind::DriftFound, text)
}

fn notice(world: &World, release: &Release, kind: NoticeKind, cause: String) -> Result<(), DeployError> {
    let dir = world.platform(&release.scope)?.map(|platform| platform.dir).unwrap_or_default();
    world.tell(Notice {
        services: vec![release.service.clone()],
        cause: Some(cause),
        ..Notice::new(kind, &release.scope, dir, "keep", "mainstay")
    });
    Ok(())
}

/// `up`: what serves and lies still is started again as it was, and proves itself; its routes follow.
pub async fn start_again(world: &World, draft: &Draft, change: &Change) -> Result<ServiceReport, DeployError> {
    let began = world.clock.monotonic();
    let serving = world.serving_of(&draft.loaded.scope, &change.service)?;
    let mut report = ServiceReport {
        service: change.service.clone(),
        strategy: change.strategy,
        release: change.from.clone(),
        result: Outcome::Unchanged,
        took_ms: 0,
        healthy_after_ms: serving.as_ref().and_then(|release| release.healthy_after_ms),
        traffic_after_ms: None,
        phases: Vec::new(),
        judged: Vec::new(),
    };
    let Some(release) = serving else { return Ok(report) };
    world.talk.say(Some(&release.service), format!("starts {} again as it was", release.id));
    // Boxed: it is long, and every other change would carry it.
    let back = copies::bring_back(world, &release, &release.numbers()).boxed().await;
    report.result = match back {
        Ok(addresses) => {
            serves_at(world, &release, addresses).await?;
            let because = change.reasons.join("; ");
            ends::tell(world, &release, "release.started-again", json!({ "because": because }))?;
            Outcome::Done
        }
        Err(error) => {
            let error = error.into();
            Outcome::Failed(Failure {
                step: "start".into(),
                cause: after::cause(&error),
                logs: after::lines(&error.detail),
                kept: Some(release.container.clone()),
                ending: Ending::Failed,
                traffic: Traffic::Unsaid,
            })
        }
    };
    let took = world.clock.monotonic().saturating_sub(began);
    report.took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    Ok(report)
}

/// Where its containers are now.
async fn serves_at(world: &World, release: &Release, addresses: Vec<std::net::IpAddr>) -> Result<(), DeployError> {
    for container in release.containers() {
        if let Some(detail) = health::inspect(world, &container).await? {
            forget(world, &detail.id)?;
        }
    }
    // Read again: what the edge needs to know may have been written since.
    let Some(mut known) = world.release(&release.scope, &release.service, &release.id)? else { return Ok(()) };
    known.targets = match known.plan.port {
        Some(_) if !known.targets.is_empty() => known.targets_at(&addresses),
        _ => Vec::new(),
    };
    known.addresses = addresses;
    world.save_release(&known)?;
    world.push_routes().await.map(drop)
}
