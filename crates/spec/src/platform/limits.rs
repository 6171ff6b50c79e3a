//! What one route may use up, as it is written.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::OneOrMany;
use crate::error::InvalidUnit;
use crate::units::{Bytes, duration};

/// What one route may use up; whatever is not written is not limited.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteLimitSettings {
    /// Requests in a time, such as `100/s`: a rate, a mapping, or a list of them, which must all agree.
    /// More are answered 429.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMany<RateWritten>")]
    pub rate: Vec<RateSettings>,
    /// Requests under way at a time; more wait in the queue, or are answered 503.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<u32>,
    /// Requests of one client under way at a time; more are answered 429.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight_per_client: Option<u32>,
    /// How many requests wait for a place among those under way; none if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<u32>,
    /// How long one waits there; 5 seconds if there is a queue.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub queue_time: Option<Duration>,
    /// The body of one request; more is answered 413.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Bytes>,
    /// Bytes per second that a client must send of a body, and take of an answer, on average, such as `1k`; `0` asks
    /// nothing, and 240 are asked if not given. WebSockets, server-sent events and gRPC are free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_rate: Option<Bytes>,
    /// From a request to the beginning of its answer; longer is answered 504.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub response: Option<Duration>,
    /// Who goes first when the machine is short; `normal` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
}

/// So many requests in so long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateSettings {
    /// How many requests.
    #[schemars(range(min = 1))]
    pub requests: u32,
    /// In how long; 1 second if not given.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub per: Option<Duration>,
    /// How many more may come at once after a quiet time; none if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// Whose requests are counted together: `client`, `route`, or `header:X-Api-Key`; `client` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<RateBy>,
}

/// A rate as a text, or as a mapping with more to say.
#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "only its shape is used: it tells the JSON schema that a rate may be written as a text")]
enum RateWritten {
    Text(#[schemars(schema_with = "rate_schema")] String),
    Settings(RateSettings),
}

fn rate_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "rate", "pattern": "^[0-9]+ ?/ ?[0-9a-z. ]+$" })
}

/// Whose requests are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RateBy {
    /// The client's address.
    #[default]
    Client,
    /// Everybody on the route.
    Route,
    /// The value of a header; requests without it count by client.
    Header(String),
}

/// Who goes first when the machine is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// Refused first: prefetching, feeds, reports.
    Low,
    /// Refused after those.
    #[default]
    Normal,
    /// Refused late: paying customers.
    High,
    /// Never refused: health checks, sign-in, payment hooks.
    Critical,
}

impl RouteLimitSettings {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == RouteLimitSettings::default()
    }
}

impl RateBy {
    /// Reads `client`, `route` or `header:X-Api-Key`.
    pub fn parse(text: &str) -> Result<Self, InvalidUnit> {
        let header = |name: &str| !name.is_empty() && name.bytes().all(super::words::is_token);
        match (text, text.split_once(':')) {
            ("client", _) => Ok(RateBy::Client),
            ("route", _) => Ok(RateBy::Route),
            (_, Some(("header", name))) if header(name.trim()) => Ok(RateBy::Header(name.trim().to_ascii_lowercase())),
            _ => Err(InvalidUnit {
                kind: "a way to count requests",
                found: text.to_owned(),
                allowed: "client, route, header:<name>",
                nearest: crate::problem::nearest(text, ["client", "route"]),
            }),
        }
    }
}

impl fmt::Display for RateBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RateBy::Client => f.write_str("client"),
            RateBy::Route => f.write_str("route"),
            RateBy::Header(name) => write!(f, "header:{name}"),
        }
    }
}

impl FromStr for RateBy {
    type Err = InvalidUnit;
    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        RateBy::parse(text)
    }
}

impl Serialize for RateBy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RateBy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RateBy::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for RateBy {
    fn schema_name() -> Cow<'static, str> {
        "RateBy".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "text", "pattern": "^(client|route|header: ?.+)$" })
    }
}
