//! How a canary and the release beside it share the requests.

use edge::snapshot::{Share, Split};
use spec::platform::CanaryBy;

use crate::canary::Trial;
use crate::release::Release;

/// Hundredths of a percent.
const ALL: u32 = 10_000;

/// The new release first, so that by place a growing share keeps everybody it had.
pub fn split(trial: &Trial) -> Split {
    let (canary, pool) = (&trial.canary, trial.release.pool());
    let weight = ((canary.share.value() * 100.0).round() as u32).min(ALL);
    let share =
        |release: &spec::ReleaseId, weight| Share { pool: pool.clone(), release: Some(release.to_string()), weight };
    let cookie = match canary.by {
        // With the release in its name, the next canary draws everybody anew.
        CanaryBy::Cookie => Some(format!("mainstay-canary-{}-{}", canary.service, canary.release)),
        CanaryBy::Weight => None,
    };
    Split {
        shares: vec![share(&canary.release, weight), share(&canary.beside, ALL - weight)],
        by_place: cookie.is_some(),
        cookie,
    }
}

impl Trial {
    /// Whether it is this release that the canary shares requests with.
    pub fn is_beside(&self, release: &Release) -> bool {
        release.scope == self.canary.scope
            && release.service == self.canary.service
            && release.id == self.canary.beside
            && !release.is_held()
            && !self.release.targets.is_empty()
    }
}
