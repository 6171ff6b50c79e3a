//! A hundred deploys in a row: what is left behind by them.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::lab::Lab;
use super::machine::megabytes;
use super::row::Row;
use super::verbs::{milliseconds, runs};
use super::wait::rest;
use crate::error::TaskError;
use crate::{Outcome, run};

/// More than releases are kept, so that what is to go away has begun to go before the first look.
const BEFORE: usize = 15;
const MANY: usize = 100;
/// The reconciler forgets what is beyond the kept releases every two seconds.
const SETTLES: Duration = Duration::from_secs(8);
/// Of memory that a hundred deploys may take and not give back: allocators keep some for the next time.
const GROWTH_MB: f64 = 4.0;

/// What there is at one moment.
struct Census {
    things: Vec<(&'static str, f64)>,
    /// Open files and memory of each process.
    processes: Vec<(&'static str, f64, f64)>,
    ledger_kb: f64,
}

pub(crate) fn in_a_row(lab: &mut Lab) -> Outcome<Vec<Row>> {
    lab.bring_up()?;
    deploy(lab, if lab.quick { 6 } else { BEFORE })?;
    let before = census(lab)?;
    let times = deploy(lab, runs(lab, MANY))?;
    let after = census(lab)?;
    let mut rows = vec![Row::of("deploys in a row: whole command", "ms", &times)];
    for ((name, first), (_, last)) in before.things.iter().zip(&after.things) {
        rows.push(Row::of(format!("deploys in a row: more {name} than before"), "count", &[last - first]).at_most(0.0));
    }
    for ((verb, files, memory), (_, files_now, memory_now)) in before.processes.iter().zip(&after.processes) {
        let name = |what: &str| format!("deploys in a row: {verb}, more {what} than before");
        rows.push(Row::of(name("open files"), "count", &[files_now - files]).at_most(2.0));
        rows.push(Row::of(name("memory"), "MB", &[memory_now - memory]).at_most(GROWTH_MB));
    }
    rows.push(Row::of("deploys in a row: ledger", "KB", &[after.ledger_kb]));
    Ok(rows)
}

fn deploy(lab: &Lab, many: usize) -> Outcome<Vec<f64>> {
    let mut times = Vec::new();
    for number in 0..many {
        let began = Instant::now();
        let release = if number % 2 == 0 { "two" } else { "one" };
        run::output(lab.deploy(release).arg("--force"))?;
        times.push(milliseconds(began.elapsed()));
    }
    Ok(times)
}

fn census(lab: &Lab) -> Outcome<Census> {
    rest(SETTLES);
    let label = "label=dev.mainstay.platform=mainstay-bench";
    let kept = "reference=mainstay/mainstay-bench-bench/*";
    let count = |words: &[&str]| -> Outcome<f64> {
        let listed = run::output(run::program("docker").args(words))?;
        Ok(listed.lines().filter(|line| !line.trim().is_empty()).count() as f64)
    };
    let things = vec![
        ("containers", count(&["ps", "--all", "--quiet", "--filter", label])?),
        ("networks", count(&["network", "ls", "--quiet", "--filter", label])?),
        ("volumes", count(&["volume", "ls", "--quiet", "--filter", label])?),
        ("image names", count(&["image", "ls", "--filter", kept, "--format", "{{.Repository}}:{{.Tag}}"])?),
    ];
    let mut processes = Vec::new();
    for verb in ["agent", "edge"] {
        let pid = lab.process(verb)?.ok_or_else(|| TaskError::Refused(format!("there is no {verb}")))?;
        processes.push((verb, files(pid)?, megabytes(pid)?));
    }
    let size = |name: &str| fs::metadata(lab.path("state").join(name)).map_or(0.0, |file| file.len() as f64);
    Ok(Census { things, processes, ledger_kb: (size("ledger.db") + size("ledger.db-wal")) / 1000.0 })
}

fn files(pid: u32) -> Outcome<f64> {
    let path = Path::new("/proc").join(pid.to_string()).join("fd");
    let listed = fs::read_dir(&path).map_err(|source| TaskError::Read { path, source })?;
    Ok(listed.count() as f64)
}
