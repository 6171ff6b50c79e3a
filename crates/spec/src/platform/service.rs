//! How one service is operated, as it is written.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::replace::{FinishSettings, RollingSettings};
use super::route::{RouteSettings, RouteWritten};
use super::{CanarySettings, LimitSettings, MigrateSettings, OneOrMany, SoakWritten, Strategy};
use crate::units::{Bytes, duration};

/// How one service of the compose file is operated.
/// Every key may be left out: it is then derived from the compose file, and `mainstay config render` shows from what.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceSettings {
    /// How a new release takes over from the old one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// The port that the service listens on inside its container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// How a new container proves that it is ready: an HTTP path such as `/health`, or a mapping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthWritten>,
    /// What the edge sends to this service: one route or a list; a route is a path such as `/api`, or a mapping.
    #[serde(default, alias = "route", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<OneOrMany<RouteWritten>>")]
    pub routes: Option<Vec<RouteSettings>>,
    /// How long the old release may finish requests, after the switch or before it is stopped; 30 seconds if not given.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub drain: Option<Duration>,
    /// How long WebSockets and streams of gRPC may go on after the switch; 60 seconds if not given.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub drain_websocket: Option<Duration>,
    /// How long the old release stays ready for an instant rollback; 15 minutes if not given.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub warm: Option<Duration>,
    /// How long the new release is watched after the switch, or a mapping with more to say; 30 seconds if not given.
    /// Where it answers worse than the old one, traffic goes back by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soak: Option<SoakWritten>,
    /// Lets the new release take a growing share of the requests before the switch; off if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanarySettings>,
    /// A command that runs in the new image before the new containers start, such as a database migration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrate: Option<MigrateSettings>,
    /// How many requests wait, and how long, while a service that never runs twice is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldSettings>,
    /// In which batches the copies are replaced, where the strategy is `rolling`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolling: Option<RollingSettings>,
    /// How a worker is told to take nothing new, where the strategy is `drain-first`; without it the stop signal says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<FinishSettings>,
    /// How long a job may take to end; 30 minutes if not given.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub job_timeout: Option<Duration>,
    /// What the service speaks; if not given, `tcp` on a port that is known for something else than HTTP, and otherwise `http`.
    /// On a published port of which nothing proves HTTP (a health check over HTTP, a route, a proxy's label, this key) each connection is looked at, and what is no HTTP request is carried as bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<ServiceProtocol>,
    /// Whether the edge asks the health check (HTTP or gRPC) all the time and leaves out copies that fail: `true`, `false`, or a mapping.
    /// On if not given, where there are several copies; a single one is never left out unless it is written here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge_health: Option<EdgeHealthWritten>,
    /// Lets a copy that fails several requests in a row rest, never the last one; off if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlier: Option<OutlierSettings>,
    /// A copy that comes gets its full share of requests only after so long; at once if not given.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub slow_start: Option<Duration>,
    /// How long the edge tries to connect; 2 seconds if not given.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub connect_timeout: Option<Duration>,
    /// How long the service may keep silent, before its answer and inside it; 60 seconds if not given. Inside an answer, streams of events, WebSockets and gRPC may be silent for ever.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub response_timeout: Option<Duration>,
    /// How long a container may take to stop before it is killed; Compose's `stop_grace_period` or 10 seconds if not given.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub stop_grace: Option<Duration>,
    /// Replaces the CPU and memory limits of the compose file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitSettings>,
    /// `safe` is your word that several containers may write this service's data at the same time: two of its releases
    /// during a deploy, and services of other environments and platforms. Refused for a database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_data: Option<SharedData>,
}

/// What is known about several writers of one service's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SharedData {
    /// They may write side by side.
    Safe,
    /// Only one may write; so it is if not given.
    Guarded,
}

/// A health check: an HTTP path, or a mapping with more to say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum HealthWritten {
    /// The path that must answer, such as `/health`.
    Path(String),
    /// Everything that can be said about a health check.
    Settings(HealthSettings),
}

/// How a new container proves that it is ready.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthSettings {
    /// The kind of check; `http` if a path is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckKind>,
    /// The HTTP path that must answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The host name that the HTTP check asks for; that of the service's first route if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The gRPC service that must be serving, such as `shop.Orders`; the whole server if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The port to ask; the service's own if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// The answers that count as healthy, such as `200` or `200-299`; `200-399` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusRange>,
    /// The first pause between two checks; 250 ms if not given.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub interval: Option<Duration>,
    /// The pause grows up to this; 1 second if not given.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub max_interval: Option<Duration>,
    /// How long one check may take; 5 seconds if not given. A declared check (`docker`) has the time that it declares.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub timeout: Option<Duration>,
    /// How many checks in a row must pass; 2 if not given, and 1 of `docker`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub successes: Option<u32>,
    /// How long this service may take to become healthy; never shared with others; 60 seconds if not given.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub budget: Option<Duration>,
}

/// The kinds of health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CheckKind {
    /// A path answers with an accepted status.
    Http,
    /// The server says by gRPC's health protocol (`grpc.health.v1`) that it is serving.
    Grpc,
    /// The port accepts connections.
    Tcp,
    /// The health check of the image or the compose file passes, run in the container as Docker runs it.
    Docker,
    /// The container has been running for 5 seconds.
    Stable,
}

/// What a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceProtocol {
    /// HTTP/1.1, and WebSockets.
    #[default]
    Http,
    /// gRPC, and other things over HTTP/2 without TLS. Clients may still come over HTTP/1.1 where they call no streams.
    Grpc,
    /// Bytes in both directions, as a mail server's; the edge carries them and reads nothing.
    Tcp,
}

/// The edge's own health checks: on or off, or a mapping with more to say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum EdgeHealthWritten {
    /// On or off.
    Switch(bool),
    /// On, in other words than the defaults.
    Settings(EdgeHealthSettings),
}

/// How the edge asks a health check all the time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EdgeHealthSettings {
    /// The path; that of `health` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The pause between two checks; 5 seconds if not given.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub interval: Option<Duration>,
    /// How long one check may take; that of `health`, but not longer than `interval`, if not given.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub timeout: Option<Duration>,
    /// So many failures in a row leave a copy out; 3 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub fall: Option<u32>,
    /// So many successes in a row bring it back; 2 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub rise: Option<u32>,
}

/// When a copy that answers badly rests.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutlierSettings {
    /// So many failures in a row (answers from 500 on, broken connections) let a copy rest; 5 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub failures: Option<u32>,
    /// For how long the first time; longer with each time; 10 seconds if not given.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub eject: Option<Duration>,
}

/// The HTTP status codes from one to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StatusWritten", into = "String")]
pub struct StatusRange {
    /// The first code that counts.
    pub from: u16,
    /// The last code that counts.
    pub to: u16,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum StatusWritten {
    Code(u16),
    Text(String),
}

/// What waits while an exclusive service restarts; what does not fit is answered 503 with `Retry-After`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldSettings {
    /// How long a request waits; 30 seconds if not given.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub time: Option<Duration>,
    /// How many requests wait; 1,000 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u32>,
    /// How much memory the waiting requests may take; 64 MB if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Bytes>,
}

impl StatusRange {
    /// Reads `200` or `200-299`.
    pub fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        let range = StatusRange { from: from.trim().parse().ok()?, to: to.trim().parse().ok()? };
        let legal = 100 <= range.from && range.from <= range.to && range.to <= 599;
        legal.then_some(range)
    }

    /// Whether this code counts as healthy.
    pub fn contains(&self, code: u16) -> bool {
        self.from <= code && code <= self.to
    }
}

impl From<StatusRange> for String {
    fn from(range: StatusRange) -> String {
        if range.from == range.to { range.from.to_string() } else { format!("{}-{}", range.from, range.to) }
    }
}

impl TryFrom<StatusWritten> for StatusRange {
    type Error = String;
    fn try_from(written: StatusWritten) -> Result<Self, String> {
        let text = match written {
            StatusWritten::Code(code) => code.to_string(),
            StatusWritten::Text(text) => text,
        };
        StatusRange::parse(&text).ok_or_else(|| format!("`{text}` is not a range of HTTP status codes"))
    }
}

impl JsonSchema for StatusRange {
    fn schema_name() -> Cow<'static, str> {
        "StatusRange".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"], "format": "status", "pattern": "^[1-5][0-9]{2}( ?- ?[1-5][0-9]{2})?$" })
    }
}
