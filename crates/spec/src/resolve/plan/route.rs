//! A route with every value filled in that does not depend on where the edge listens.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::platform::{HeaderSettings, HstsWritten, RouteLimitSettings};
use crate::units::duration;

/// What the edge sends to a service, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Route {
    /// The host name; `None` for every host.
    pub host: Option<String>,
    /// The beginning of the path, `/` for all.
    pub path: String,
    /// Whether the path is taken away before the service sees the request.
    pub strip_prefix: bool,
    /// Among routes of the same host and path the higher one is asked first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
    /// Only these methods; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Clients are sent there, and the service is not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<Redirect>,
    /// Whether plain requests are sent to `https://`; `None` leaves it to where the edge listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https_only: Option<bool>,
    /// Whether browsers are told so; `None` leaves it to the certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hsts: Option<HstsWritten>,
    /// How a client is kept with one copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
    /// Changes to headers.
    #[serde(default, skip_serializing_if = "HeaderSettings::is_empty")]
    pub headers: HeaderSettings,
    /// Whether the client must show a certificate.
    #[serde(default, skip_serializing_if = "is_false")]
    pub client_certificate: bool,
    /// What it may use up, with the bursts and the waiting time filled in.
    #[serde(default, skip_serializing_if = "RouteLimitSettings::is_empty")]
    pub limits: RouteLimitSettings,
}

/// Where clients are sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// The address with its blanks.
    pub to: String,
    /// The answer's status.
    pub status: u16,
}

/// How a client is kept with one copy of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sticky {
    /// The cookie's name.
    pub cookie: String,
    /// How long the browser keeps it; `None` until it is closed.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Duration>,
}

impl Route {
    /// A plain route.
    pub fn new(host: Option<String>, path: impl Into<String>) -> Self {
        Route { host, path: path.into(), ..Route::default() }
    }

    /// Whether some request could match both, and nothing says which of the two is asked.
    pub fn meets(&self, other: &Route) -> bool {
        let same = self.host == other.host && self.path == other.path && self.priority == other.priority;
        let all = self.methods.is_empty() || other.methods.is_empty();
        same && (all || self.methods.iter().any(|method| other.methods.contains(method)))
    }

    /// Whether it takes everything that the other one could take, before it.
    pub(in crate::resolve) fn hides(&self, other: &Route) -> bool {
        let same = self.host == other.host && self.path == other.path;
        same && self.priority > other.priority && self.methods.is_empty()
    }

    /// What is special about it, in words; empty for a plain route.
    pub fn details(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut note = |is_there: bool, word: String| words.extend(is_there.then_some(word));
        note(self.strip_prefix, "prefix taken away".to_owned());
        note(self.priority != 0, format!("priority {}", self.priority));
        note(!self.methods.is_empty(), self.methods.join(" "));
        if let Some(Redirect { to, status }) = &self.redirect {
            note(true, format!("{status} to {to}"));
        }
        if let Some(https_only) = self.https_only {
            note(true, if https_only { "https only" } else { "http too" }.to_owned());
        }
        if let Some(hsts) = &self.hsts {
            note(true, format!("hsts {}", json(hsts)));
        }
        if let Some(sticky) = &self.sticky {
            note(true, format!("sticky by {}", sticky.cookie));
        }
        note(!self.headers.is_empty(), format!("headers {}", json(&self.headers)));
        note(self.client_certificate, "client certificate".to_owned());
        note(!self.limits.is_empty(), format!("limits {}", json(&self.limits)));
        words
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes what it may skip by reference")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes what it may skip by reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.host.as_deref().unwrap_or("*"), self.path)
    }
}
