//! What an operator did, written down three times: in the audit chain, as evidence for the gates, and in the story
//! that `mainstay events` tells.

use ledger::NewEvent;
use serde_json::{Value, json};
use spec::{Evidence, Verdict};

use crate::error::DeployError;
use crate::names::Scope;
use crate::world::World;

/// One deed of one operator.
#[derive(Debug, Clone)]
pub struct Deed<'a> {
    pub by: &'a str,
    /// The verb: `pause`, `maintenance on`.
    pub action: &'a str,
    pub scope: &'a Scope,
    pub detail: Value,
}

impl World {
    /// All in one transaction, so that none stands without the others.
    pub fn account(&self, deed: Deed<'_>) -> Result<(), DeployError> {
        let evidence = Evidence {
            kind: deed.action.replace(' ', "-"),
            subject: deed.scope.key(),
            verdict: Verdict::Pass,
            at_ms: self.clock.now_ms(),
            detail: deed.detail.clone(),
        };
        let written = self.ledger.transaction(|tx| {
            tx.append_audit(deed.by, deed.action, &deed.scope.key(), deed.detail.clone())?;
            tx.record_evidence(&evidence)?;
            tx.append_event(NewEvent {
                kind: format!("operate.{}", deed.action.replace(' ', "-")),
                platform: deed.scope.platform.clone(),
                environment: deed.scope.environment.clone(),
                service: None,
                saga: None,
                data: json!({ "by": deed.by, "detail": deed.detail }),
            })
            .map(drop)
        });
        written.map_err(|source| DeployError::Ledger { operation: "write down what was done", source })
    }
}
