//! What goes over the agent's socket.

use deploy::{Removed, Report, Said, Scope};
use serde::{Deserialize, Serialize};
use spec::ServiceName;

use crate::errors::Failure;

/// Work that changes something, done by the agent as one operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "work")]
pub enum Work {
    Up(deploy::up::Request),
    Rollback(deploy::rollback::Request),
    Scale(deploy::scale::Request),
    Down { scope: Scope, volumes: bool, by: String },
}

impl Work {
    pub fn word(&self) -> &'static str {
        match self {
            Work::Up(_) => "up",
            Work::Rollback(_) => "rollback",
            Work::Scale(_) => "scale",
            Work::Down { .. } => "down",
        }
    }

    pub fn by(&self) -> &str {
        match self {
            Work::Up(request) => &request.by,
            Work::Rollback(request) => &request.by,
            Work::Scale(request) => &request.by,
            Work::Down { by, .. } => by,
        }
    }
}

/// How an operation ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ended")]
pub enum Ended {
    Report { report: Report },
    Removed { removed: Removed },
    Failed { failure: Failure },
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
    pub by: String,
    pub started_ms: i64,
    pub ended_ms: Option<i64>,
    /// What to do again after a restart, when it can be done again.
    pub work: Option<Work>,
    pub ended: Option<Ended>,
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
    pub tail: usize,
    pub follow: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogLine {
    pub service: ServiceName,
    pub line: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct About {
    pub version: String,
    pub pid: u32,
    /// Size and modification time of the binary it runs, to notice an upgrade.
    pub binary: String,
}
