//! What the containers of an image do.

use std::time::Duration;

/// A script for every container of one image. The default runs until it is stopped, and obeys at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Behaviour {
    /// Ends by itself with this code, so long after each start.
    pub exits: Option<(i64, Duration)>,
    /// Is killed for its memory, so long after each start.
    pub oom: Option<Duration>,
    /// `None`: the image declares no health check (a container of it still may).
    pub health: Option<HealthScript>,
    /// Written to standard output at each start.
    pub says: Vec<String>,
    /// Needs so long to end after SIGTERM: with less grace it is killed. The fake does not wait for it.
    pub ends_within: Option<Duration>,
    /// What the image declares with `VOLUME`: each such path that nothing is mounted on gets a volume without a name.
    pub volumes: Vec<String>,
    /// Does not react to SIGTERM: stopping it takes the whole grace and ends with 137.
    pub ignores_stop: bool,
    /// What it needs to end after SIGTERM; a shorter grace ends it with 137.
    pub stops_within: Duration,
    /// The engine cannot start it, and says this.
    pub start_error: Option<String>,
}

/// How health goes after a start, counted in inspections because a test has no patience for seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthScript {
    /// `Starting` this many times, then `Healthy`.
    AfterInspections(u32),
    /// `Starting` three times, then `Unhealthy` for ever.
    Never,
}

impl Behaviour {
    /// Runs until it is stopped; no health check.
    pub fn runs() -> Self {
        Self::default()
    }

    /// Ends by itself.
    pub fn exits(code: i64, after: Duration) -> Self {
        Self { exits: Some((code, after)), ..Self::default() }
    }

    /// Becomes healthy after so many inspections.
    pub fn healthy_after(inspections: u32) -> Self {
        Self { health: Some(HealthScript::AfterInspections(inspections)), ..Self::default() }
    }

    /// Runs, but its health check never passes.
    pub fn never_healthy() -> Self {
        Self { health: Some(HealthScript::Never), ..Self::default() }
    }

    /// Takes more memory than it may.
    pub fn oom_after(after: Duration) -> Self {
        Self { oom: Some(after), ..Self::default() }
    }

    /// The engine itself cannot start it.
    pub fn cannot_start(message: &str) -> Self {
        Self { start_error: Some(message.to_owned()), ..Self::default() }
    }

    /// Also writes these lines at each start.
    pub fn saying(mut self, lines: &[&str]) -> Self {
        self.says = lines.iter().map(|line| (*line).to_owned()).collect();
        self
    }

    /// Also declares these paths as volumes.
    pub fn storing(mut self, paths: &[&str]) -> Self {
        self.volumes = paths.iter().map(|path| (*path).to_owned()).collect();
        self.volumes.sort();
        self
    }

    /// Whether it is still there after the grace of a stop.
    pub(super) fn outlives(&self, grace: Duration) -> bool {
        self.ignores_stop || self.ends_within.is_some_and(|needed| needed > grace)
    }

    /// When, after a start, it ends by itself: code, out of memory or not.
    pub(super) fn own_end(&self) -> Option<(Duration, i64, bool)> {
        let exit = self.exits.map(|(code, after)| (after, code, false));
        let oom = self.oom.map(|after| (after, 137, true));
        exit.into_iter().chain(oom).min()
    }
}
