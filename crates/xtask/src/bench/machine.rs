//! The machine that was measured on, and the memory of processes.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::lab::Lab;
use super::row::Row;
use super::wait::rest;
use crate::error::TaskError;
use crate::{Outcome, run};

#[derive(Serialize)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) cores: usize,
    pub(crate) memory_gb: u64,
    pub(crate) kernel: String,
    pub(crate) docker: String,
}

impl Machine {
    pub(crate) fn look() -> Outcome<Machine> {
        let memory = read("/proc/meminfo")?;
        let version = ["version", "--format", "{{.Server.Version}}"];
        Ok(Machine {
            date: run::output(run::program("date").args(["-u", "+%F"]))?,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gb: kilobytes(&memory, "MemTotal:") / 1_000_000,
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            docker: run::output(run::program("docker").args(version))?,
        })
    }
}

/// The agent and the edge, some seconds after the last command.
/// Proportional memory: what several processes share is counted once.
pub(crate) fn at_rest(lab: &mut Lab) -> Outcome<Vec<Row>> {
    lab.bring_up()?;
    rest(Duration::from_secs(if lab.quick { 2 } else { 15 }));
    let mut rows = Vec::new();
    let mut sum = 0.0;
    for verb in ["agent", "edge", "supervise"] {
        let Some(pid) = lab.process(verb)? else {
            continue;
        };
        let megabytes = megabytes(pid)?;
        sum += megabytes;
        rows.push(Row::of(format!("memory at rest: {verb}"), "MB", &[megabytes]));
    }
    if rows.is_empty() {
        return Err(TaskError::Refused("no process of the bench platform was found".to_owned()));
    }
    rows.push(Row::of("memory at rest: all of Mainstay", "MB", &[sum]).at_most(MEMORY_MB));
    Ok(rows)
}

/// Proportional memory of a process.
pub(crate) fn megabytes(pid: u32) -> Outcome<f64> {
    Ok(kilobytes(&read(&format!("/proc/{pid}/smaps_rollup"))?, "Pss:") as f64 / 1000.0)
}

/// Less than a tenth of the smallest server that is usually rented.
const MEMORY_MB: f64 = 60.0;

fn read(path: &str) -> Outcome<String> {
    fs::read_to_string(path).map_err(|source| TaskError::Read { path: PathBuf::from(path), source })
}

/// The figure of a `Name:  123 kB` line; zero when there is none.
fn kilobytes(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|word| word.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_proc_is_read_by_its_name() {
        assert_eq!(kilobytes("Rss:  10 kB\nPss:   123 kB\nPss_Dirty: 4 kB\n", "Pss:"), 123);
    }
}
