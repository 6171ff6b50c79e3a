//! What the machine can do with a Docker Engine: one trait, the real `Engine`, and an honest `FakeDocker`.
//!
//! Containers are started by Compose; this trait looks, waits, stops, removes, names and connects.
//! `create` is here for one-off containers and for tests.

mod check;
mod engine;
mod fake;
mod parts;
pub mod pause;
mod types;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

pub use crate::error::DockerError;
pub use check::{HealthCheck, Probe};
pub use engine::{DEFAULT_HOST, Engine};
pub use fake::{Behaviour, FakeDocker, HealthScript};
pub use parts::{MountKind, MountPoint, NetworkMember, PublishedPort};
pub use types::{
    AddressPool, Attachment, Container, ContainerDetail, ContainerEvent, ContainerSpec, Environment, Health,
    HealthSpec, Image, Labels, LogLine, LogRange, Mount, Network, NetworkSpec, Restart, StampedLine, State, Stats,
    Version, Volume, VolumeSpec,
};

/// Which of a program's two outputs a line came from.
pub use crate::process::Stream;

/// The answer of every call.
pub type DockerResult<T> = Result<T, DockerError>;

/// A Docker Engine. Where a container is asked for, its id, a unique beginning of the id, or its name will do.
///
/// Label filters are pairs that must all match; an empty value asks only that the label is there.
#[async_trait]
pub trait Docker: Send + Sync {
    /// Proves that the engine answers, and tells its version.
    async fn ping(&self) -> DockerResult<Version>;

    /// The containers with these labels: the running ones, or with `all` every one that exists.
    async fn list(&self, labels: &[(String, String)], all: bool) -> DockerResult<Vec<Container>>;
    /// Everything about one container, `None` when it does not exist.
    async fn inspect(&self, id: &str) -> DockerResult<Option<ContainerDetail>>;
    /// Makes a container without starting it and returns its id. The image must be on this machine already.
    async fn create(&self, spec: &ContainerSpec) -> DockerResult<String>;
    /// Starts it; a running container is left as it is.
    async fn start(&self, id: &str) -> DockerResult<()>;
    /// Asks it to end, and after `grace` makes it end; a stopped container is left as it is.
    async fn stop(&self, id: &str, grace: Duration) -> DockerResult<()>;
    /// Sends a signal (`SIGHUP`, `SIGKILL`, ..); a container that does not run is a `Conflict`.
    async fn kill(&self, id: &str, signal: &str) -> DockerResult<()>;
    /// Removes it and never a volume, not even one without a name; a running container only with `force`, else a
    /// `Conflict`.
    async fn remove(&self, id: &str, force: bool) -> DockerResult<()>;
    /// Gives it another name; a name that is taken is a `Conflict`.
    async fn rename(&self, id: &str, name: &str) -> DockerResult<()>;
    /// The last `tail` lines of both outputs, oldest first.
    async fn logs(&self, id: &str, tail: usize) -> DockerResult<Vec<String>>;
    /// The last `tail` lines and then every new one, until the container ends or the stream is dropped.
    async fn follow_logs(&self, id: &str, tail: usize) -> DockerResult<BoxStream<'static, DockerResult<LogLine>>>;
    /// Lines of a log with their times, by a range; without `follow` the stream ends at the newest line.
    async fn read_log(&self, id: &str, range: &LogRange)
    -> DockerResult<BoxStream<'static, DockerResult<StampedLine>>>;
    /// What happens to containers with these labels, from this call on: nothing between call and first poll is lost.
    /// Without labels: what happens to any container.
    async fn events(
        &self,
        labels: &[(String, String)],
    ) -> DockerResult<BoxStream<'static, DockerResult<ContainerEvent>>> {
        self.events_since(labels, None).await
    }
    /// As `events`, and first what happened from this moment (Unix milliseconds) on, as far as the engine remembers:
    /// its last few hundred events.
    async fn events_since(
        &self,
        labels: &[(String, String)],
        since_ms: Option<i64>,
    ) -> DockerResult<BoxStream<'static, DockerResult<ContainerEvent>>>;
    /// Runs a command inside a running container, as its user, in its folder and with its variables. One that takes
    /// longer than `timeout` is killed.
    async fn probe(&self, id: &str, words: &[String], timeout: Duration) -> DockerResult<Probe>;
    /// What the container uses now; zeros when it does not run.
    async fn stats(&self, id: &str) -> DockerResult<Stats>;

    /// The image of this name or id, `None` when this machine does not have it.
    async fn image(&self, name: &str) -> DockerResult<Option<Image>>;
    /// The images with these labels that have a tag beginning with `prefix` (any image when `None`).
    async fn images(&self, labels: &[(String, String)], prefix: Option<&str>) -> DockerResult<Vec<Image>>;
    /// Gives an image another name, taking the name away from whatever had it.
    async fn tag(&self, image: &str, repo: &str, tag: &str) -> DockerResult<()>;
    /// Makes an image of one layer from an archive of its files (tar), with lines as in a Dockerfile (`ENTRYPOINT [..]`).
    async fn import(&self, archive: Vec<u8>, repo: &str, tag: &str, lines: &[&str]) -> DockerResult<()>;
    /// Takes a name away. The last name takes the image with it, which is a `Conflict` while a container uses it.
    async fn untag(&self, reference: &str) -> DockerResult<()>;

    /// The networks with these labels.
    async fn networks(&self, labels: &[(String, String)]) -> DockerResult<Vec<Network>>;
    /// One network by name or id.
    async fn network(&self, name: &str) -> DockerResult<Option<Network>>;
    /// Makes a network; a second one of the same name is a `Conflict`.
    async fn create_network(&self, spec: &NetworkSpec) -> DockerResult<Network>;
    /// Removes a network; `Conflict` while a container is on it.
    async fn remove_network(&self, name: &str) -> DockerResult<()>;
    /// Puts a container on a network under these extra names.
    async fn connect(&self, network: &str, container: &str, aliases: &[String]) -> DockerResult<()> {
        self.connect_at(network, container, aliases, None).await
    }
    /// As `connect`, at this address, which is the container's from then on; only on a network whose subnet was chosen.
    async fn connect_at(
        &self,
        network: &str,
        container: &str,
        aliases: &[String],
        address: Option<IpAddr>,
    ) -> DockerResult<()>;
    /// Takes a container off a network.
    async fn disconnect(&self, network: &str, container: &str) -> DockerResult<()>;

    /// The volumes with these labels.
    async fn volumes(&self, labels: &[(String, String)]) -> DockerResult<Vec<Volume>>;
    /// One volume by name.
    async fn volume(&self, name: &str) -> DockerResult<Option<Volume>>;
    /// How many bytes are in each volume, by name; one whose driver cannot tell is left out. The engine counts file by
    /// file, so this takes long where there is much.
    async fn volume_sizes(&self) -> DockerResult<BTreeMap<String, u64>>;
    /// Makes a volume; one that is there already is left as it is.
    async fn create_volume(&self, spec: &VolumeSpec) -> DockerResult<Volume>;
    /// Removes a volume and what is in it; `Conflict` while a container uses it.
    async fn remove_volume(&self, name: &str) -> DockerResult<()>;
}

/// Whether `labels` satisfy a filter as `Docker` means it.
pub fn labels_match(labels: &Labels, filter: &[(String, String)]) -> bool {
    filter.iter().all(|(key, value)| labels.get(key).is_some_and(|have| value.is_empty() || have == value))
}
