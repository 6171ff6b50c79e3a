//! The command that changes a database for a new release, as it is written.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::duration;

/// A command that runs once per release, in its own image, before any of its containers starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MigrateSettings {
    /// The program and its arguments as separate words; no shell is involved.
    pub command: Vec<String>,
    /// How long it may take; 5 minutes if not given.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub timeout: Option<Duration>,
    /// What it means for the releases before this one; `expand` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<MigrationKind>,
    /// Whether it may be run again after it was cut off, because what it has done already it finds done; `false` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent: Option<bool>,
}

/// What a migration means for the releases before its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MigrationKind {
    /// It only adds: older releases go on as before, and a rollback needs nothing.
    #[default]
    Expand,
    /// It takes away what only older releases used: none of them is gone back to without `--past-migration`.
    Contract,
    /// It changes what the serving release uses: from the moment it runs that one may fail, and nothing goes back by itself.
    Breaking,
}

impl MigrationKind {
    /// The word in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            MigrationKind::Expand => "expand",
            MigrationKind::Contract => "contract",
            MigrationKind::Breaking => "breaking",
        }
    }

    /// Whether older releases work with what it leaves behind.
    pub fn can_go_back(self) -> bool {
        self == MigrationKind::Expand
    }
}
