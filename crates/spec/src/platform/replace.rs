//! The words for how the containers of a service are replaced, beyond the strategy's name.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::duration;

/// In which batches the copies of a rolling service are replaced.
/// A batch is as many copies as `surge` and `unavailable` are together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RollingSettings {
    /// How many copies more than usual may run meanwhile; a quarter of them, at least one, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub surge: Option<u32>,
    /// How many copies fewer than usual may serve meanwhile; none if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub unavailable: Option<u32>,
}

/// How a drain-first worker is told to take nothing new, and when it has finished.
/// Each command is a program and its arguments as separate words, and runs inside every one of the old containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FinishSettings {
    /// Tells it to take nothing new.
    pub stop_taking: Vec<String>,
    /// Ends with status 0 when it has nothing left to do; without it the stop signal follows at once, and most workers
    /// finish what they have then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Vec<String>>,
    /// Tells it to take work again, after a deploy that has failed; without it its container is started anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take_again: Option<Vec<String>>,
    /// How long it may take to become idle before it is stopped all the same; 10 minutes if not given.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration::schema")]
    pub within: Option<Duration>,
}
