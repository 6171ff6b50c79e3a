//! Commands timed one by one.

use std::time::{Duration, Instant};

use super::lab::{self, Lab};
use super::row::Row;
use crate::{Outcome, run};

const ROLLBACK_MS: f64 = 300.0;
const NOTHING_TO_DEPLOY_MS: f64 = 1000.0;
const STATUS_MS: f64 = 300.0;
const PLAN_MS: f64 = 1000.0;

/// Each deploy leaves its predecessor warm; the rollback is timed until traffic is on it.
pub(crate) fn rollback(lab: &mut Lab) -> Outcome<Vec<Row>> {
    lab.bring_up()?;
    let mut times = Vec::new();
    for _ in 0..runs(lab, 7) {
        // A release of its own each round, so that its predecessor is what the round says.
        run::output(lab.deploy("one").arg("--force"))?;
        lab.deploy_well("two")?;
        let mut command = lab.mainstay(&["rollback", lab::SERVICE, "--yes"]);
        times.push(milliseconds(lab.time_to_traffic(&mut command, "one")?));
    }
    Ok(vec![Row::of("rollback: command to traffic on the warm release", "ms", &times).at_most(ROLLBACK_MS)])
}

pub(crate) fn that_change_nothing(lab: &mut Lab) -> Outcome<Vec<Row>> {
    lab.bring_up()?;
    lab.deploy_well("one")?;
    let nothing = time(lab, || lab.deploy("one"))?;
    let status = time(lab, || lab.mainstay(&["status", "--json"]))?;
    let wide = lab.path("wide");
    lab::write(&wide.join("compose.yaml"), &fifty_services())?;
    lab::write(&wide.join("mainstay.yaml"), &wide_platform(lab.address().port() + 3))?;
    let plan = time(lab, || lab.mainstay_in(&wide, &["plan", "--json"]))?;
    Ok(vec![
        Row::of("deploy of what already runs", "ms", &nothing).at_most(NOTHING_TO_DEPLOY_MS),
        Row::of("status", "ms", &status).at_most(STATUS_MS),
        Row::of("plan of 50 services", "ms", &plan).at_most(PLAN_MS),
    ])
}

/// Never brought up, and so nothing listens on its port.
fn wide_platform(port: u16) -> String {
    let edge = format!("environments:\n  bench: {{edge: {{http: \"127.0.0.1:{port}\"}}}}\n");
    format!("version: 1\nplatform: mainstay-bench-wide\ndefault_environment: bench\n{edge}")
}

/// A stack as wide as a large product's, each service depending on the one before.
fn fifty_services() -> String {
    let mut text = String::from("name: mainstay-bench-wide\nservices:\n");
    for number in 0..50 {
        let image = super::images::name("one");
        text.push_str(&format!("  s{number}:\n    image: {image}\n    expose: ['8080']\n"));
        if number > 0 {
            text.push_str(&format!("    depends_on: [s{}]\n", number - 1));
        }
    }
    text
}

fn time(lab: &Lab, command: impl Fn() -> std::process::Command) -> Outcome<Vec<f64>> {
    let mut times = Vec::new();
    for _ in 0..runs(lab, 15) {
        let began = Instant::now();
        run::output(&mut command())?;
        times.push(milliseconds(began.elapsed()));
    }
    Ok(times)
}

pub(crate) fn runs(lab: &Lab, many: usize) -> usize {
    if lab.quick { 2 } else { many }
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wide_stack_has_fifty_services() {
        assert_eq!(fifty_services().matches("image:").count(), 50);
    }
}
