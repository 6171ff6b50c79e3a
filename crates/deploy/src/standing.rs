//! Standing orders of operators: a platform that is paused, or locked by somebody.
//!
//! A lock keeps every change away until it is taken off: deploys, rollbacks, restarts, taking down.
//! A pause does the same and also lets the reconciler leave everything as it is: warm releases stay, old ones are not
//! forgotten. Traffic goes on following containers whose address changes: that keeps things as they are.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::account::Deed;
use crate::error::DeployError;
use crate::names::Scope;
use crate::world::World;

const STANDING: &str = "standing";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub by: String,
    #[serde(default)]
    pub why: String,
    pub since_ms: i64,
}

/// What stands for one scope.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    pub paused: Option<Order>,
    pub locked: Option<Order>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Pause,
    Lock,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Kind::Pause => "paused",
            Kind::Lock => "locked",
        }
    }

    /// The verb that ends it.
    pub fn end(self) -> &'static str {
        match self {
            Kind::Pause => "resume",
            Kind::Lock => "unlock",
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Kind::Pause => "pause",
            Kind::Lock => "lock",
        }
    }
}

/// A change of the standing orders.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    pub scope: Scope,
    pub kind: Kind,
    /// Given, or taken back.
    pub on: bool,
    pub by: String,
    #[serde(default)]
    pub why: String,
}

impl Standing {
    pub fn of(&self, kind: Kind) -> Option<&Order> {
        match kind {
            Kind::Pause => self.paused.as_ref(),
            Kind::Lock => self.locked.as_ref(),
        }
    }

    fn set(&mut self, kind: Kind, order: Option<Order>) {
        match kind {
            Kind::Pause => self.paused = order,
            Kind::Lock => self.locked = order,
        }
    }

    fn is_empty(&self) -> bool {
        *self == Standing::default()
    }
}

impl World {
    pub fn standing(&self, scope: &Scope) -> Result<Standing, DeployError> {
        let found = self.ledger.get_record::<Standing>(STANDING, &scope.key());
        found.map(Option::unwrap_or_default).map_err(ledger("read the standing orders"))
    }

    /// Whether the reconciler leaves this scope as it is.
    pub fn is_paused(&self, scope: &Scope) -> Result<bool, DeployError> {
        Ok(self.standing(scope)?.paused.is_some())
    }

    /// Refuses a change of a scope that is paused or locked.
    pub fn refuse_against_orders(&self, scope: &Scope) -> Result<(), DeployError> {
        let standing = self.standing(scope)?;
        for kind in [Kind::Pause, Kind::Lock] {
            if let Some(order) = standing.of(kind) {
                return Err(DeployError::Standing { scope: scope.clone(), kind, order: order.clone() });
            }
        }
        Ok(())
    }

    /// Gives an order or takes it back; what stands already is left as it is.
    pub fn order(&self, request: &Request) -> Result<Standing, DeployError> {
        let mut standing = self.standing(&request.scope)?;
        if request.on == standing.of(request.kind).is_some() {
            return match standing.of(request.kind) {
                // Somebody else's order is not overwritten by a second one.
                Some(order) if order.by != request.by => Err(DeployError::Standing {
                    scope: request.scope.clone(),
                    kind: request.kind,
                    order: order.clone(),
                }),
                _ => Ok(standing),
            };
        }
        let since_ms = self.clock.now_ms();
        let order = Order { by: request.by.clone(), why: request.why.clone(), since_ms };
        let ended = standing.of(request.kind).cloned();
        standing.set(request.kind, request.on.then_some(order));
        let key = request.scope.key();
        let written = match standing.is_empty() {
            true => self.delete_kept(STANDING, &key).map(drop),
            false => self.put_kept(STANDING, &key, &standing),
        };
        written.map_err(ledger("write the standing orders"))?;
        let action = if request.on { request.kind.verb() } else { request.kind.end() };
        let detail = json!({ "why": request.why, "ended": ended });
        self.account(Deed { by: &request.by, action, scope: &request.scope, detail })?;
        Ok(standing)
    }
}

fn ledger(operation: &'static str) -> impl Fn(ledger::LedgerError) -> DeployError {
    move |source| DeployError::Ledger { operation, source }
}
