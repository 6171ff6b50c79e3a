//! What the edge does for one environment, as it is written.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Bind, Network, OneOrMany};
use crate::ids::ServiceName;
use crate::units::{Bytes, duration};

/// Where the edge listens for this environment, with which certificates, and what it writes down.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EdgeSettings {
    /// Plain HTTP: a port (of every address, IPv4 and IPv6), or `address:port`, or a list of them. If not given, port 80, or the published port of the service that has the written route `/`, and only where some route leads anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<OneOrMany<Bind>>")]
    pub http: Option<Vec<Bind>>,
    /// HTTPS: a port, or `address:port`, or a list of them; off if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<OneOrMany<Bind>>")]
    pub https: Option<Vec<Bind>>,
    /// The certificates for `https`: one or a list; each host gets the one that names it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMany<CertificateSettings>")]
    pub certificates: Vec<CertificateSettings>,
    /// Makes certificates for the environment's own names with an authority of this machine, for development; `false` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_ca: Option<bool>,
    /// The file of the authorities that clients' certificates come from; routes say who must show one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<String>,
    /// How TLS is spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSettings>,
    /// Networks of proxies before the edge, whose word about the client is believed: one or a list; none if not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMany<Network>")]
    pub trusted_proxies: Vec<Network>,
    /// Whether those proxies begin every connection with a PROXY protocol header; others are then refused; `false` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<bool>,
    /// One JSON line per request: `true`, `false`, or a mapping; `true` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_log: Option<AccessLogWritten>,
    /// Refuses a part of the requests early when there are too many; off if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shedding: Option<SheddingSettings>,
    /// Ports whose bytes go to a service as they are, such as a database's: one or a list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMany<TcpSettings>")]
    pub tcp: Vec<TcpSettings>,
}

/// A certificate and its key, as PEM files beside the platform file or with their whole path.
/// A renewed file is taken over by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateSettings {
    /// The file with the certificate and those that signed it.
    pub chain: String,
    /// The file with its private key.
    pub key: String,
    /// The host names it is for, `*.example.com` for one label: one or a list; those in the certificate if not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMany<String>")]
    pub names: Vec<String>,
    /// Shown to clients that ask for no name we know; the first certificate if none says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<bool>,
}

/// How TLS is spoken.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// Refuses clients that cannot speak TLS 1.3; `false` if not given, which allows TLS 1.2 too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_13: Option<bool>,
}

/// The access log: on or off, or a mapping with more to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum AccessLogWritten {
    /// On or off.
    Switch(bool),
    /// On, in other words than the defaults.
    Settings(AccessLogSettings),
}

/// What is written about requests.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessLogSettings {
    /// The file; `access.log` in the edge's state folder if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// One of so many successful answers is written; errors and slow answers always are; 1 if not given, which writes all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub sample: Option<u32>,
    /// An answer that took longer is always written; 1 second if not given.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub slow: Option<Duration>,
    /// More query parameters whose values are hidden: one or a list.
    /// `token`, `password`, `secret`, `key`, `code` and `signature` always are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMany<String>")]
    pub mask: Vec<String>,
    /// Leaves the last part of clients' addresses out; `false` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask_client: Option<bool>,
    /// The file begins anew at this size, and the one before is kept; 64 MB if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate: Option<Bytes>,
}

/// When the machine is short, which part of the requests is refused so that the rest is served in time.
/// The `priority` of routes says who goes first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SheddingSettings {
    /// Requests under way in the whole edge at which `low` ones are refused; `normal` at one and a half times, `high` at twice.
    #[schemars(range(min = 1))]
    pub in_flight: u32,
    /// The time to an answer that is aimed at: above it the number shrinks, below it it grows back; it stays if not given.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub target: Option<Duration>,
}

/// A port whose bytes go to a service as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TcpSettings {
    /// Where the edge listens: a port (of every address, IPv4 and IPv6), or `address:port`.
    pub listen: Bind,
    /// The service.
    pub service: ServiceName,
    /// The port inside its container; the service's own if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// Silence that ends a connection; never if not given.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub idle: Option<Duration>,
    /// Tells the service the client's address by a PROXY protocol header, which it must expect; `false` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_proxy: Option<bool>,
}
