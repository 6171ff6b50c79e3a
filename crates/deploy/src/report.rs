//! How an operation ended, service by service.

use serde::{Deserialize, Serialize};
use spec::{ReleaseId, ServiceName, Strategy};

use crate::error::Ending;
use crate::judge::Judgement;
use crate::names::Scope;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    pub scope: Scope,
    pub services: Vec<ServiceReport>,
    pub ending: Ending,
    pub took_ms: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServiceReport {
    pub service: ServiceName,
    pub strategy: Strategy,
    pub release: Option<ReleaseId>,
    pub result: Outcome,
    pub took_ms: u64,
    /// From the container's start to healthy.
    pub healthy_after_ms: Option<u64>,
    /// From the beginning of the operation to the acknowledged switch.
    pub traffic_after_ms: Option<u64>,
    pub phases: Vec<Phase>,
    /// How the release did while it was watched.
    #[serde(default)]
    pub judged: Vec<Judgement>,
}

/// One step and how long it took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    pub step: String,
    pub ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Outcome {
    Done,
    Unchanged,
    /// Differs and is kept as it is.
    Held,
    Removed,
    Failed(Failure),
    /// It had switched, and went back because another service of its deploy failed.
    WentBack {
        because: String,
    },
    /// Something before it failed.
    NotReached,
}

/// What a person needs to know about a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub step: String,
    pub cause: String,
    /// The last lines the container wrote.
    pub logs: Vec<String>,
    /// The container that was kept for inspection.
    pub kept: Option<String>,
    pub ending: Ending,
    /// Where it was rolled back: what became of the traffic.
    #[serde(default)]
    pub traffic: Traffic,
}

/// What a roll-out that was undone has meant for those who use the service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Traffic {
    /// Nothing can be said: there was no release before it, or it has no traffic.
    #[default]
    Unsaid,
    /// It never left the release before.
    Stayed,
    /// The failed release had some of it, or all; the release before has all of it again.
    WentBack { release: ReleaseId },
    /// The release before was stopped, and was started again.
    RunsAgain { release: ReleaseId, away_ms: Option<u64> },
}

impl Failure {
    /// Whether the release had requests of everybody when it failed.
    pub fn is_of_a_watch(&self) -> bool {
        is_watch(&self.step)
    }
}

pub(crate) fn is_watch(step: &str) -> bool {
    step == "soak" || step.starts_with("watch-")
}

impl Report {
    pub fn new(scope: Scope, services: Vec<ServiceReport>, took_ms: u64) -> Report {
        let ending = services.iter().fold(Ending::Done, |worst, service| match &service.result {
            Outcome::Failed(failure) => worse(worst, failure.ending),
            Outcome::WentBack { .. } => worse(worst, Ending::RolledBack),
            _ => worst,
        });
        Report { scope, services, ending, took_ms }
    }

    pub fn failures(&self) -> impl Iterator<Item = (&ServiceReport, &Failure)> {
        self.services.iter().filter_map(|service| match &service.result {
            Outcome::Failed(failure) => Some((service, failure)),
            _ => None,
        })
    }
}

fn worse(one: Ending, other: Ending) -> Ending {
    match one.exit_code() >= other.exit_code() {
        true => one,
        false => other,
    }
}
