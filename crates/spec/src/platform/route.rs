//! What the edge does with requests of one route, as it is written.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::OneOrMany;
use super::limits::RouteLimitSettings;
use crate::units::duration;

/// One route of the edge to this service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteSettings {
    /// The host name that is asked for, or `*.` and a name for every host below it; every host if not given. The exact name goes before wildcards, and the longest of those before the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The beginning of the path, cut at a `/`; `/` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Takes the path away before the service sees the request; `false` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strip_prefix: Option<bool>,
    /// Among routes of the same host and path the higher one is asked first; 0 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1000, max = 1000))]
    pub priority: Option<i32>,
    /// Only these methods, such as `GET`; all if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<OneOrMany<String>>")]
    pub methods: Option<Vec<String>>,
    /// Answers with another address instead of asking the service: the address, or a mapping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<RedirectWritten>")]
    pub redirect: Option<RedirectSettings>,
    /// Sends plain requests to `https://`; if not given `true` where the environment has `https`, but for ACME's path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https_only: Option<bool>,
    /// Tells browsers to use `https://` only: `true`, `false`, or a mapping.
    /// On if not given where `https` is on port 443 with certificates that are not from the local authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hsts: Option<HstsWritten>,
    /// Keeps a client with one copy of the service by a cookie: `true`, `false`, or a mapping; `false` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<StickyWritten>,
    /// Changes headers on their way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<HeaderSettings>,
    /// Whether the client must show a certificate that `client_ca` of the environment signed; `optional` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<ClientCertificate>,
    /// What the route may use up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<RouteLimitSettings>,
}

/// A route as a path, or as a mapping with more to say.
#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "only its shape is used: it tells the JSON schema that a route may be written as a path")]
pub(super) enum RouteWritten {
    Path(String),
    Settings(Box<RouteSettings>),
}

/// Where clients are sent instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedirectSettings {
    /// The address, such as `https://example.com{path}{query}`.
    /// `{scheme}`, `{host}`, `{path}`, `{rest}` (what follows the route's own path) and `{query}` are filled in.
    pub to: String,
    /// 301, 302, 303, 307 or 308; 308 if not given, which keeps method and body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 301, max = 308))]
    pub status: Option<u16>,
}

/// A redirect as an address, or as a mapping with more to say.
#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "only its shape is used: it tells the JSON schema that an address alone is enough")]
enum RedirectWritten {
    To(String),
    Settings(RedirectSettings),
}

/// `Strict-Transport-Security`: on or off, or a mapping with more to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum HstsWritten {
    /// On or off.
    Switch(bool),
    /// On, in other words than the defaults.
    Settings(HstsSettings),
}

/// How long browsers use `https://` only; sent over TLS only.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HstsSettings {
    /// How long browsers remember it; 365 days if not given.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub max_age: Option<Duration>,
    /// Whether it counts for every name below this one; `false` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subdomains: Option<bool>,
    /// Asks for a place in the list that browsers are shipped with, which is hard to leave; `false` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preload: Option<bool>,
}

/// Sticky clients: on or off, or a mapping with more to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum StickyWritten {
    /// On or off.
    Switch(bool),
    /// On, in other words than the defaults.
    Settings(StickySettings),
}

/// How a client is kept with one copy of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StickySettings {
    /// The cookie's name; `mainstay-` and the service's name if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
    /// How long the browser keeps it; until it is closed if not given.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub max_age: Option<Duration>,
}

/// Changes to headers on their way to the service and back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderSettings {
    /// Of the request, before the service sees it.
    #[serde(default, skip_serializing_if = "HeaderChanges::is_empty")]
    pub request: HeaderChanges,
    /// Of the service's answer, before the client sees it.
    #[serde(default, skip_serializing_if = "HeaderChanges::is_empty")]
    pub response: HeaderChanges,
}

/// Changes to headers, in the order remove, set, add.
/// `Host` and headers that belong to one connection cannot be changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderChanges {
    /// Headers with their values, instead of what was there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
    /// Headers with their values, beside what was there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub add: BTreeMap<String, String>,
    /// Headers that are taken away: a name or a list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMany<String>")]
    pub remove: Vec<String>,
}

/// Whether a client must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientCertificate {
    /// Without one the answer is 403.
    Required,
    /// It may show one.
    Optional,
}

impl HeaderChanges {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }
}

impl HeaderSettings {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.request.is_empty() && self.response.is_empty()
    }
}
