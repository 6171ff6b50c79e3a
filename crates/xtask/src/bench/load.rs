//! Load from k6: a fixed arrival rate for a fixed time, every body compared.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};
use std::{fs, process};

use serde::Deserialize;

use super::images;
use super::lab::Lab;
use crate::error::TaskError;
use crate::{Outcome, house, run};

const RATE: u32 = 500;

pub(crate) struct Load {
    child: Child,
    began: Instant,
    lasts: Duration,
    summary: PathBuf,
    log: PathBuf,
}

/// What k6 counted.
#[derive(Debug, Deserialize)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    /// No answer, or an answer other than 200.
    pub(crate) failed: u64,
    /// Answers of 200 whose body is not exactly a release's text.
    pub(crate) wrong: u64,
    /// Requests that k6 itself could not send on time.
    pub(crate) unsent: u64,
    pub(crate) p99_ms: f64,
    /// What went wrong in k6's own words, the most frequent first, taken from its log.
    #[serde(skip)]
    pub(crate) examples: Vec<String>,
}

impl Load {
    /// Starts the load and waits until it flows.
    pub(crate) fn start(lab: &Lab, lasts: Duration) -> Outcome<Load> {
        let summary = lab.path("summary.json");
        let log = lab.path("k6.log");
        let bodies = images::GOOD.iter().map(|release| images::body(release.tag));
        let mut command = run::program(&lab.k6);
        command
            .args(["run", "--quiet", "--no-usage-report", "--address", ""])
            .arg(house::root().join("bench/load.js"))
            .env("URL", format!("http://{}/", lab.address()))
            .env("BODIES", bodies.collect::<Vec<_>>().join(","))
            .env("RATE", RATE.to_string())
            .env("SECONDS", lasts.as_secs().to_string())
            .env("SUMMARY", &summary);
        let child = run::start(&mut command, &log)?;
        super::wait::rest(Duration::from_secs(2));
        Ok(Load { child, began: Instant::now(), lasts, summary, log })
    }

    /// How much of the load is still to come.
    pub(crate) fn left(&self) -> Duration {
        self.lasts.saturating_sub(self.began.elapsed() + Duration::from_secs(2))
    }

    pub(crate) fn finish(mut self) -> Outcome<Counts> {
        let ended = self.child.wait().map_err(|source| TaskError::Read { path: self.log.clone(), source })?;
        self.decode(ended)
    }

    fn decode(&self, ended: process::ExitStatus) -> Outcome<Counts> {
        let text = fs::read_to_string(&self.summary).map_err(|_| TaskError::Command {
            command: "k6 run bench/load.js".to_owned(),
            status: ended.to_string(),
            tail: fs::read_to_string(&self.log).unwrap_or_default(),
        })?;
        let mut counts: Counts = serde_json::from_str(&text)
            .map_err(|source| TaskError::Decode { what: "k6's summary".to_owned(), source })?;
        counts.examples = examples(&fs::read_to_string(&self.log).unwrap_or_default());
        Ok(counts)
    }
}

/// The messages of the script's own error lines with how often each came, at most five.
fn examples(log: &str) -> Vec<String> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for line in log.lines().filter(|line| line.ends_with("source=console")) {
        let message = line.split_once("msg=\"").map_or(line, |(_, rest)| rest);
        let message = message.trim_end_matches(" source=console").trim_end_matches('"');
        *seen.entry(message).or_default() += 1;
    }
    let mut seen: Vec<(&str, usize)> = seen.into_iter().collect();
    seen.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    seen.iter().take(5).map(|(message, count)| format!("{count} times {message}")).collect()
}

impl Drop for Load {
    /// A benchmark that stops early leaves no load behind.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_is_counted_by_its_message() {
        let line = |message: &str| format!("time=\"x\" level=error msg=\"{message}\" source=console\n");
        let log = [line("status 502"), line("status 0"), line("status 502"), "other\n".to_owned()].concat();
        assert_eq!(examples(&log), ["2 times status 502", "1 times status 0"]);
    }
}
