//! A canary under way: a new release that takes a share of the requests beside the one that serves.
//!
//! The record is what the edge is told from, so that a crash loses no share and leaves none behind: it counts only
//! while its release is undecided and the release beside it serves.

use serde::{Deserialize, Serialize};
use spec::platform::{CanaryBy, Pause};
use spec::{Percent, ReleaseId, ServiceName};

use crate::error::DeployError;
use crate::names::Scope;
use crate::release::{Release, State};
use crate::world::World;

const CANARY: &str = "canary";

/// The record of kind `canary`, one per service at most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Canary {
    pub scope: Scope,
    pub service: ServiceName,
    pub release: ReleaseId,
    /// The release that serves the rest.
    pub beside: ReleaseId,
    /// The operation that carries it.
    pub operation: String,
    pub share: Percent,
    /// Every share, this one too.
    pub steps: Vec<Percent>,
    pub pause: Pause,
    pub by: CanaryBy,
    pub since_ms: i64,
    /// What a person has said; taken up by the operation.
    #[serde(default)]
    pub decision: Option<Decision>,
}

/// How a person lets a canary go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Decision {
    /// All requests, without the steps that are left.
    Promote { by: String },
    /// The next step.
    Next { by: String },
    /// None at all.
    Abort { by: String },
}

/// A canary with its release's record.
#[derive(Debug, Clone)]
pub struct Trial {
    pub canary: Canary,
    pub release: Release,
}

/// What is asked of a canary.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    pub scope: Scope,
    pub service: ServiceName,
    pub decision: Decision,
}

impl Canary {
    fn key(&self) -> String {
        self.scope.pool(&self.service)
    }

    /// The share that comes after this one.
    pub fn next(&self) -> Option<Percent> {
        self.steps.iter().find(|step| **step > self.share).copied()
    }
}

impl World {
    pub fn canaries(&self) -> Result<Vec<Canary>, DeployError> {
        let all = self.ledger.list_records::<Canary>(CANARY, "").map_err(ledger("list the canaries"))?;
        Ok(all.into_iter().map(|(_, canary)| canary).collect())
    }

    pub fn canary_of(&self, scope: &Scope, service: &ServiceName) -> Result<Option<Canary>, DeployError> {
        self.ledger.get_record(CANARY, &scope.pool(service)).map_err(ledger("read the canary"))
    }

    pub fn save_canary(&self, canary: &Canary) -> Result<(), DeployError> {
        self.ledger.put_record(CANARY, &canary.key(), canary).map_err(ledger("record the canary"))
    }

    /// Whether this release was one.
    pub fn end_canary(&self, release: &Release) -> Result<bool, DeployError> {
        match self.canary_of(&release.scope, &release.service)? {
            Some(canary) if canary.release == release.id => {
                self.ledger.delete_record(CANARY, &canary.key()).map_err(ledger("end the canary"))
            }
            _ => Ok(false),
        }
    }

    /// The canaries that count.
    pub fn trials(&self, serving: &[Release]) -> Result<Vec<Trial>, DeployError> {
        let mut trials = Vec::new();
        for canary in self.canaries()? {
            let is_served = |release: &&Release| {
                release.scope == canary.scope && release.service == canary.service && release.id == canary.beside
            };
            if serving.iter().any(|release| is_served(&release))
                && let Some(release) = self.release(&canary.scope, &canary.service, &canary.release)?
                && release.state == State::Starting
            {
                trials.push(Trial { canary, release });
            }
        }
        Ok(trials)
    }
}

/// Writes down what a person has said; the operation hears it within a moment.
pub fn decide(world: &World, request: &Request) -> Result<Canary, DeployError> {
    let Some(mut canary) = world.canary_of(&request.scope, &request.service)? else {
        return Err(DeployError::Refused(format!(
            "`{}` has no canary under way; `mainstay deploy {0} --canary` begins one",
            request.service
        )));
    };
    if request.decision.is_next() && canary.next().is_none() {
        return Err(DeployError::Refused(format!(
            "{} of `{}` is the canary's last share; `mainstay canary promote {}` gives it everything",
            canary.share, canary.service, canary.service
        )));
    }
    canary.decision = Some(request.decision.clone());
    world.save_canary(&canary)?;
    Ok(canary)
}

impl Decision {
    fn is_next(&self) -> bool {
        matches!(self, Decision::Next { .. })
    }
}

fn ledger(operation: &'static str) -> impl Fn(ledger::LedgerError) -> DeployError {
    move |source| DeployError::Ledger { operation, source }
}
