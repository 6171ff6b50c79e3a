//! What Docker tells and is told, in our own words: no field of the wire is optional without a reason.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::check::{HealthCheck, Probe};
use super::parts::{MountPoint, NetworkMember, PublishedPort};
use crate::process::Stream;

pub type Labels = BTreeMap<String, String>;

/// The engine's own version and the API version that our calls are answered in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    pub engine: String,
    pub api: String,
}

/// One line of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    pub id: String,
    /// Without the leading slash.
    pub name: String,
    /// The reference it was created from.
    pub image: String,
    pub image_id: String,
    pub labels: Labels,
    pub state: State,
    /// Docker's verdict on a container that runs and has a health check.
    #[serde(default)]
    pub health: Option<Health>,
    pub created_ms: i64,
    /// By network name, while it runs.
    pub addresses: BTreeMap<String, IpAddr>,
    /// By where they appear inside.
    #[serde(default)]
    pub mounts: Vec<MountPoint>,
    /// Only while it runs.
    #[serde(default)]
    pub published: Vec<PublishedPort>,
}

/// Everything about one container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerDetail {
    pub id: String,
    pub name: String,
    pub image: String,
    pub image_id: String,
    pub labels: Labels,
    pub state: State,
    /// `None` when neither the image nor the container declares a health check, or when it does not run.
    pub health: Option<Health>,
    /// What Docker runs to know that; `None` where nothing is declared or it is switched off.
    #[serde(skip)]
    pub health_check: Option<HealthCheck>,
    /// The last of Docker's own runs of it.
    #[serde(skip)]
    pub last_probe: Option<Probe>,
    /// `None` while it runs and before its first start.
    pub exit_code: Option<i64>,
    pub oom_killed: bool,
    pub restart_count: u64,
    #[serde(default)]
    pub restart: Restart,
    pub created_ms: i64,
    /// `None` before the first start.
    pub started_ms: Option<i64>,
    /// `None` before the first end.
    pub finished_ms: Option<i64>,
    /// By network name. An address is there only while the container runs.
    pub networks: BTreeMap<String, Attachment>,
    /// Host process id, `None` when it does not run.
    pub pid: Option<u32>,
    /// The file by which its network namespace is entered, `None` when it does not run.
    #[serde(default)]
    pub sandbox: Option<String>,
    /// What the engine itself could not do with it (a port taken, a command missing).
    pub error: Option<String>,
    /// Bytes; `None` without a limit.
    #[serde(default)]
    pub memory: Option<u64>,
    /// Thousand-millionths of a processor; `None` without a limit.
    #[serde(default)]
    pub nano_cpus: Option<u64>,
    /// By where they appear inside.
    #[serde(default)]
    pub mounts: Vec<MountPoint>,
    /// What it answers on while it runs; what it asks for otherwise.
    #[serde(default)]
    pub published: Vec<PublishedPort>,
    /// The engine's word: a network's name, `host`, `none`, `container:<id>`, `default`.
    #[serde(default)]
    pub network_mode: Option<String>,
    /// The polite signal (`SIGINT`, `15`); `None`: SIGTERM.
    #[serde(default)]
    pub stop_signal: Option<String>,
    /// How long it may take to end; `None`: the engine's own ten seconds.
    #[serde(default)]
    pub stop_timeout: Option<Duration>,
    /// The words after the entry point, its image's own among them. A word may be a secret.
    #[serde(default)]
    pub command: Vec<String>,
    #[serde(default)]
    pub entrypoint: Vec<String>,
    /// Its variables, which may be secrets: they are never written anywhere.
    #[serde(skip)]
    pub env: Environment,
}

/// Variables of a container or an image. Printed, it shows the names only; it is never serialised.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// From Docker's `NAME=value` words.
    pub fn new<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> Self {
        let pair = |word: S| {
            let (name, value) = word.as_ref().split_once('=').unwrap_or((word.as_ref(), ""));
            (name.to_owned(), value.to_owned())
        };
        Self(words.into_iter().map(pair).collect())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// How a container sits on one network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    pub address: Option<IpAddr>,
    /// Its address of version 6 where it has one beside the other.
    #[serde(default)]
    pub address_v6: Option<IpAddr>,
    pub aliases: Vec<String>,
    /// The address that was asked for, whether it runs or not.
    #[serde(default)]
    pub fixed: Option<IpAddr>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    #[default]
    Created,
    Running,
    Restarting,
    Paused,
    Exited,
    /// Broken or being removed: of no more use.
    Dead,
}

impl State {
    /// It has a living process.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    Starting,
    Healthy,
    Unhealthy,
}

impl Health {
    /// Docker's own word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// A container to create.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerSpec {
    pub name: String,
    pub image: String,
    /// Empty: the image's own command.
    pub command: Vec<String>,
    pub env: Vec<(String, String)>,
    pub labels: Labels,
    /// `None`: the default bridge.
    pub network: Option<String>,
    /// Extra names on that network.
    pub aliases: Vec<String>,
    /// Its address there, on a network whose subnet was chosen; `None`: the engine picks one.
    pub address: Option<IpAddr>,
    pub health: Option<HealthSpec>,
    /// Bytes; swap is not added on top.
    pub memory: Option<u64>,
    pub mounts: Vec<Mount>,
    pub published: Vec<PublishedPort>,
    pub restart: Restart,
    /// `None`: what the image says.
    pub stop_signal: Option<String>,
    /// `None`: the engine's own.
    pub stop_timeout: Option<Duration>,
    /// A tiny init as process 1, so that signals have their usual effect.
    pub init: bool,
    /// No capability, no new right, and nothing that can be written.
    pub confined: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthSpec {
    /// The words to run inside the container; status 0 is healthy.
    pub command: Vec<String>,
    pub interval: Duration,
    pub timeout: Duration,
    pub retries: u32,
    pub start_period: Duration,
}

/// A volume name or an absolute host path, and where it appears inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    pub source: String,
    pub target: String,
    pub read_only: bool,
}

/// What the engine does when the container's process ends by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    #[default]
    No,
    /// So many times; 0 is without an end.
    OnFailure(u32),
    Always,
    UnlessStopped,
}

impl Restart {
    /// Whether an end with this code is one that the engine leaves alone.
    pub fn leaves(self, code: i64) -> bool {
        match self {
            Self::No => true,
            Self::OnFailure(_) => code == 0,
            Self::Always | Self::UnlessStopped => false,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    pub id: String,
    /// `repo:tag`, sorted.
    pub tags: Vec<String>,
    /// `repo@sha256:..`: only images that came from or went to a registry have one.
    pub digests: Vec<String>,
    pub labels: Labels,
    pub size: u64,
    pub created_ms: i64,
    /// The paths that its `VOLUME` lines declare, sorted; empty in a listing, as is all that follows.
    #[serde(default)]
    pub volumes: Vec<String>,
    /// What its `EXPOSE` lines declare (`5432/tcp`), sorted.
    #[serde(default)]
    pub exposed: Vec<String>,
    #[serde(default)]
    pub entrypoint: Vec<String>,
    #[serde(default)]
    pub command: Vec<String>,
    /// `None`: SIGTERM.
    #[serde(default)]
    pub stop_signal: Option<String>,
    /// When a name was last given to it on this machine: by a pull, a build, or by hand.
    #[serde(default)]
    pub tagged_ms: Option<i64>,
    /// What its containers get.
    #[serde(skip)]
    pub env: Environment,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    pub id: String,
    pub name: String,
    pub driver: String,
    pub internal: bool,
    /// The host's own address on a bridge network.
    pub gateway: Option<IpAddr>,
    pub subnet: Option<String>,
    /// All that the engine tells of its addresses, untouched: a gateway that was not asked for may be missing.
    #[serde(default)]
    pub pools: Vec<AddressPool>,
    #[serde(default)]
    pub attachable: bool,
    #[serde(default)]
    pub ipv6: bool,
    /// The driver's own options.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    pub labels: Labels,
    /// Who runs on it; empty in a listing.
    #[serde(default)]
    pub containers: Vec<NetworkMember>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSpec {
    pub name: String,
    pub driver: String,
    /// No way out of the machine.
    pub internal: bool,
    /// None at all: the engine picks a free one.
    pub pools: Vec<AddressPool>,
    /// Containers made by hand may join an overlay network.
    pub attachable: bool,
    pub ipv6: bool,
    /// The driver's own options.
    pub options: BTreeMap<String, String>,
    pub labels: Labels,
}

/// Addresses of a network, of version 4 or 6.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressPool {
    pub subnet: String,
    /// `None`: the first address of the subnet.
    #[serde(default)]
    pub gateway: Option<String>,
    /// Where in the subnet containers get their addresses; `None`: anywhere.
    #[serde(default)]
    pub range: Option<String>,
    /// Addresses that others than Docker's containers have, by name.
    #[serde(default)]
    pub reserved: BTreeMap<String, String>,
}

impl AddressPool {
    pub fn subnet(subnet: impl Into<String>) -> Self {
        Self { subnet: subnet.into(), ..Self::default() }
    }
}

impl NetworkSpec {
    /// A bridge network whose subnet the engine picks.
    pub fn bridge(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            driver: "bridge".to_owned(),
            internal: false,
            pools: Vec::new(),
            attachable: false,
            ipv6: false,
            options: BTreeMap::new(),
            labels: Labels::new(),
        }
    }

    /// Adds a label.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    pub name: String,
    pub driver: String,
    pub mountpoint: String,
    pub labels: Labels,
    /// The driver's own options: a share's address, a device.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// `None` where the driver does not tell.
    #[serde(default)]
    pub created_ms: Option<i64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VolumeSpec {
    pub name: String,
    /// `None`: `local`.
    pub driver: Option<String>,
    /// The driver's own options: a share's address, a device.
    pub options: BTreeMap<String, String>,
    pub labels: Labels,
}

/// What a container uses at this moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Processor time since its start.
    pub cpu_ns: u64,
    /// Memory that cannot be taken back: page cache is left out, as `docker stats` does.
    pub memory_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    pub stream: Stream,
    pub line: String,
}

/// Which part of a log is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogRange {
    /// Only the last lines; `None`: all.
    pub tail: Option<usize>,
    /// Only what was written at or after this moment, in Unix nanoseconds.
    pub since_ns: Option<i64>,
    /// Go on with new lines until the container ends.
    pub follow: bool,
}

/// A line and when it was written, in Unix nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StampedLine {
    pub at_ns: i64,
    pub stream: Stream,
    pub line: String,
}

/// Something happened to a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerEvent {
    pub id: String,
    /// Empty where the engine tells of a network.
    pub name: String,
    /// `network-connect` and `network-disconnect`, or the engine's word: `create`, `start`, `die`, `oom`, `kill`, `stop`, `destroy`, `rename`, `health_status: healthy`, ..
    pub action: String,
    pub at_ms: i64,
    pub exit_code: Option<i64>,
    /// Of a `kill`: the signal's number. A stop shows as a `kill` too, with the polite signal.
    #[serde(default)]
    pub signal: Option<u32>,
    pub labels: Labels,
}
