//! What goes over the agent's socket.

use deploy::{Removed, Report, Said, Scope};
use serde::{Deserialize, Serialize};
use spec::{ReleaseId, ServiceName};

use crate::errors::Failure;

/// Work that changes something, done by the agent as one operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "work")]
pub enum Work {
    Up(deploy::up::Request),
    Rollback(deploy::rollback::Request),
    Scale(deploy::scale::Request),
    Restart(deploy::restart::Request),
    Prune(deploy::prune::Request),
    Down {
        scope: Scope,
        volumes: bool,
        /// Volumes that go by their name.
        #[serde(default)]
        named: Vec<String>,
        by: String,
    },
    ToCompose(deploy::to_compose::Request),
}

impl Work {
    pub fn word(&self) -> &'static str {
        match self {
            Work::Up(_) => "up",
            Work::Rollback(_) => "rollback",
            Work::Scale(_) => "scale",
            Work::Restart(_) => "restart",
            Work::Prune(_) => "prune",
            Work::Down { .. } => "down",
            Work::ToCompose(_) => "release-to-compose",
        }
    }

    pub fn by(&self) -> &str {
        match self {
            Work::Up(request) => &request.by,
            Work::Rollback(request) => &request.by,
            Work::Scale(request) => &request.by,
            Work::Restart(request) => &request.by,
            Work::Prune(request) => &request.by,
            Work::Down { by, .. } => by,
            Work::ToCompose(request) => &request.by,
        }
    }
}

/// What is asked of the agent, and whether it may wait for a change that is under way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Begin {
    pub work: Work,
    #[serde(default)]
    pub wait: bool,
}

/// How an operation ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ended")]
pub enum Ended {
    Report {
        report: Report,
    },
    Removed {
        removed: Removed,
    },
    Released {
        released: deploy::to_compose::Released,
    },
    Pruned {
        pruned: deploy::prune::Pruned,
    },
    Failed {
        failure: Failure,
    },
    /// Not ended: it waits for a person, and this command does not. Only the command line says this.
    Waits {
        operation: String,
    },
    /// Not ended: the caller has gone, and the agent goes on. Only the command line says this.
    Left {
        id: String,
    },
}

/// One line of an operation's stream.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    Said { ms: u64, said: Said },
    Ended { ms: u64, ended: Ended },
}

/// An operation as the ledger keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Operation {
    pub id: String,
    pub word: String,
    #[serde(default)]
    pub scope: Option<Scope>,
    pub by: String,
    pub started_ms: i64,
    pub ended_ms: Option<i64>,
    /// What to do again after a restart, when it can be done again.
    pub work: Option<Work>,
    pub ended: Option<Ended>,
}

impl Operation {
    /// `op12` is the twelfth.
    pub fn number(&self) -> u64 {
        self.id.trim_start_matches("op").parse().unwrap_or_default()
    }
}

/// Which platform and environment a folder means, and whether the environment's name must be typed before a change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Target {
    pub scope: Scope,
    pub confirm: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Started {
    pub id: String,
}

/// A platform found by its folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Locate {
    pub source: deploy::load::Source,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContainerOf {
    pub scope: Scope,
    pub service: ServiceName,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogsOf {
    pub scope: Scope,
    pub services: Vec<ServiceName>,
    /// Only this release's.
    pub release: Option<ReleaseId>,
    pub since_ms: Option<i64>,
    pub tail: usize,
    pub follow: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventsOf {
    /// Everything on this machine without it.
    pub scope: Option<Scope>,
    pub kind: Option<String>,
    pub service: Option<ServiceName>,
    pub tail: usize,
    pub follow: bool,
}

/// An event as it is told; the ledger's own has the same shape.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Told {
    pub seq: i64,
    pub at_ms: i64,
    pub kind: String,
    pub platform: String,
    pub environment: String,
    pub service: Option<String>,
    pub saga: Option<String>,
    pub data: serde_json::Value,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogLine {
    pub service: ServiceName,
    pub release: ReleaseId,
    /// Which of its containers.
    pub copy: u32,
    pub at_ms: i64,
    pub line: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct About {
    pub version: String,
    pub pid: u32,
    /// Size and modification time of the binary it runs, to notice an upgrade.
    pub binary: String,
    /// The engine that it works with.
    #[serde(default)]
    pub docker_host: Option<String>,
}
