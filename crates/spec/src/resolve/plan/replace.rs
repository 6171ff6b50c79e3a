//! How the containers of a service are replaced, with every value filled in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::duration;

/// In which batches copies are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rolling {
    /// How many copies more than usual may run meanwhile.
    pub surge: u32,
    /// How many copies fewer than usual may serve meanwhile.
    pub unavailable: u32,
}

/// How a worker is told to take nothing new, and when it has finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finish {
    /// Tells it to take nothing new.
    pub stop_taking: Vec<String>,
    /// Tells by its status whether it has nothing left to do.
    pub idle: Option<Vec<String>>,
    /// Tells it to take work again.
    pub take_again: Option<Vec<String>>,
    /// How long it may take to become idle.
    #[serde(with = "duration")]
    pub within: Duration,
}

impl Rolling {
    /// A quarter of the copies more, and none fewer: requests find as many copies as ever, and the host needs room for
    /// a quarter more instead of for twice as many.
    pub fn of(copies: u32) -> Rolling {
        Rolling { surge: copies.div_ceil(4).max(1), unavailable: 0 }
    }

    /// How many copies are replaced at once.
    pub fn batch(self) -> u32 {
        (self.surge + self.unavailable).max(1)
    }
}

impl Default for Rolling {
    fn default() -> Self {
        Rolling::of(1)
    }
}
