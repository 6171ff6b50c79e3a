//! What is remembered of migrations: which releases have run theirs, so that none runs twice and nobody goes back past one.

use serde::{Deserialize, Serialize};
use spec::platform::MigrationKind;
use spec::{ReleaseId, ServiceName};

use crate::error::DeployError;
use crate::names::Scope;
use crate::release::{Release, key};
use crate::world::World;

const MIGRATION: &str = "migration";

/// The record of kind `migration`; it outlives its release, since the database does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migrated {
    pub release: ReleaseId,
    pub kind: MigrationKind,
    pub command: Vec<String>,
    pub started_ms: i64,
    /// `None` while it runs, or when nobody saw its end.
    #[serde(default)]
    pub ended_ms: Option<i64>,
    /// Why it failed, if it did; some of its work may be done.
    #[serde(default)]
    pub failed: Option<String>,
}

impl Migrated {
    /// Whether it ran to its good end.
    pub fn is_done(&self) -> bool {
        self.ended_ms.is_some() && self.failed.is_none()
    }

    /// What would break when a release before this one serves.
    pub fn warning(&self) -> Option<String> {
        let command = self.command.join(" ");
        let unfinished = if self.is_done() { "" } else { ", which did not end well," };
        let what = match self.kind {
            MigrationKind::Expand => return None,
            MigrationKind::Contract => "took away what releases before it used",
            MigrationKind::Breaking => "changed what releases before it use",
        };
        Some(format!("the migration of {} (`{command}`){unfinished} {what}", self.release))
    }
}

impl World {
    pub fn migration_of(&self, release: &Release) -> Result<Option<Migrated>, DeployError> {
        self.ledger.get_record(MIGRATION, &release.key()).map_err(ledger("read the migration"))
    }

    pub fn save_migration(&self, release: &Release, migrated: &Migrated) -> Result<(), DeployError> {
        self.put_kept(MIGRATION, &release.key(), migrated).map_err(ledger("record the migration"))
    }

    /// The database begins anew: nothing that was done to the one before counts as done.
    pub fn forget_migrations(&self, scope: &Scope) -> Result<(), DeployError> {
        let prefix = format!("{}/", scope.key());
        let all = self.ledger.list_records::<Migrated>(MIGRATION, &prefix).map_err(ledger("list the migrations"))?;
        for (key, _) in all {
            self.delete_kept(MIGRATION, &key).map_err(ledger("forget a migration"))?;
        }
        Ok(())
    }

    /// What stands between a release and those after it, in words; empty when it can simply serve again.
    pub fn migrations_past(
        &self,
        scope: &Scope,
        service: &ServiceName,
        to: &ReleaseId,
    ) -> Result<Vec<String>, DeployError> {
        let prefix = format!("{}/", scope.pool(service));
        let all = self.ledger.list_records::<Migrated>(MIGRATION, &prefix).map_err(ledger("list the migrations"))?;
        let limit = key(scope, service, to);
        Ok(all.into_iter().filter(|(key, _)| *key > limit).filter_map(|(_, migrated)| migrated.warning()).collect())
    }
}

fn ledger(operation: &'static str) -> impl Fn(ledger::LedgerError) -> DeployError {
    move |source| DeployError::Ledger { operation, source }
}
