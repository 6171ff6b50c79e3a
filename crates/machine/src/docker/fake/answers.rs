//! The fake's side of the `Docker` trait: each call finds its thing, then lets the world decide.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::broadcast::error::RecvError;

use super::world::{KILL, TERM};
use super::{Behaviour, FakeDocker};
use crate::docker::{
    Container, ContainerDetail, ContainerEvent, ContainerSpec, Docker, DockerError, DockerResult, Image, LogLine,
    LogRange, Network, NetworkSpec, Probe, StampedLine, State, Stats, Version, Volume, VolumeSpec, labels_match,
};

/// How often a stream of the fake looks whether time made something happen.
const GLANCE: Duration = Duration::from_millis(10);

type Filter<'a> = &'a [(String, String)];

#[async_trait]
impl Docker for FakeDocker {
    async fn ping(&self) -> DockerResult<Version> {
        drop(self.called("ping", "engine")?);
        Ok(Version { engine: "20.10.24-fake".to_owned(), api: "1.41".to_owned() })
    }

    async fn list(&self, labels: Filter<'_>, all: bool) -> DockerResult<Vec<Container>> {
        let world = self.called("list", "containers")?;
        let seen = world.containers.values().filter(|one| all || one.state.is_up() || one.state == State::Restarting);
        Ok(seen.filter(|one| labels_match(&one.spec.labels, labels)).map(|one| one.listed()).collect())
    }

    async fn inspect(&self, id: &str) -> DockerResult<Option<ContainerDetail>> {
        let mut world = self.called("inspect", id)?;
        let found = world.find(id).ok();
        Ok(found.and_then(|id| world.inspect(&id)))
    }

    async fn create(&self, spec: &ContainerSpec) -> DockerResult<String> {
        self.called("create", &spec.name)?.create(spec)
    }

    async fn start(&self, id: &str) -> DockerResult<()> {
        let mut world = self.called("start", id)?;
        let id = world.find(id)?;
        world.start(&id)
    }

    async fn stop(&self, id: &str, grace: Duration) -> DockerResult<()> {
        let mut world = self.called("stop", id)?;
        let id = world.find(id)?;
        let Some(one) = world.containers.get(&id) else { return Ok(()) };
        let stubborn = one.behaviour.outlives(grace) || grace < one.behaviour.stops_within;
        let (name, state) = (one.name.clone(), one.state);
        let now = world.clock.monotonic();
        world.calls.push(format!("stop {name}"));
        if state.is_up() {
            world.tell_signal(&id, TERM);
            if stubborn {
                world.tell_signal(&id, KILL);
            }
            world.halt(&id, now, if stubborn { 137 } else { 143 }, State::Exited);
            world.tell(&id, "stop", None);
        } else if state == State::Restarting {
            world.halt(&id, now, 137, State::Exited);
        }
        Ok(())
    }

    async fn kill(&self, id: &str, signal: &str) -> DockerResult<()> {
        let mut world = self.called("kill", id)?;
        let id = world.find(id)?;
        let Some(one) = world.containers.get(&id) else { return Ok(()) };
        let (name, stubborn) = (one.name.clone(), one.behaviour.ignores_stop);
        if !one.state.is_up() {
            let (thing, message) = (format!("container `{name}`"), format!("container {id} is not running"));
            return Err(DockerError::Conflict { operation: "send a signal to", thing, message });
        }
        world.calls.push(format!("kill {name} {signal}"));
        world.tell_signal(&id, number(signal));
        let code = match signal.trim_start_matches("SIG") {
            "KILL" | "9" => Some(137),
            "TERM" | "15" if !stubborn => Some(143),
            "INT" | "2" if !stubborn => Some(130),
            // Programs keep the others for their own purposes (reload, reopen logs).
            _ => None,
        };
        if let Some(code) = code {
            let now = world.clock.monotonic();
            world.halt(&id, now, code, State::Exited);
        }
        Ok(())
    }

    async fn remove(&self, id: &str, force: bool) -> DockerResult<()> {
        let mut world = self.called("remove", id)?;
        let id = world.find(id)?;
        world.remove(&id, force)
    }

    async fn rename(&self, id: &str, name: &str) -> DockerResult<()> {
        let mut world = self.called("rename", id)?;
        let id = world.find(id)?;
        world.name_is_free("rename", name)?;
        let Some(one) = world.containers.get_mut(&id) else { return Ok(()) };
        let old = std::mem::replace(&mut one.name, name.to_owned());
        world.calls.push(format!("rename {old} {name}"));
        world.tell(&id, "rename", None);
        Ok(())
    }

    async fn logs(&self, id: &str, tail: usize) -> DockerResult<Vec<String>> {
        let world = self.called("logs", id)?;
        let id = world.find(id)?;
        let log = world.containers.get(&id).map(|one| one.log.as_slice()).unwrap_or_default();
        Ok(log[log.len().saturating_sub(tail)..].iter().map(|line| line.line.clone()).collect())
    }

    async fn follow_logs(&self, id: &str, tail: usize) -> DockerResult<BoxStream<'static, DockerResult<LogLine>>> {
        let (id, start) = {
            let world = self.called("logs", id)?;
            let id = world.find(id)?;
            let length = world.containers.get(&id).map_or(0, |one| one.log.len());
            (id, length.saturating_sub(tail))
        };
        let follow = |(fake, id, at): (FakeDocker, String, usize)| async move {
            loop {
                match fake.line(&id, at) {
                    Ok((Some(line), _)) => return Some((Ok(line), (fake, id, at + 1))),
                    Ok((None, true)) => tokio::time::sleep(GLANCE).await,
                    Ok((None, false)) => return None,
                    // The id that nobody has ends the stream at its next turn.
                    Err(error) => return Some((Err(error), (fake, String::new(), 0))),
                }
            }
        };
        Ok(stream::unfold((self.clone(), id, start), follow).boxed())
    }

    async fn read_log(
        &self,
        id: &str,
        range: &LogRange,
    ) -> DockerResult<BoxStream<'static, DockerResult<StampedLine>>> {
        if range.follow {
            let at_ns = self.now_ns();
            let lines = self.follow_logs(id, range.tail.unwrap_or(usize::MAX)).await?;
            return Ok(lines.map_ok(move |line| stamped(line, at_ns)).boxed());
        }
        let world = self.called("logs", id)?;
        let id = world.find(id)?;
        let log = world.containers.get(&id).map(|one| one.log.as_slice()).unwrap_or_default();
        let at_ns = world.clock.now_ms() * 1_000_000;
        let lines: Vec<LogLine> = log[log.len().saturating_sub(range.tail.unwrap_or(usize::MAX))..].to_vec();
        Ok(stream::iter(lines).map(move |line| Ok(stamped(line, at_ns))).boxed())
    }

    async fn events_since(
        &self,
        labels: Filter<'_>,
        since_ms: Option<i64>,
    ) -> DockerResult<BoxStream<'static, DockerResult<ContainerEvent>>> {
        let (past, coming) = {
            let world = self.called("events", "engine")?;
            let wanted = |event: &&ContainerEvent| since_ms.is_some_and(|since| event.at_ms >= since);
            let past: Vec<ContainerEvent> = world.past.iter().filter(wanted).cloned().collect();
            // While the world is held nothing happens, so that nothing is lost or told twice.
            (past, self.events.subscribe())
        };
        let labels = labels.to_vec();
        let next = |(fake, mut events): (FakeDocker, tokio::sync::broadcast::Receiver<ContainerEvent>)| async move {
            loop {
                match tokio::time::timeout(GLANCE, events.recv()).await {
                    Ok(Ok(event)) => return Some((Ok(event), (fake, events))),
                    Ok(Err(RecvError::Closed)) => return None,
                    // Too slow a reader loses the oldest, as with the engine's own buffer.
                    Ok(Err(RecvError::Lagged(_))) => {}
                    Err(_quiet) => drop(fake.look()),
                }
            }
        };
        let wanted = move |event: &DockerResult<ContainerEvent>| {
            std::future::ready(event.as_ref().is_ok_and(|event| labels_match(&event.labels, &labels)))
        };
        let past = stream::iter(past.into_iter().map(Ok));
        Ok(past.chain(stream::unfold((self.clone(), coming), next)).filter(wanted).boxed())
    }

    async fn probe(&self, id: &str, words: &[String], _: Duration) -> DockerResult<Probe> {
        let world = self.called("probe", id)?;
        let id = world.find(id)?;
        let Some(one) = world.containers.get(&id) else { return Ok(Probe::default()) };
        if one.state != State::Running {
            let (thing, message) = (format!("container `{}`", one.name), format!("container {id} is not running"));
            return Err(DockerError::Conflict { operation: "run a command in", thing, message });
        }
        // It has no programs but the usual three, and its own health check. The one that takes long takes too long.
        Ok(match words.first().map(String::as_str) {
            Some("true") => Probe { exit_code: Some(0), output: String::new() },
            Some("sleep") => Probe::default(),
            Some("false") => Probe { exit_code: Some(1), output: String::new() },
            _ => one.probed(),
        })
    }

    async fn stats(&self, id: &str) -> DockerResult<Stats> {
        let world = self.called("stats", id)?;
        let id = world.find(id)?;
        Ok(world.stats(&id))
    }

    async fn image(&self, name: &str) -> DockerResult<Option<Image>> {
        Ok(self.called("image", name)?.find_image(name).ok().map(|found| found.image.clone()))
    }

    async fn images(&self, labels: Filter<'_>, prefix: Option<&str>) -> DockerResult<Vec<Image>> {
        let world = self.called("images", "engine")?;
        let wanted = |image: &&Image| {
            labels_match(&image.labels, labels)
                && prefix.is_none_or(|prefix| image.tags.iter().any(|tag| tag.starts_with(prefix)))
        };
        Ok(world.images.iter().map(|one| &one.image).filter(wanted).cloned().collect())
    }

    async fn tag(&self, image: &str, repo: &str, tag: &str) -> DockerResult<()> {
        self.called("tag", image)?.tag(image, repo, tag)
    }

    async fn import(&self, _: Vec<u8>, repo: &str, tag: &str, _: &[&str]) -> DockerResult<()> {
        let mut world = self.called("import", repo)?;
        world.calls.push(format!("import {repo}:{tag}"));
        world.add_image(&format!("{repo}:{tag}"), Behaviour::default());
        Ok(())
    }

    async fn untag(&self, reference: &str) -> DockerResult<()> {
        self.called("untag", reference)?.untag(reference)
    }

    async fn networks(&self, labels: Filter<'_>) -> DockerResult<Vec<Network>> {
        let world = self.called("networks", "engine")?;
        Ok(world.networks.values().filter(|one| labels_match(&one.labels, labels)).cloned().collect())
    }

    async fn network(&self, name: &str) -> DockerResult<Option<Network>> {
        Ok(self.called("network", name)?.inspect_network(name))
    }

    async fn create_network(&self, spec: &NetworkSpec) -> DockerResult<Network> {
        self.called("create_network", &spec.name)?.create_network(spec)
    }

    async fn remove_network(&self, name: &str) -> DockerResult<()> {
        self.called("remove_network", name)?.remove_network(name)
    }

    async fn connect_at(
        &self,
        network: &str,
        container: &str,
        aliases: &[String],
        address: Option<IpAddr>,
    ) -> DockerResult<()> {
        self.called("connect", container)?.connect(network, container, aliases, address)
    }

    async fn disconnect(&self, network: &str, container: &str) -> DockerResult<()> {
        self.called("disconnect", container)?.disconnect(network, container)
    }

    async fn volumes(&self, labels: Filter<'_>) -> DockerResult<Vec<Volume>> {
        let world = self.called("volumes", "engine")?;
        Ok(world.volumes.values().filter(|one| labels_match(&one.labels, labels)).cloned().collect())
    }

    async fn volume(&self, name: &str) -> DockerResult<Option<Volume>> {
        Ok(self.called("volume", name)?.volumes.get(name).cloned())
    }

    async fn volume_sizes(&self) -> DockerResult<BTreeMap<String, u64>> {
        let world = self.called("volume_sizes", "engine")?;
        let size = |name: &String| (name.clone(), world.sizes.get(name).copied().unwrap_or_default());
        Ok(world.volumes.keys().map(size).collect())
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> DockerResult<Volume> {
        Ok(self.called("create_volume", &spec.name)?.create_volume(spec))
    }

    async fn remove_volume(&self, name: &str) -> DockerResult<()> {
        self.called("remove_volume", name)?.remove_volume(name)
    }
}

/// The number of a signal by its name, with or without `SIG`; 0 for what no system knows.
fn number(signal: &str) -> u32 {
    let name = format!("SIG{}", signal.trim_start_matches("SIG"));
    let known = name.parse::<nix::sys::signal::Signal>().ok().map(|signal| signal as i32);
    known.or_else(|| signal.parse().ok()).and_then(|number| u32::try_from(number).ok()).unwrap_or_default()
}

/// The fake does not remember when a line was written: all of them were written now.
fn stamped(line: LogLine, at_ns: i64) -> StampedLine {
    StampedLine { at_ns, stream: line.stream, line: line.line }
}

impl FakeDocker {
    fn now_ns(&self) -> i64 {
        self.look().map_or(0, |world| world.clock.now_ms() * 1_000_000)
    }

    /// One line of a log, and whether more may come.
    fn line(&self, id: &str, at: usize) -> DockerResult<(Option<LogLine>, bool)> {
        let world = self.look()?;
        let one = world.containers.get(id);
        Ok((one.and_then(|one| one.log.get(at).cloned()), one.is_some_and(|one| one.state.is_up())))
    }
}
