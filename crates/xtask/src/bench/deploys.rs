//! Deploys under load, those that work and those that cannot.

use std::time::{Duration, Instant};

use super::images::{BROKEN, MISSING};
use super::lab::Lab;
use super::load::{Counts, Load};
use super::row::Row;
use crate::error::TaskError;
use crate::{Outcome, run};

/// The exit code of "failed and rolled back" or, where nothing had been changed yet, "failed, nothing changed".
const FAILED: &[i32] = &[1, 3];

/// One release after the other for as long as the load lasts.
pub(crate) fn under_load(lab: &mut Lab) -> Outcome<Vec<Row>> {
    lab.bring_up()?;
    let load = Load::start(lab, Duration::from_secs(if lab.quick { 15 } else { 60 }))?;
    let mut times = Vec::new();
    let mut longest = Duration::ZERO;
    // A deploy begun too late would end without load, and prove nothing.
    while times.is_empty() || load.left() > longest + Duration::from_secs(2) {
        let release = if times.len() % 2 == 0 { "two" } else { "one" };
        let took = lab.deploy_well(release)?;
        longest = longest.max(took);
        times.push(took.as_secs_f64() * 1000.0);
    }
    if load.left().is_zero() {
        return Err(TaskError::Refused("the load ended before the deploy did".to_owned()));
    }
    let counts = load.finish()?;
    let mut rows = vec![Row::of("deploy under load: whole command", "ms", &times)];
    rows.extend(judged("deploy under load", &counts, times.len()));
    rows.push(Row::of("deploy under load: p99 of answers", "ms", &[counts.p99_ms]));
    Ok(rows)
}

/// Each kind of failure under a load of its own, so that a lost request has a name.
pub(crate) fn that_fail_under_load(lab: &mut Lab) -> Outcome<Vec<Row>> {
    lab.bring_up()?;
    lab.deploy_well("one")?;
    let mut rows = Vec::new();
    let broken = BROKEN.iter().map(|(release, words)| (release.tag, *words));
    for (tag, words) in broken.chain([MISSING]) {
        let load = Load::start(lab, Duration::from_secs(if lab.quick { 25 } else { 40 }))?;
        let began = Instant::now();
        expect_failure(lab, tag)?;
        let took = began.elapsed().as_secs_f64() * 1000.0;
        if load.left().is_zero() {
            return Err(TaskError::Refused(format!("the load ended before the deploy of `{tag}` did")));
        }
        let counts = load.finish()?;
        lab.wait_for_release("one")?;
        rows.push(Row::of(format!("failed deploy ({words}): whole command"), "ms", &[took]));
        rows.extend(judged(&format!("failed deploy ({words})"), &counts, 1));
    }
    Ok(rows)
}

fn expect_failure(lab: &Lab, tag: &str) -> Outcome {
    let mut deploy = lab.deploy(tag);
    let output = run::finish(&mut deploy)?;
    match output.status.code() {
        Some(code) if FAILED.contains(&code) => Ok(()),
        _ => Err(run::failed(&deploy, &output)),
    }
}

fn judged(name: &str, counts: &Counts, runs: usize) -> [Row; 4] {
    for example in &counts.examples {
        eprintln!("   {name}: {example}");
    }
    [
        Row::count(format!("{name}: requests"), counts.requests, runs),
        Row::count(format!("{name}: failed requests"), counts.failed, runs).at_most(0.0),
        Row::count(format!("{name}: wrong bodies"), counts.wrong, runs).at_most(0.0),
        Row::count(format!("{name}: requests the load tool could not send"), counts.unsent, runs),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::images;
    use super::*;

    #[test]
    fn one_failed_request_misses_the_target() {
        let counts = Counts { requests: 900, failed: 1, wrong: 0, unsent: 0, p99_ms: 1.0, examples: Vec::new() };
        let met: Vec<Option<bool>> = judged("x", &counts, 1).iter().map(Row::met).collect();
        assert_eq!(met, [None, Some(false), Some(true), None]);
    }

    #[test]
    fn every_broken_release_has_a_name_of_its_own() {
        let mut names: Vec<String> = BROKEN.iter().map(|(release, _)| images::name(release.tag)).collect();
        names.dedup();
        assert_eq!(names.len(), BROKEN.len());
    }
}
