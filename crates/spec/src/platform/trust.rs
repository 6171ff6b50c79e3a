//! How a new release earns its traffic: step by step before the switch, watched after it.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::InvalidUnit;
use crate::units::{Percent, compact_duration, duration, parse_duration};

/// The watch after the switch: a time, or a mapping with more to say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum SoakWritten {
    /// How long; `0s` is not at all.
    Time(
        #[serde(with = "duration")]
        #[schemars(schema_with = "duration::schema")]
        Duration,
    ),
    /// Everything that can be said about it.
    Settings(SoakSettings),
}

/// When a new release counts as worse than the one before it, and traffic goes back by itself.
/// The same words judge each step of a canary.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SoakSettings {
    /// How long it is watched after the switch; 30 seconds if not given, for a service with routes.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub time: Option<Duration>,
    /// With fewer requests nothing is known, and the release stays; 50 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests: Option<u32>,
    /// Up to this share of answers from 500 on is never too much; 5% if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<Percent>,
    /// So many times the old release's share is too much; 2 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub errors_factor: Option<f64>,
    /// So many times the old release's p95 (the time within which 95 of 100 answers come) is too slow; 2 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub p95_factor: Option<f64>,
    /// Up to this p95 is never too slow; 500 ms if not given.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub p95_floor: Option<Duration>,
}

/// Lets a new release take a growing share of the requests before it gets all of them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CanarySettings {
    /// The shares, each larger than the one before; 5%, 25%, 50% if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<Percent>>,
    /// How long each is judged before the next, or `manual`: until `mainstay canary promote`; 2 minutes if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// Whether every request is drawn by itself or a client stays with its release; `cookie` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<CanaryBy>,
}

/// How requests are shared between two releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CanaryBy {
    /// A client keeps its release by a cookie; who has seen the new one goes on seeing it.
    #[default]
    Cookie,
    /// Every request is drawn by itself.
    Weight,
}

/// What ends a step of a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// So much time without anything bad.
    Time(Duration),
    /// A person.
    Manual,
}

impl Pause {
    /// Reads `2m` or `manual`.
    pub fn parse(text: &str) -> Result<Self, InvalidUnit> {
        if text.trim() == MANUAL {
            return Ok(Pause::Manual);
        }
        parse_duration(text).map(Pause::Time).map_err(|invalid| InvalidUnit {
            kind: "a pause",
            allowed: "a time such as `2m`, or `manual`",
            nearest: crate::problem::nearest(text, [MANUAL]).or(invalid.nearest),
            ..invalid
        })
    }
}

const MANUAL: &str = "manual";

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pause::Time(time) => f.pad(&compact_duration(*time)),
            Pause::Manual => f.pad(MANUAL),
        }
    }
}

impl Serialize for Pause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pause {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Pause::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Pause {
    fn schema_name() -> Cow<'static, str> {
        "Pause".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "duration or `manual`" })
    }
}
