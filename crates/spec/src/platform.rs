//! `mainstay.yaml` as it is written: nothing is filled in here, an absent key stays `None`.
//! The doc comments of these types are the reference page, so they are written for the person who edits the file.

mod edge;
mod limits;
mod migrate;
mod network;
mod notification;
mod read;
mod reader;
mod replace;
mod route;
mod service;
mod source;
mod trust;
mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{EnvironmentName, PlatformName, ServiceName};
use crate::problem::Problems;
use crate::units::{Bytes, Money, Percent, duration};

pub use edge::{
    AccessLogSettings, AccessLogWritten, CertificateSettings, EdgeSettings, SheddingSettings, TcpSettings, TlsSettings,
};
pub use limits::{Priority, RateBy, RateSettings, RouteLimitSettings};
pub use migrate::{MigrateSettings, MigrationKind};
pub use network::Network;
pub use notification::{NoticeKind, NotificationSettings};
pub use replace::{FinishSettings, RollingSettings};
pub use route::{
    ClientCertificate, HeaderChanges, HeaderSettings, HstsSettings, HstsWritten, RedirectSettings, RouteSettings,
    StickySettings, StickyWritten,
};
pub use service::{
    CheckKind, EdgeHealthSettings, EdgeHealthWritten, HealthSettings, HealthWritten, HoldSettings, OutlierSettings,
    ServiceProtocol, ServiceSettings, SharedData, StatusRange,
};
pub use source::Source;
pub use trust::{CanaryBy, CanarySettings, Pause, SoakSettings, SoakWritten};
pub use words::{Bind, Intruders, ResourceMode, Strategy};

/// The version of the file format that this program reads.
pub const VERSION: u32 = 1;

/// How a platform is operated: its environments, services, hooks and promises.
/// The containers themselves stay described in the compose file beside it.
/// A top-level key that begins with `x-` is yours: it is kept and never judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("patternProperties" = { "^x-": true }, "additionalProperties" = false))]
pub struct PlatformFile {
    /// The version of this format; always 1.
    #[schemars(extend("const" = 1))]
    pub version: u32,
    /// The name of the platform; without it the name of the Compose project is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<PlatformName>,
    /// The compose files, in the order in which Compose merges them; `compose.yaml` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<OneOrMany<String>>")]
    pub compose: Option<Vec<String>>,
    /// Whether CPU and memory limits are scaled down to what the host has; `declared` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceMode>,
    /// The environment that is meant when a command names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_environment: Option<EnvironmentName>,
    /// Refuses every command that does not name its environment; `false` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_environment: Option<bool>,
    /// How many releases are kept to roll back to, their images protected from pruning; 5 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub keep_releases: Option<u32>,
    /// The environments by name; without any, every environment name is accepted and uses the defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environments: BTreeMap<EnvironmentName, Environment>,
    /// How each service of the compose file is operated; what is not written is derived from the compose file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<ServiceName, ServiceSettings>,
    /// Whether a deploy of several services is one: when one of them fails, those that have already switched go back;
    /// `false` if not given, and a command can ask for it with `--all-or-nothing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all_or_nothing: Option<bool>,
    /// What becomes of a container that writes to a database's files and belongs to no release: a `docker compose up`
    /// by habit, a second server started by hand; `stop` if not given. Whoever writes other data is told of and left
    /// running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intruders: Option<Intruders>,
    /// Commands that run around builds, deploys and rollbacks.
    #[serde(default, skip_serializing_if = "Hooks::is_empty")]
    pub hooks: Hooks,
    /// Who is told when something happens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMany<NotificationSettings>")]
    pub notifications: Vec<NotificationSettings>,
    /// What the owners promised their users; judged from recorded evidence.
    #[serde(default, skip_serializing_if = "Promises::is_empty")]
    pub promises: Promises,
    /// The keys that begin with `x-`.
    #[serde(flatten)]
    #[schemars(skip)]
    pub extensions: BTreeMap<String, Value>,
    /// Where each key was written.
    #[serde(skip)]
    #[schemars(skip)]
    pub source: Source,
}

/// One place the platform runs in, such as staging or production.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// The domain of this environment; services that publish a port on every address get `<service>.<domain>` where `edge` listens, which is port 80 if it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The files with environment variables for Compose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<OneOrMany<String>>")]
    pub env_file: Option<Vec<String>>,
    /// Compose files merged after the platform's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<OneOrMany<String>>")]
    pub compose: Option<Vec<String>>,
    /// The Compose profiles that are switched on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<OneOrMany<String>>")]
    pub profiles: Option<Vec<String>>,
    /// Where the edge listens for this environment, with which certificates, and what it writes down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<EdgeSettings>,
    /// Overrides the platform's `resources` here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceMode>,
    /// The share of the host that this environment may use, for hosts that carry several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitSettings>,
    /// The machines that this environment belongs on, by host name or machine id; elsewhere every command is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<OneOrMany<String>>")]
    pub host: Option<Vec<String>>,
    /// Asks for the environment's name to be typed before anything is changed; `false` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<bool>,
    /// Settings of services that differ here; each key that is given replaces the platform's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<ServiceName, ServiceSettings>,
}

/// How much CPU and memory something may use.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitSettings {
    /// Processors, such as `0.5` or `2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
    /// Memory, such as `512m` or `2g`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
}

/// Commands that run around the work of the program; each is one job or a list of jobs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hooks {
    /// Before images are built; a failure stops the deploy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMany<Hook>")]
    pub pre_build: Vec<Hook>,
    /// Before the first container of a release starts; a failure stops the deploy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMany<Hook>")]
    pub pre_deploy: Vec<Hook>,
    /// After traffic has moved to the new release; a failure is reported and undoes nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMany<Hook>")]
    pub post_deploy: Vec<Hook>,
    /// After a deploy has failed and everything is as it was before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMany<Hook>")]
    pub deploy_failed: Vec<Hook>,
    /// After a rollback has moved traffic back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMany<Hook>")]
    pub post_rollback: Vec<Hook>,
}

/// One command of a hook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// The program and its arguments as separate words; no shell is involved.
    pub command: Vec<String>,
    /// How long it may take; 5 minutes if not given.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub timeout: Option<Duration>,
    /// The service in whose newest container it runs; without it the command runs on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
}

/// What the owners promised their users.
/// Unknown never counts as kept.
/// Beside the keys below, `cost_per_<thing>` promises what one thing costs at most, such as `cost_per_video: $3`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(extend(
    "patternProperties" = { "^cost_per_[a-z0-9_]+$": { "type": "string", "format": "money" } },
    "additionalProperties" = false
))]
pub struct Promises {
    /// The longest time from the decision to roll back until traffic is on the old release.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub rollback: Option<Duration>,
    /// The longest time that a deploy takes.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub deploy: Option<Duration>,
    /// The longest time from a lost host to a serving platform.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub recovery: Option<Duration>,
    /// The most data, in time, that may be lost in a recovery.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub data_loss: Option<Duration>,
    /// The longest time from a failure until a person is told.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub alert: Option<Duration>,
    /// The longest time that 95 of 100 requests take.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub response: Option<Duration>,
    /// The share of time in which the platform answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime: Option<Percent>,
    /// The most that one thing costs, by the whole key, such as `cost_per_video`.
    #[serde(flatten)]
    #[schemars(skip)]
    pub costs: BTreeMap<String, Money>,
}

/// Either one value or a list of values.
#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[expect(
    dead_code,
    reason = "only its shape is used: it tells the JSON schema that a list may be written as one value"
)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

/// Reads a platform file, and reports everything that is wrong with it at once.
/// `file` is the name that the problems carry.
pub fn parse(text: &str, file: &str) -> Result<PlatformFile, Problems> {
    read::platform_file(text, file)
}

impl Default for PlatformFile {
    /// What a compose file without a platform file means: everything is derived.
    fn default() -> Self {
        PlatformFile {
            version: VERSION,
            platform: None,
            compose: None,
            resources: None,
            default_environment: None,
            require_environment: None,
            keep_releases: None,
            all_or_nothing: None,
            intruders: None,
            environments: BTreeMap::new(),
            services: BTreeMap::new(),
            hooks: Hooks::default(),
            notifications: Vec::new(),
            promises: Promises::default(),
            extensions: BTreeMap::new(),
            source: Source::default(),
        }
    }
}

impl Hooks {
    /// Whether there is no hook at all.
    pub fn is_empty(&self) -> bool {
        *self == Hooks::default()
    }
}

impl Promises {
    /// Whether nothing is promised.
    pub fn is_empty(&self) -> bool {
        *self == Promises::default()
    }
}
