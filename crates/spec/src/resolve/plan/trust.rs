//! How a new release earns its traffic, and what its migration means, with every value filled in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Job;
use crate::defaults;
use crate::platform::{CanaryBy, MigrationKind, Pause};
use crate::units::{Percent, duration};

/// When a new release counts as worse than the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// With fewer requests nothing is known.
    pub requests: u32,
    /// Up to this share of answers from 500 on is never too much.
    pub errors: Percent,
    /// So many times the old release's share is too much.
    pub errors_factor: f64,
    /// So many times the old release's p95 is too slow.
    pub p95_factor: f64,
    /// Up to this p95 is never too slow.
    #[serde(with = "duration")]
    pub p95_floor: Duration,
}

/// The shares of requests that a new release takes one after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Canary {
    /// Each larger than the one before.
    pub steps: Vec<Percent>,
    /// What ends a step.
    pub pause: Pause,
    /// How requests are shared.
    pub by: CanaryBy,
}

/// The command that changes a database for a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migration {
    /// What runs.
    #[serde(flatten)]
    pub job: Job,
    /// What it means for older releases.
    #[serde(default)]
    pub kind: MigrationKind,
    /// Whether it may be run again after it was cut off.
    #[serde(default)]
    pub idempotent: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            requests: defaults::SOAK_REQUESTS,
            errors: defaults::SOAK_ERRORS,
            errors_factor: defaults::SOAK_ERRORS_FACTOR,
            p95_factor: defaults::SOAK_P95_FACTOR,
            p95_floor: defaults::SOAK_P95_FLOOR,
        }
    }
}

impl Default for Canary {
    fn default() -> Self {
        Canary {
            steps: defaults::CANARY_STEPS.to_vec(),
            pause: Pause::Time(defaults::CANARY_PAUSE),
            by: CanaryBy::default(),
        }
    }
}
