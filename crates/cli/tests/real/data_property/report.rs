//! What came of many sequences, for the page of `./x data`.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Instant;

use super::drive::{Ended, Sequence};
use super::judge::{Breach, Rule};
use super::steps::Action;

/// The file that a report is added to, one JSON object a line; `./x data` sets it and makes the page from it.
const ROWS: &str = "MAINSTAY_DATA_ROWS";

pub struct Report {
    name: &'static str,
    begin: Instant,
    sequences: usize,
    steps: BTreeMap<(Action, Ended), usize>,
    kills: usize,
    writes: usize,
    writers: usize,
    slow: usize,
    breaches: BTreeMap<Rule, usize>,
    pub failures: Vec<String>,
}

impl Report {
    pub fn new(name: &'static str) -> Report {
        Report {
            name,
            begin: Instant::now(),
            sequences: 0,
            steps: BTreeMap::new(),
            kills: 0,
            writes: 0,
            writers: 0,
            slow: 0,
            breaches: BTreeMap::new(),
            failures: Vec::new(),
        }
    }

    pub fn add(&mut self, sequence: &Sequence, broken: Option<(&Breach, String)>) {
        self.sequences += 1;
        self.kills += sequence.crashes;
        self.writes += sequence.writes();
        self.writers += sequence.lives.values().sum::<usize>();
        self.slow += sequence.slow.values().sum::<usize>();
        for (key, count) in &sequence.counts {
            *self.steps.entry(*key).or_default() += count;
        }
        if let Some((breach, story)) = broken {
            *self.breaches.entry(breach.rule).or_default() += 1;
            self.failures.push(format!("{:?}: {}\n{story}", breach.rule, breach.what));
        }
    }

    /// Sequences per minute so far.
    fn pace(&self) -> f64 {
        f64::from(u32::try_from(self.sequences).unwrap_or(u32::MAX)) / self.begin.elapsed().as_secs_f64() * 60.0
    }

    /// Writes it down, and fails where a rule was broken.
    pub fn end(self) {
        let steps: usize = self.steps.values().sum();
        eprintln!(
            "{}: {} sequences, {steps} steps, {} agents killed, {} writers ({} killed after their whole grace), {} acknowledged writes, {:.1} sequences a minute; broken: {:?}",
            self.name,
            self.sequences,
            self.kills,
            self.writers,
            self.slow,
            self.writes,
            self.pace(),
            self.breaches
        );
        if let Some(path) = std::env::var_os(ROWS) {
            let by = |ended| -> BTreeMap<String, usize> {
                let own = self.steps.iter().filter(|((_, how), _)| *how == ended);
                own.map(|((action, _), count)| (format!("{action:?}"), *count)).collect()
            };
            let breaches: BTreeMap<String, usize> =
                self.breaches.iter().map(|(rule, count)| (format!("{rule:?}"), *count)).collect();
            let row = serde_json::json!({
                "name": self.name, "sequences": self.sequences, "seconds": self.begin.elapsed().as_secs(),
                "done": by(Ended::Done), "refused": by(Ended::Refused), "failed": by(Ended::Failed),
                "kills": self.kills, "writers": self.writers, "writes": self.writes, "breaches": breaches,
            });
            let file = std::fs::File::options().create(true).append(true).open(path);
            let _ = file.and_then(|mut file| file.write_all(format!("{row}\n").as_bytes()));
        }
        assert!(self.failures.is_empty(), "{} broken\n{}", self.failures.len(), self.failures.join("\n\n"));
    }
}
