//! Streams of what happened: events, and the logs of releases in the order of their times.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use deploy::World;
use deploy::release::Release;
use futures_util::{StreamExt, stream};
use ledger::EventFilter;
use machine::docker::LogRange;
use tokio::sync::mpsc;

use super::lines;
use crate::agent::Agent;
use crate::errors::{Failure, failed};
use crate::messages::{EventsOf, LogLine, LogsOf};

/// How often a follower is told what is new.
const LOOK: Duration = Duration::from_millis(300);
/// How often a follower of logs looks for new releases.
const LOOK_FOR_RELEASES: Duration = Duration::from_secs(1);
/// Events in one answer.
const MOST: usize = 500;

pub async fn events(State(agent): State<Agent>, Json(of): Json<EventsOf>) -> Result<Response, Failure> {
    let filter = EventFilter {
        kind_prefix: of.kind,
        platform: of.scope.as_ref().map(|scope| scope.platform.clone()),
        environment: of.scope.map(|scope| scope.environment),
        service: of.service,
        saga: None,
    };
    let ledger = agent.parts.ledger.clone();
    let first = ledger.last_events(&filter, of.tail.min(MOST)).map_err(failed("look up events"))?;
    let newest = ledger.last_events(&EventFilter::default(), 1).map_err(failed("look up events"))?;
    let (sender, receiver) = mpsc::channel::<String>(16);
    tokio::spawn(async move {
        let mut after = newest.last().map_or(0, |event| event.seq);
        if sender.send(lines(&first)).await.is_err() || !of.follow {
            return;
        }
        loop {
            tokio::select! {
                () = sender.closed() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let Ok(new) = ledger.events(&filter, after, MOST) else { return };
            let Some(last) = new.last() else { continue };
            after = last.seq;
            if sender.send(lines(&new)).await.is_err() {
                return;
            }
        }
    });
    Ok(body(receiver))
}

pub async fn logs(State(agent): State<Agent>, Json(of): Json<LogsOf>) -> Result<Response, Failure> {
    let world = agent.world();
    let releases = wanted(&world, &of).await?;
    let (sender, receiver) = mpsc::channel::<String>(256);
    // Whoever wants no old lines gets those from now on.
    let now_ns = world.clock.now_ms() * 1_000_000;
    let (first, mut seen) = backlog(&world, &of, &releases).await;
    tokio::spawn(async move {
        if sender.send(first).await.is_err() || !of.follow {
            return;
        }
        for (release, container) in releases.iter().flat_map(containers) {
            let since = seen.since(&container).or(Some(now_ns));
            tokio::spawn(pour(world.clone(), release.clone(), container, since, sender.clone()));
        }
        // A release that starts while somebody follows is followed, too.
        loop {
            tokio::select! {
                () = sender.closed() => return,
                () = tokio::time::sleep(LOOK_FOR_RELEASES) => {}
            }
            let Ok(now) = wanted(&world, &of).await else { continue };
            for (release, container) in now.iter().flat_map(containers) {
                if seen.is_new(&container) {
                    tokio::spawn(pour(world.clone(), release.clone(), container, None, sender.clone()));
                }
            }
        }
    });
    Ok(body(receiver))
}

fn body(receiver: mpsc::Receiver<String>) -> Response {
    let lines =
        stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|line| (line, receiver)) });
    Body::from_stream(lines.map(Ok::<_, std::convert::Infallible>)).into_response()
}

/// The releases whose containers are there: all of the named services, or the named one.
async fn wanted(world: &World, of: &LogsOf) -> Result<Vec<Release>, Failure> {
    for service in &of.services {
        super::known(world, &of.scope, service)?;
    }
    let containers = world.docker.list(&of.scope.selector(), true).await.map_err(failed("list containers"))?;
    let there = |release: &Release| containers.iter().any(|one| deploy::names::is_copy(&release.container, &one.name));
    let asked = |release: &Release| {
        (of.services.is_empty() || of.services.contains(&release.service))
            && of.release.as_ref().is_none_or(|id| *id == release.id)
    };
    let found: Vec<Release> =
        world.releases(&of.scope, None)?.into_iter().filter(|release| asked(release) && there(release)).collect();
    match (&of.release, found.is_empty()) {
        (Some(id), true) => {
            let known = world.releases(&of.scope, None)?.into_iter().filter(there);
            let known =
                known.map(|release| format!("{} {}", release.service, release.id)).collect::<Vec<_>>().join(", ");
            Err(deploy::DeployError::Unknown { what: format!("a container of release {id}"), known }.into())
        }
        _ => Ok(found),
    }
}

/// What has been shown of which release.
struct Seen(std::collections::BTreeMap<String, i64>, BTreeSet<String>);

impl Seen {
    fn since(&self, container: &str) -> Option<i64> {
        self.0.get(container).copied()
    }

    fn is_new(&mut self, container: &str) -> bool {
        self.1.insert(container.to_owned())
    }
}

/// Old lines of all releases, in the order of their times.
async fn backlog(world: &World, of: &LogsOf, releases: &[Release]) -> (String, Seen) {
    let mut all: Vec<(i64, LogLine)> = Vec::new();
    let mut seen = Seen(Default::default(), releases.iter().flat_map(Release::containers).collect());
    for (release, container) in releases.iter().flat_map(containers) {
        let range = LogRange { tail: Some(of.tail), since_ns: of.since_ms.map(|ms| ms * 1_000_000), follow: false };
        let Ok(stream) = world.docker.read_log(&container, &range).await else { continue };
        let found: Vec<_> = stream.filter_map(|line| std::future::ready(line.ok())).collect().await;
        if let Some(last) = found.last() {
            seen.0.insert(container.clone(), last.at_ns);
        }
        all.extend(found.into_iter().map(|line| (line.at_ns, of_release(release, &container, line.at_ns, line.line))));
    }
    all.sort_by_key(|(at, _)| *at);
    let lines_: Vec<LogLine> = all.into_iter().map(|(_, line)| line).collect();
    (lines(&lines_), seen)
}

/// Each copy has a log of its own.
fn containers(release: &Release) -> Vec<(&Release, String)> {
    release.containers().into_iter().map(|container| (release, container)).collect()
}

fn of_release(release: &Release, container: &str, at_ns: i64, line: String) -> LogLine {
    let copy = container.strip_prefix(&release.container).and_then(|rest| rest.strip_prefix('-')?.parse().ok());
    LogLine {
        service: release.service.clone(),
        release: release.id.clone(),
        copy: copy.unwrap_or(1),
        at_ms: at_ns / 1_000_000,
        line,
    }
}

async fn pour(world: World, release: Release, container: String, after_ns: Option<i64>, out: mpsc::Sender<String>) {
    let range = LogRange { tail: None, since_ns: after_ns.map(|at| at + 1), follow: true };
    let Ok(mut stream) = world.docker.read_log(&container, &range).await else { return };
    loop {
        let next = tokio::select! {
            () = out.closed() => return,
            next = stream.next() => next,
        };
        let Some(Ok(line)) = next else { return };
        if out.send(lines(&[of_release(&release, &container, line.at_ns, line.line)])).await.is_err() {
            return;
        }
    }
}
