//! The real engine, over its socket.
//!
//! Requests carry no API version, so the daemon answers in its own newest one: this is what bollard 0.21 does
//! whatever it is told, and it also survives an engine upgraded under a running agent. We read only fields that
//! are the same from API 1.41 on. With bollard 0.22 a version is pinned and must be negotiated after connecting.

mod containers;
mod exec;
mod images;
mod networks;
mod parts;
mod refusal;
mod streams;
mod translate;
mod volumes;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use bollard::API_DEFAULT_VERSION;
use futures_util::stream::BoxStream;

use super::{
    Container, ContainerDetail, ContainerEvent, ContainerSpec, Docker, DockerError, DockerResult, Image, LogLine,
    LogRange, Network, NetworkSpec, Probe, StampedLine, Stats, Version, Volume, VolumeSpec,
};

/// Where the engine listens unless somebody says otherwise.
pub const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
/// An engine that needs longer for a simple question is in trouble, and we say so.
const PATIENCE: Duration = Duration::from_secs(30);
/// Making and removing things moves data on a disk that may be slow.
const LONG_PATIENCE: Duration = Duration::from_secs(120);
/// bollard's own limit, in seconds: out of the way, for its one limit would also cut off silent log streams.
const NEVER: u64 = 10 * 365 * 24 * 3600;

/// A Docker Engine behind a Unix socket or plain HTTP.
#[derive(Debug, Clone)]
pub struct Engine {
    client: bollard::Docker,
    host: String,
}

impl Engine {
    /// Prepares the connection; `ping` is the first call that proves it. `host` is what `DOCKER_HOST` would hold
    /// (`unix:///run/docker.sock`, `tcp://127.0.0.1:2375`, or just a path); `None` is the usual socket.
    pub fn connect(host: Option<&str>) -> DockerResult<Self> {
        let host = host.map(str::trim).filter(|host| !host.is_empty()).unwrap_or(DEFAULT_HOST);
        let client = match host.split_once("://") {
            None => bollard::Docker::connect_with_unix(host, NEVER, API_DEFAULT_VERSION),
            Some(("unix", path)) => bollard::Docker::connect_with_unix(path, NEVER, API_DEFAULT_VERSION),
            Some(("tcp" | "http", _)) => bollard::Docker::connect_with_http(host, NEVER, API_DEFAULT_VERSION),
            Some(_) => Err(bollard::errors::Error::UnsupportedURISchemeError { uri: host.to_owned() }),
        };
        let unreachable = |error| DockerError::NotReachable { host: host.to_owned(), source: Some(Box::new(error)) };
        Ok(Self { client: client.map_err(unreachable)?, host: host.to_owned() })
    }

    /// Where it listens, as a value for `DOCKER_HOST`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What tells this engine from every other, whichever way leads to it.
    pub async fn id(&self) -> DockerResult<String> {
        let info = self.ask("ask for the identity of", "the engine", PATIENCE, self.client.info()).await?;
        Ok(info.id.unwrap_or_default())
    }

    /// Puts one question, with a limit of its own, and names it in whatever goes wrong.
    async fn ask<T>(
        &self,
        operation: &'static str,
        thing: impl Into<String>,
        limit: Duration,
        question: impl Future<Output = Result<T, bollard::errors::Error>> + Send,
    ) -> DockerResult<T> {
        let thing = thing.into();
        match tokio::time::timeout(limit, question).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(refusal::explain(&self.host, operation, thing, error)),
            Err(_) => Err(DockerError::Timeout { operation, thing }),
        }
    }
}

/// `None` for what is not there, so that absence is an answer and not an error.
fn absent_is_none<T>(answer: DockerResult<T>) -> DockerResult<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(DockerError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A name becomes part of a request path, where some characters would make it another request.
fn plain(kind: &str, name: &str) -> DockerResult<String> {
    let thing = format!("{kind} `{name}`");
    let odd = |c: char| c.is_control() || c.is_whitespace() || "?#%\\".contains(c);
    if name.is_empty() || name.contains(odd) || name.split('/').any(|part| part == ".." || part == ".") {
        return Err(DockerError::NotFound(thing));
    }
    Ok(thing)
}

#[async_trait]
impl Docker for Engine {
    async fn ping(&self) -> DockerResult<Version> {
        let version = self.ask("ask for the version of", "the engine", PATIENCE, self.client.version()).await?;
        Ok(Version { engine: version.version.unwrap_or_default(), api: version.api_version.unwrap_or_default() })
    }
    async fn list(&self, labels: &[(String, String)], all: bool) -> DockerResult<Vec<Container>> {
        containers::list(self, labels, all).await
    }
    async fn inspect(&self, id: &str) -> DockerResult<Option<ContainerDetail>> {
        absent_is_none(containers::inspect(self, id).await)
    }
    async fn create(&self, spec: &ContainerSpec) -> DockerResult<String> {
        containers::create(self, spec).await
    }
    async fn start(&self, id: &str) -> DockerResult<()> {
        let thing = plain("container", id)?;
        self.ask("start", thing, LONG_PATIENCE, self.client.start_container(id, None)).await
    }
    async fn stop(&self, id: &str, grace: Duration) -> DockerResult<()> {
        containers::stop(self, id, grace).await
    }
    async fn kill(&self, id: &str, signal: &str) -> DockerResult<()> {
        containers::kill(self, id, signal).await
    }
    async fn remove(&self, id: &str, force: bool) -> DockerResult<()> {
        containers::remove(self, id, force).await
    }
    async fn rename(&self, id: &str, name: &str) -> DockerResult<()> {
        containers::rename(self, id, name).await
    }
    async fn logs(&self, id: &str, tail: usize) -> DockerResult<Vec<String>> {
        streams::logs(self, id, tail).await
    }
    async fn follow_logs(&self, id: &str, tail: usize) -> DockerResult<BoxStream<'static, DockerResult<LogLine>>> {
        streams::follow(self, id, tail).await
    }
    async fn read_log(
        &self,
        id: &str,
        range: &LogRange,
    ) -> DockerResult<BoxStream<'static, DockerResult<StampedLine>>> {
        streams::read(self, id, range).await
    }

    async fn events_since(
        &self,
        labels: &[(String, String)],
        since_ms: Option<i64>,
    ) -> DockerResult<BoxStream<'static, DockerResult<ContainerEvent>>> {
        streams::events(self, labels, since_ms).await
    }
    async fn probe(&self, id: &str, words: &[String], timeout: Duration) -> DockerResult<Probe> {
        exec::probe(self, id, words, timeout).await
    }
    async fn stats(&self, id: &str) -> DockerResult<Stats> {
        containers::stats(self, id).await
    }
    async fn image(&self, name: &str) -> DockerResult<Option<Image>> {
        absent_is_none(images::inspect(self, name).await)
    }
    async fn images(&self, labels: &[(String, String)], prefix: Option<&str>) -> DockerResult<Vec<Image>> {
        images::list(self, labels, prefix).await
    }
    async fn tag(&self, image: &str, repo: &str, tag: &str) -> DockerResult<()> {
        images::tag(self, image, repo, tag).await
    }
    async fn import(&self, archive: Vec<u8>, repo: &str, tag: &str, lines: &[&str]) -> DockerResult<()> {
        images::import(self, archive, repo, tag, lines).await
    }
    async fn untag(&self, reference: &str) -> DockerResult<()> {
        images::untag(self, reference).await
    }
    async fn networks(&self, labels: &[(String, String)]) -> DockerResult<Vec<Network>> {
        networks::list(self, labels).await
    }
    async fn network(&self, name: &str) -> DockerResult<Option<Network>> {
        absent_is_none(networks::inspect(self, name).await)
    }
    async fn create_network(&self, spec: &NetworkSpec) -> DockerResult<Network> {
        networks::create(self, spec).await
    }
    async fn remove_network(&self, name: &str) -> DockerResult<()> {
        let thing = plain("network", name)?;
        self.ask("remove", thing, PATIENCE, self.client.remove_network(name)).await
    }
    async fn connect_at(
        &self,
        network: &str,
        container: &str,
        aliases: &[String],
        address: Option<IpAddr>,
    ) -> DockerResult<()> {
        networks::connect(self, network, container, aliases, address).await
    }
    async fn disconnect(&self, network: &str, container: &str) -> DockerResult<()> {
        networks::disconnect(self, network, container).await
    }
    async fn volumes(&self, labels: &[(String, String)]) -> DockerResult<Vec<Volume>> {
        volumes::list(self, labels).await
    }
    async fn volume(&self, name: &str) -> DockerResult<Option<Volume>> {
        absent_is_none(volumes::inspect(self, name).await)
    }
    async fn volume_sizes(&self) -> DockerResult<BTreeMap<String, u64>> {
        volumes::sizes(self).await
    }
    async fn create_volume(&self, spec: &VolumeSpec) -> DockerResult<Volume> {
        volumes::create(self, spec).await
    }
    async fn remove_volume(&self, name: &str) -> DockerResult<()> {
        volumes::remove(self, name).await
    }
}
