//! Whether a new release answers worse than the one before it: a pure comparison of counted requests.

use std::time::Duration;

use edge::Figures;
use serde::{Deserialize, Serialize};
use spec::{Percent, ReleaseId, SoakLimits, Verdict, human_duration};

/// What a watch came to, kept with the journal and as evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    pub watch: Watched,
    pub verdict: Verdict,
    pub new: Summary,
    /// What it was compared with.
    pub old: Summary,
    /// How long it was watched.
    pub over_ms: u64,
}

/// Which part of a roll-out was watched.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Watched {
    /// After the switch, with all requests.
    Soak,
    /// Before it, with a share of them.
    Canary { share: Percent },
    /// While so many of its copies serve beside the old ones.
    Batch { copies: u32 },
}

/// Figures as a person compares them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub release: ReleaseId,
    pub requests: u64,
    /// Answers from 500 on and answers that broke off, and their share of a hundred.
    pub errors: u64,
    pub errors_percent: f64,
    pub p95_ms: Option<f64>,
}

impl Watched {
    /// The kind of evidence.
    pub fn kind(&self) -> &'static str {
        match self {
            Watched::Soak | Watched::Batch { .. } => "soak",
            Watched::Canary { .. } => "canary",
        }
    }
}

impl Summary {
    pub fn of(release: &ReleaseId, figures: &Figures) -> Summary {
        Summary {
            release: release.clone(),
            requests: figures.requests(),
            errors: figures.errors(),
            errors_percent: rounded(figures.error_ratio() * 100.0),
            p95_ms: p95(figures).map(|p95| rounded(p95.as_secs_f64() * 1000.0)),
        }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} requests, {}% failed", self.requests, self.errors_percent)?;
        match self.p95_ms {
            Some(p95) => write!(f, ", p95 {p95} ms"),
            None => Ok(()),
        }
    }
}

/// Compares. `settled` says that the release has had time to get warm: only then its times count, its failures always.
pub fn judge(limits: &SoakLimits, old: &Figures, new: &Figures, settled: bool) -> Verdict {
    let enough = u64::from(limits.requests);
    if new.requests() < enough {
        return Verdict::Unknown(format!("it was asked {} times, and {enough} are needed to judge", new.requests()));
    }
    let comparable = old.requests() >= enough;
    if let Some(cause) = failing(limits, comparable.then_some(old), new) {
        return Verdict::Fail(cause);
    }
    match p95(new) {
        Some(p95) if settled && p95 > limits.p95_floor => slow(limits, comparable.then_some(old), p95),
        _ => Verdict::Pass,
    }
}

fn failing(limits: &SoakLimits, old: Option<&Figures>, new: &Figures) -> Option<String> {
    let before = old.map(Figures::error_ratio);
    let allowed = before.map_or(0.0, |ratio| ratio * limits.errors_factor).max(limits.errors.ratio());
    (new.error_ratio() > allowed).then(|| {
        let than = before.map_or_else(String::new, |ratio| format!(", and the old release had {}", percent(ratio)));
        let how = match new.broken {
            0 => "were 5xx".to_owned(),
            broken => format!("failed, {broken} of them by breaking off in the middle"),
        };
        format!(
            "{} of {} answers {how} ({}); {} are allowed{than}",
            new.errors(),
            new.requests(),
            percent(new.error_ratio()),
            percent(allowed)
        )
    })
}

fn slow(limits: &SoakLimits, old: Option<&Figures>, p95: Duration) -> Verdict {
    let Some(before) = old.and_then(self::p95) else {
        return Verdict::Unknown(format!(
            "its p95 is {}, and the old release had too few requests to compare it with",
            millis(p95)
        ));
    };
    let allowed = before.mul_f64(limits.p95_factor).max(limits.p95_floor);
    match p95 > allowed {
        true => Verdict::Fail(format!(
            "its p95 is {}; {} is allowed, and the old release had {}",
            millis(p95),
            millis(allowed),
            millis(before)
        )),
        false => Verdict::Pass,
    }
}

fn p95(figures: &Figures) -> Option<Duration> {
    figures.quantile(0.95)
}

fn percent(ratio: f64) -> String {
    format!("{}%", rounded(ratio * 100.0))
}

/// Whole milliseconds where there are any: the buckets are no finer.
fn millis(time: Duration) -> String {
    match time.as_millis() {
        0 => human_duration(time),
        ms => human_duration(Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX))),
    }
}

fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests;
