//! How the commands behave as a platform grows: more services, more releases, more environments, a longer past.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::lab::{self, Lab};
use super::row::Row;
use super::verbs::{milliseconds, runs};
use crate::error::TaskError;
use crate::{Outcome, run};

/// Services, and how many releases they have together when it is measured.
const STAGES: [(usize, usize); 3] = [(5, 10), (20, 100), (50, 200)];
const ENVIRONMENTS: usize = 10;
/// Of each environment of the second platform.
const SERVICES: usize = 5;
/// What a command that only looks may take on a machine that runs fifty services.
const LOOK_MS: f64 = 1500.0;

/// A platform that is taken away however the measuring ends.
struct Town<'a> {
    lab: &'a Lab,
    folder: PathBuf,
    environments: Vec<String>,
}

pub(crate) fn as_it_grows(lab: &mut Lab) -> Outcome<Vec<Row>> {
    let mut rows = by_services(lab)?;
    rows.extend(by_environments(lab)?);
    Ok(rows)
}

fn by_services(lab: &Lab) -> Outcome<Vec<Row>> {
    let town = Town::new(lab, "scale", vec!["e0".to_owned()]);
    let mut rows = Vec::new();
    for (services, releases) in stages(lab) {
        town.write("mainstay-bench-scale", services)?;
        let began = Instant::now();
        run::output(&mut town.command(&["up", "--yes"]))?;
        let added = milliseconds(began.elapsed());
        let mut count = town.releases()?;
        while count < releases {
            run::output(&mut town.command(&["up", "--yes", "--force"]))?;
            count = town.releases()?;
        }
        let what = format!("{services} services, {releases} releases");
        rows.push(Row::of(format!("up to {what}: the new services"), "ms", &[added]));
        rows.extend(town.figures(&what)?);
    }
    Ok(rows)
}

fn by_environments(lab: &Lab) -> Outcome<Vec<Row>> {
    let names: Vec<String> = (0..ENVIRONMENTS).map(|number| format!("e{number}")).collect();
    let town = Town::new(lab, "scale-environments", names);
    town.write("mainstay-bench-environments", SERVICES)?;
    let mut rows = Vec::new();
    for number in 0..ENVIRONMENTS {
        let name = format!("e{number}");
        run::output(&mut town.command(&["up", "--yes", "-e", &name]))?;
        if number == 0 || number + 1 == ENVIRONMENTS {
            rows.extend(town.figures(&format!("{} environments of {SERVICES} services", number + 1))?);
        }
    }
    Ok(rows)
}

fn stages(lab: &Lab) -> impl Iterator<Item = (usize, usize)> {
    let most = if lab.quick { 1 } else { STAGES.len() };
    STAGES.into_iter().take(most)
}

impl<'a> Town<'a> {
    fn new(lab: &'a Lab, name: &str, environments: Vec<String>) -> Town<'a> {
        Town { lab, folder: lab.path(name), environments }
    }

    fn write(&self, platform: &str, services: usize) -> Outcome {
        lab::write(&self.folder.join("compose.yaml"), &compose(services))?;
        let port = self.lab.address().port() + 20;
        lab::write(&self.folder.join("mainstay.yaml"), &file(platform, &self.environments, port, services))
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.lab.mainstay_in(&self.folder, words);
        if !words.contains(&"-e") {
            command.args(["-e", "e0"]);
        }
        command
    }

    fn releases(&self) -> Outcome<usize> {
        let text = run::output(&mut self.command(&["releases", "--json"]))?;
        let listed: Vec<serde_json::Value> = serde_json::from_str(&text)
            .map_err(|error| TaskError::Refused(format!("releases --json is no list: {error}")))?;
        Ok(listed.len())
    }

    /// What looks, what changes one service, and what is kept of it all.
    fn figures(&self, what: &str) -> Outcome<Vec<Row>> {
        let plan = self.time(15, &["plan", "--json"])?;
        let status = self.time(15, &["status", "--here", "--json"])?;
        let one = self.time(5, &["deploy", "s0", "--force", "--yes"])?;
        Ok(vec![
            Row::of(format!("plan, {what}"), "ms", &plan).at_most(LOOK_MS),
            Row::of(format!("status, {what}"), "ms", &status).at_most(LOOK_MS),
            Row::of(format!("deploy of one service, {what}"), "ms", &one),
            Row::of(format!("ledger, {what}"), "KB", &[ledger(&self.lab.path("state"))? / 1000.0]),
        ])
    }

    fn time(&self, many: usize, words: &[&str]) -> Outcome<Vec<f64>> {
        let mut times = Vec::new();
        for _ in 0..runs(self.lab, many) {
            let began = Instant::now();
            run::output(&mut self.command(words))?;
            times.push(milliseconds(began.elapsed()));
        }
        Ok(times)
    }
}

impl Drop for Town<'_> {
    fn drop(&mut self) {
        for name in &self.environments {
            if let Err(error) = run::output(&mut self.command(&["down", "--yes", "--volumes", "-e", name])) {
                eprintln!("xtask: {name} of the bench was left behind: {}", crate::error::chain(&error));
            }
        }
    }
}

/// The file and what has not been written into it yet.
fn ledger(state: &Path) -> Outcome<f64> {
    let size = |name: &str| std::fs::metadata(state.join(name)).map(|file| file.len() as f64);
    let whole = size("ledger.db").map_err(|source| TaskError::Read { path: state.join("ledger.db"), source })?;
    Ok(whole + size("ledger.db-wal").unwrap_or(0.0))
}

fn compose(services: usize) -> String {
    let image = super::images::name("one");
    let service = |number| format!("  s{number}:\n    image: {image}\n    init: true\n    expose: ['8080']\n");
    format!("services:\n{}", (0..services).map(service).collect::<String>())
}

fn file(platform: &str, environments: &[String], port: u16, services: usize) -> String {
    let environment = |(number, name): (usize, &String)| {
        format!("  {name}: {{edge: {{http: \"127.0.0.1:{}\"}}}}\n", usize::from(port) + number)
    };
    let environments: String = environments.iter().enumerate().map(environment).collect();
    // What an operator chooses to wait for is no part of the figures.
    let service = |number| {
        let health = "health: {path: /health, budget: 120s}";
        format!(
            "  s{number}: {{strategy: blue-green, port: 8080, {health}, warm: 0s, drain: 1s, soak: 0s, routes: [{{path: /s{number}}}]}}\n"
        )
    };
    let services: String = (0..services).map(service).collect();
    format!("version: 1\nplatform: {platform}\nenvironments:\n{environments}services:\n{services}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_and_each_environment_is_written_once() {
        assert_eq!(compose(20).matches("image:").count(), 20);
        let names = vec!["e0".to_owned(), "e1".to_owned()];
        let text = file("p", &names, 100, 3);
        assert_eq!((text.matches("strategy:").count(), text.matches("edge:").count()), (3, 2));
        assert!(text.contains("127.0.0.1:101"), "{text}");
    }

    #[test]
    fn no_stage_asks_for_more_releases_than_are_kept() {
        for (services, releases) in STAGES {
            assert!(releases <= services * 6, "five superseded ones and the serving one of each service");
        }
    }
}
