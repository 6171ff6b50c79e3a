//! The resolved platform: every value filled in, with the reason beside what was derived.

mod edge;
mod replace;
mod route;
mod trust;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::compose::Restart;
use crate::data::DataMount;
use crate::defaults;
use crate::ids::{EnvironmentName, PlatformName, ServiceName};
use crate::platform::{Intruders, Promises, ResourceMode, ServiceProtocol, StatusRange, Strategy};
use crate::units::{Bytes, duration};

pub use edge::{AccessLog, CertificateFiles, Detect, EdgePlan, HttpPort, Shedding, TcpPort};
pub use replace::{Finish, Rolling};
pub use route::{Redirect, Route, Sticky};
pub use trust::{Canary, Limits as SoakLimits, Migration};

/// What the host has.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HostSize {
    /// Processors.
    pub cpus: f64,
    /// Memory.
    pub memory: Bytes,
}

/// A platform in one environment, ready to be planned for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Platform {
    /// The platform's name.
    pub name: PlatformName,
    /// The environment.
    pub environment: EnvironmentName,
    /// The environment's domain.
    pub domain: Option<String>,
    /// The services that run, each after what it depends on.
    pub services: Vec<ServicePlan>,
    /// Where the edge listens for plain HTTP, such as `0.0.0.0:80`.
    pub http: Vec<String>,
    /// Where the edge listens for HTTPS.
    #[serde(default)]
    pub https: Vec<String>,
    /// Certificates, trust, logging and ports.
    #[serde(default)]
    pub edge: EdgePlan,
    /// The compose files, the environment's own last.
    #[serde(default)]
    pub compose: Vec<String>,
    /// The files with environment variables.
    #[serde(default)]
    pub env_file: Vec<String>,
    /// The Compose profiles that are on.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// Whether the environment's name must be typed before a change.
    #[serde(default)]
    pub confirm: bool,
    /// Commands around the work.
    pub hooks: HookPlan,
    /// What was promised.
    pub promises: Promises,
    /// Whether a deploy of several services is one.
    #[serde(default)]
    pub all_or_nothing: bool,
    /// What becomes of a container of nobody's that writes to a database's files.
    #[serde(default)]
    pub intruders: Intruders,
    /// How many releases are kept.
    pub keep_releases: u32,
    /// What was done to the limits.
    pub resources: ResourceReport,
}

/// How one service is operated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServicePlan {
    /// The service.
    pub name: ServiceName,
    /// How a new release takes over.
    pub strategy: Strategy,
    /// Why this strategy.
    pub reason: String,
    /// The port inside the container.
    pub port: Option<u16>,
    /// How a new container proves that it is ready.
    pub health: Health,
    /// What the edge sends to it.
    pub routes: Vec<Route>,
    /// How long the old release may finish requests.
    #[serde(with = "duration")]
    pub drain: Duration,
    /// How long WebSockets may stay open.
    #[serde(with = "duration")]
    pub drain_websocket: Duration,
    /// How long the old release stays ready.
    #[serde(with = "duration")]
    pub warm: Duration,
    /// How long the new release is watched.
    #[serde(with = "duration")]
    pub soak: Duration,
    /// When it counts as worse than the old one.
    #[serde(default)]
    pub soak_limits: SoakLimits,
    /// The shares of requests that it takes before the switch.
    #[serde(default)]
    pub canary: Option<Canary>,
    /// What runs before the new containers start.
    pub migrate: Option<Migration>,
    /// What waits while it restarts.
    pub hold: Hold,
    /// In which batches its copies are replaced.
    #[serde(default)]
    pub rolling: Rolling,
    /// How it is told to take nothing new.
    #[serde(default)]
    pub finish: Option<Finish>,
    /// How long it may take to end, where it is a job.
    #[serde(default = "job_timeout", with = "duration")]
    pub job_timeout: Duration,
    /// What it speaks.
    #[serde(default)]
    pub protocol: ServiceProtocol,
    /// How the edge asks its copies all the time.
    #[serde(default)]
    pub edge_health: Option<EdgeHealth>,
    /// When a copy that answers badly rests.
    #[serde(default)]
    pub outlier: Option<Outlier>,
    /// How long a copy that comes takes to get its full share.
    #[serde(default, with = "duration")]
    pub slow_start: Duration,
    /// How long the edge tries to connect.
    #[serde(default = "connect_timeout", with = "duration")]
    pub connect_timeout: Duration,
    /// How long it may keep silent.
    #[serde(default = "response_timeout", with = "duration")]
    pub response_timeout: Duration,
    /// How long a container may take to stop.
    #[serde(with = "duration")]
    pub stop_grace: Duration,
    /// Its limits, after scaling.
    pub limits: Limits,
    /// How many copies run.
    #[serde(default = "one")]
    pub replicas: u32,
    /// The mounts through which it writes data; `None` in the record of a release from before they were looked at.
    #[serde(default)]
    pub data: Option<Vec<DataMount>>,
    /// The owner's word that two releases may write side by side.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared_data: bool,
    /// Why it is a database, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// What must be there before it starts.
    pub depends_on: Vec<ServiceName>,
    /// Those of them after whose replacement or restart it is restarted, too.
    #[serde(default)]
    pub restart_with: Vec<ServiceName>,
    /// When Docker restarts it.
    #[serde(default)]
    pub restart: Restart,
    /// Why each value is what it is, by the name of the value.
    #[serde(default)]
    pub reasons: BTreeMap<String, String>,
    /// What an operator should know about it.
    pub warnings: Vec<String>,
}

/// How a new container proves that it is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// What is asked.
    pub check: Check,
    /// The first pause between two checks.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// The pause grows up to this.
    #[serde(with = "duration")]
    pub max_interval: Duration,
    /// How long one check may take.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Checks in a row that must pass.
    pub successes: u32,
    /// How long it may take altogether.
    #[serde(with = "duration")]
    pub budget: Duration,
    /// Whether a health check that the image brings along has to pass as well: neither file says how health is told.
    #[serde(default)]
    pub with_images_own: bool,
}

/// What a health check asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Check {
    /// A path answers with an accepted status.
    Http {
        /// The path.
        path: String,
        /// The port.
        port: u16,
        /// The accepted answers.
        status: StatusRange,
        /// The `Host` that is asked for: that of the service's requests. `localhost` where it has none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        /// Whether the service's requests come over HTTPS, which `X-Forwarded-Proto` says.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        https: bool,
    },
    /// The server says by gRPC's health protocol that it is serving.
    Grpc {
        /// The port.
        port: u16,
        /// The gRPC service that is asked for; empty for the whole server.
        #[serde(default)]
        service: String,
        /// Whether a server without that protocol is unhealthy; otherwise it proves itself as with `Tcp`.
        must_answer: bool,
    },
    /// The port accepts connections, and the container is still the same 5 seconds later.
    Tcp {
        /// The port.
        port: u16,
    },
    /// The health check of the image or the compose file passes, run in the container as Docker runs it.
    Docker,
    /// The container has been running for 5 seconds.
    Stable,
}

/// How the edge asks a service's copies all the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeHealth {
    /// The path, on the port that serves; empty where gRPC's health protocol is asked instead.
    pub path: String,
    /// The gRPC service that is asked for (empty for the whole server); `None` where a path is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<String>,
    /// The `Host` that is asked for; the copy's own address where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Whether `X-Forwarded-Proto` says `https`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub https: bool,
    /// The pause between two checks.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// How long one may take.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Failures in a row that leave a copy out.
    pub fall: u32,
    /// Successes in a row that bring it back.
    pub rise: u32,
    /// Whether a single copy is asked too: to leave out the only one turns a slow answer into an outage.
    pub even_alone: bool,
}

/// When a copy that answers badly rests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlier {
    /// Failures in a row.
    pub failures: u32,
    /// How long it rests the first time.
    #[serde(with = "duration")]
    pub eject: Duration,
}

/// A command that runs once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The words.
    pub command: Vec<String>,
    /// How long it may take.
    #[serde(with = "duration")]
    pub timeout: Duration,
}

/// A command of a hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookJob {
    /// What runs.
    #[serde(flatten)]
    pub job: Job,
    /// The service in whose container it runs; `None` for the host.
    pub service: Option<ServiceName>,
}

/// The commands around the work.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HookPlan {
    /// Before images are built.
    pub pre_build: Vec<HookJob>,
    /// Before the first container starts.
    pub pre_deploy: Vec<HookJob>,
    /// After traffic has moved.
    pub post_deploy: Vec<HookJob>,
    /// After a deploy has failed.
    pub deploy_failed: Vec<HookJob>,
    /// After a rollback.
    pub post_rollback: Vec<HookJob>,
}

/// What waits while a service that never runs twice is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// How long a request waits.
    #[serde(with = "duration")]
    pub time: Duration,
    /// How many wait.
    pub requests: u32,
    /// How much memory they may take.
    pub bytes: Bytes,
}

/// CPU and memory limits of one container.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Processors.
    pub cpus: Option<f64>,
    /// Memory.
    pub memory: Option<Bytes>,
}

/// What was done to the limits so that they fit the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResourceReport {
    /// What was asked for.
    pub mode: ResourceMode,
    /// CPU limits were multiplied by this.
    pub factor_cpu: f64,
    /// Memory limits were multiplied by this.
    pub factor_memory: f64,
    /// What was changed and why, for the plan.
    pub lines: Vec<String>,
}

impl ServicePlan {
    /// A service with this strategy and every default.
    pub fn new(name: ServiceName, strategy: Strategy) -> Self {
        ServicePlan {
            name,
            strategy,
            reason: String::new(),
            port: None,
            health: Health::default(),
            routes: Vec::new(),
            drain: defaults::DRAIN,
            drain_websocket: defaults::DRAIN_WEBSOCKET,
            warm: defaults::WARM,
            soak: defaults::SOAK,
            soak_limits: SoakLimits::default(),
            canary: None,
            migrate: None,
            hold: Hold::default(),
            rolling: Rolling::default(),
            finish: None,
            job_timeout: defaults::JOB_RUNS,
            protocol: ServiceProtocol::default(),
            edge_health: None,
            outlier: None,
            slow_start: Duration::ZERO,
            connect_timeout: defaults::CONNECT_TIMEOUT,
            response_timeout: defaults::RESPONSE_TIMEOUT,
            stop_grace: defaults::STOP_GRACE,
            limits: Limits::default(),
            replicas: 1,
            data: None,
            shared_data: false,
            database: None,
            depends_on: Vec::new(),
            restart_with: Vec::new(),
            restart: Restart::default(),
            reasons: BTreeMap::new(),
            warnings: Vec::new(),
        }
    }
}

impl ServicePlan {
    /// What it writes, where two releases at once could damage that.
    pub fn guarded(&self) -> &[DataMount] {
        self.data.as_deref().filter(|_| !self.shared_data).unwrap_or_default()
    }

    /// A mount of this service and one of the other that lead to the same data.
    pub fn shared_with<'p>(&'p self, other: &'p ServicePlan) -> Option<(&'p DataMount, &'p DataMount)> {
        let (mine, theirs) = (self.data.as_deref()?, other.data.as_deref()?);
        mine.iter().find_map(|one| Some((one, theirs.iter().find(|two| one.meets(two))?)))
    }

    /// Whether the edge stands before its port and carries bytes to it.
    pub fn carries_bytes(&self) -> bool {
        let is_behind = !matches!(self.strategy, Strategy::Keep | Strategy::Job);
        self.protocol == ServiceProtocol::Tcp && self.port.is_some() && is_behind
    }
}

impl Platform {
    /// The service of this name.
    pub fn service(&self, name: &str) -> Option<&ServicePlan> {
        self.services.iter().find(|service| service.name.as_str() == name)
    }
}

impl Default for Health {
    fn default() -> Self {
        Health {
            check: Check::Stable,
            interval: defaults::HEALTH_INTERVAL,
            max_interval: defaults::HEALTH_MAX_INTERVAL,
            timeout: defaults::HEALTH_TIMEOUT,
            successes: defaults::HEALTH_SUCCESSES,
            budget: defaults::HEALTH_BUDGET,
            with_images_own: false,
        }
    }
}

impl Default for Hold {
    fn default() -> Self {
        Hold { time: defaults::HOLD_TIME, requests: defaults::HOLD_REQUESTS, bytes: defaults::HOLD_BYTES }
    }
}

impl Default for ResourceReport {
    fn default() -> Self {
        ResourceReport { mode: ResourceMode::Declared, factor_cpu: 1.0, factor_memory: 1.0, lines: Vec::new() }
    }
}

fn job_timeout() -> Duration {
    defaults::JOB_RUNS
}

fn one() -> u32 {
    1
}

fn connect_timeout() -> Duration {
    defaults::CONNECT_TIMEOUT
}

fn response_timeout() -> Duration {
    defaults::RESPONSE_TIMEOUT
}

impl std::fmt::Display for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Check::Http { path, port, host: Some(host), .. } => write!(f, "HTTP {path} on port {port} as {host}"),
            Check::Http { path, port, .. } => write!(f, "HTTP {path} on port {port}"),
            Check::Grpc { port, service, must_answer } => {
                let whom = if service.is_empty() { String::new() } else { format!(" for {service}") };
                let or = if *must_answer { "" } else { ", or a connection and 5 stable seconds where it has none" };
                write!(f, "gRPC health{whom} on port {port}{or}")
            }
            Check::Tcp { port } => write!(f, "a connection to port {port} and 5 stable seconds"),
            Check::Docker => f.write_str("Docker's health check"),
            Check::Stable => f.write_str("5 stable seconds"),
        }
    }
}
