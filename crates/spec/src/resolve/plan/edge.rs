//! What the edge does for one environment, with every value filled in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ServicePlan;
use crate::defaults;
use crate::ids::ServiceName;
use crate::platform::{Network, ServiceProtocol};
use crate::units::{Bytes, duration};

/// Certificates, trust, logging and ports of one environment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EdgePlan {
    /// The certificates; one of them is the default if there are any.
    #[serde(default)]
    pub certificates: Vec<CertificateFiles>,
    /// Whether certificates for the environment's own names are made on this machine.
    #[serde(default)]
    pub local_ca: bool,
    /// The file of the authorities that clients' certificates come from.
    #[serde(default)]
    pub client_ca: Option<String>,
    /// TLS 1.3 only.
    #[serde(default)]
    pub only_13: bool,
    /// Networks of proxies that are believed.
    #[serde(default)]
    pub trusted_proxies: Vec<Network>,
    /// Whether they speak the PROXY protocol.
    #[serde(default)]
    pub proxy_protocol: bool,
    /// What is written about requests; `None` writes nothing.
    #[serde(default)]
    pub access_log: Option<AccessLog>,
    /// When requests are refused early; `None` never does.
    #[serde(default)]
    pub shedding: Option<Shedding>,
    /// Ports whose bytes go to a service as they are.
    #[serde(default)]
    pub tcp: Vec<TcpPort>,
    /// Ports of their own on which services answer whatever host is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<HttpPort>,
}

/// A port of its own for one service, on which it answers whatever host is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpPort {
    /// Where the edge listens, such as `0.0.0.0:8081`.
    pub listen: String,
    /// The service.
    pub service: ServiceName,
    /// How each connection is told apart where nothing proves that HTTP is spoken; `None` where something does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detect: Option<Detect>,
}

/// How a connection is looked at on a port of which nobody says what is spoken there. Whatever is not carried as
/// requests is carried as bytes, and so is a connection on which the server speaks first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detect {
    /// The port is one of web servers: what may be HTTP is taken for it.
    Likely,
    /// Only what surely is an HTTP/1 request to a server is taken for one.
    Unknown,
}

/// A certificate and its key, as they are written: relative to the platform file, or absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateFiles {
    /// The certificate and those that signed it.
    pub chain: String,
    /// The private key.
    pub key: String,
    /// The hosts it is for; empty for those in the certificate.
    #[serde(default)]
    pub names: Vec<String>,
    /// Shown to clients that ask for no known name.
    #[serde(default)]
    pub default: bool,
}

/// What is written about requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessLog {
    /// The file; `None` for the edge's own folder.
    pub file: Option<String>,
    /// One of so many successful answers.
    pub sample: u32,
    /// Slower answers always are.
    #[serde(with = "duration")]
    pub slow: Duration,
    /// More query parameters that are hidden.
    pub mask: Vec<String>,
    /// Whether the last part of clients' addresses is left out.
    pub mask_client: bool,
    /// The size at which it begins anew.
    pub rotate: Bytes,
}

/// When requests are refused early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shedding {
    /// Requests under way at which `low` ones are refused.
    pub in_flight: u32,
    /// The time to an answer that is aimed at.
    #[serde(default, with = "duration::optional")]
    pub target: Option<Duration>,
}

/// A port whose bytes go to a service as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpPort {
    /// Where the edge listens, such as `0.0.0.0:5433`.
    pub listen: String,
    /// The service.
    pub service: ServiceName,
    /// The port inside its container.
    pub port: u16,
    /// Silence that ends a connection; `None` never does.
    #[serde(default, with = "duration::optional")]
    pub idle: Option<Duration>,
    /// Whether the service is told the client's address.
    pub send_proxy: bool,
}

impl EdgePlan {
    /// How each published port of a service is reached and what is carried there, with the reason and the key that
    /// changes it; one line a port.
    pub fn ports_in_words(&self, plan: &ServicePlan) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for port in self.ports.iter().filter(|port| port.service == plan.name) {
            let carried = match port.detect {
                None => format!("requests, {}", proof(plan)),
                Some(Detect::Likely) => "requests, since it is a port of web servers, and bytes where a client or the server speaks something else; `protocol: http` or `tcp` decides it".to_owned(),
                Some(Detect::Unknown) => "requests where a client speaks HTTP/1, and bytes otherwise, since nothing says what it speaks; `protocol: http` or `tcp` decides it".to_owned(),
            };
            lines.extend(line(&port.listen, &plan.port.unwrap_or_default().to_string(), &carried));
        }
        for port in self.tcp.iter().filter(|port| port.service == plan.name && Some(port.port) == plan.port) {
            let reason = plan.reasons.get("protocol").map(|reason| format!(" ({reason})")).unwrap_or_default();
            let change = if plan.protocol == ServiceProtocol::Tcp { "; `protocol: http` carries requests" } else { "" };
            lines.extend(line(&port.listen, &port.port.to_string(), &format!("bytes{reason}{change}")));
        }
        lines
    }
}

/// `[::]` goes with `0.0.0.0` and is not said twice.
fn line(listen: &str, target: &str, carried: &str) -> Option<String> {
    let listen = match (listen.strip_prefix("0.0.0.0:"), listen.strip_prefix("[::]:")) {
        (Some(port), _) => format!("port {port} of the host"),
        (None, Some(_)) => return None,
        (None, None) => format!("{listen}, and no other address,"),
    };
    Some(format!("{listen} leads to its port {target}: {carried}"))
}

/// How it is known that HTTP is spoken.
fn proof(plan: &ServicePlan) -> String {
    let is_written = |key: &&str| plan.reasons.get(*key).is_some_and(|reason| reason.starts_with("written in"));
    match ["protocol", "routes", "health"].into_iter().find(is_written) {
        Some(key) => format!("since `{key}` is written for it"),
        None => match plan.reasons.get("port") {
            Some(reason) => format!("since {reason}"),
            None => "as it is written".to_owned(),
        },
    }
}

impl Default for AccessLog {
    fn default() -> Self {
        AccessLog {
            file: None,
            sample: defaults::ACCESS_LOG_SAMPLE,
            slow: defaults::ACCESS_LOG_SLOW,
            mask: Vec::new(),
            mask_client: false,
            rotate: defaults::ACCESS_LOG_ROTATE,
        }
    }
}
