//! The page of data safety, from what the tests of `./x data` reported.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use crate::error::TaskError;
use crate::{Outcome, docs, house};

const PAGE: &str = "docs/data-safety.md";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The file to which the tests have added their reports, one JSON object a line.
    #[arg(long)]
    rows: PathBuf,
    /// The seed of the random sequences, for the page.
    #[arg(long)]
    seed: u64,
    /// Keep the page, too.
    #[arg(long)]
    write: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
struct Report {
    name: String,
    sequences: u64,
    seconds: u64,
    done: BTreeMap<String, u64>,
    refused: BTreeMap<String, u64>,
    failed: BTreeMap<String, u64>,
    kills: u64,
    writers: u64,
    writes: u64,
    breaches: BTreeMap<String, u64>,
}

pub(crate) fn run(options: &Options) -> Outcome {
    let read = |source| TaskError::Read { path: options.rows.clone(), source };
    let reports = parse(&fs::read_to_string(&options.rows).map_err(read)?)?;
    let tables = tables(&reports);
    println!("{tables}");
    if options.write {
        docs::keep(&house::root().join(PAGE), &page(&tables, options.seed), false)?;
    }
    let broken: u64 = reports.iter().flat_map(|report| report.breaches.values()).sum();
    match (reports.is_empty(), broken) {
        (true, _) => Err(TaskError::Refused("no sequence was run".into())),
        (false, 0) => Ok(()),
        (false, broken) => Err(TaskError::Refused(format!("{broken} sequences broke a rule"))),
    }
}

fn parse(text: &str) -> Outcome<Vec<Report>> {
    let report = |line| {
        serde_json::from_str(line)
            .map_err(|source| TaskError::Decode { what: "a report of data safety".into(), source })
    };
    let mut reports: Vec<Report> = text.lines().map(report).collect::<Outcome<_>>()?;
    reports.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(reports)
}

fn tables(reports: &[Report]) -> String {
    let mut text = String::from(
        "| what ran | sequences | a minute | steps | agents killed | writers | acknowledged writes | sequences that broke a rule |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for report in reports {
        let Report { name, sequences, seconds, kills, writers, writes, breaches, .. } = report;
        let steps: u64 =
            [&report.done, &report.refused, &report.failed].iter().flat_map(|counts| counts.values()).sum();
        let pace = sequences * 600 / (*seconds).max(1);
        let broken: Vec<String> = breaches.iter().map(|(rule, count)| format!("{count} {rule}")).collect();
        let broken = if broken.is_empty() { "0".to_owned() } else { broken.join(", ") };
        text.push_str(&format!(
            "| {name} | {sequences} | {}.{} | {steps} | {kills} | {writers} | {writes} | {broken} |\n",
            pace / 10,
            pace % 10
        ));
    }
    for report in reports {
        text.push_str(&format!("\n| step of {} | done | refused | failed |\n| --- | --- | --- | --- |\n", report.name));
        let [done, refused, failed] = [&report.done, &report.refused, &report.failed];
        let actions: BTreeSet<&String> = done.keys().chain(refused.keys()).chain(failed.keys()).collect();
        for action in actions {
            let count = |of: &BTreeMap<String, u64>| of.get(action).copied().unwrap_or(0);
            text.push_str(&format!("| {action} | {} | {} | {} |\n", count(done), count(refused), count(failed)));
        }
    }
    text
}

fn page(tables: &str, seed: u64) -> String {
    format!(
        "# Data safety\n\n\
        Written by `./x data --write`; the tests are in `crates/cli/tests/real/data_property`, with the real program on a real Docker Engine. \
        The seed of this run: {seed}.\n\n\
        A sequence is a random platform (one to six services; named, fixed, external, bound, linked, unnamed volumes, folders in folders, \
        single files; read-only and writing backups; copies; two environments) and random steps. \
        The program in the containers writes down when it begins, lives, acknowledges a write, saves and ends. After each step:\n\n\
        | rule | what holds |\n| --- | --- |\n\
        | Writers | never more writers of a place at once than plain Compose would run for the file |\n\
        | Lost | every acknowledged write, and all that was written before, is where the service looks |\n\
        | Killed | every writer was told to stop once and has saved and ended, unless the test has killed it by hand or its whole grace was over |\n\
        | Changed | what is refused starts and stops nothing |\n\
        | Shared | an environment is refused when it would write where another one writes |\n\
        | Removed | no volume is gone |\n\
        | Absent | after a successful `up` every service runs |\n\
        | Stuck | every operation ends, and `up` after a failure succeeds |\n\n{tables}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = r#"{"name":"Mainstay","sequences":4,"seconds":60,"done":{"Up":5},"refused":{"Up":1,"Move":2},"failed":{},"kills":3,"writers":9,"writes":40,"breaches":{}}"#;

    #[test]
    fn the_tables_have_a_line_for_each_report_and_each_kind_of_step() {
        let tables = tables(&parse(ROW).unwrap());
        assert!(tables.contains("| Mainstay | 4 | 4.0 | 8 | 3 | 9 | 40 | 0 |"), "{tables}");
        assert!(tables.ends_with("| Move | 0 | 2 | 0 |\n| Up | 5 | 1 | 0 |\n"), "{tables}");
    }

    #[test]
    fn a_broken_rule_is_named_with_its_count() {
        let row = ROW.replace("\"breaches\":{}", "\"breaches\":{\"Lost\":2}");
        assert!(tables(&parse(&row).unwrap()).contains("| 2 Lost |"));
    }

    #[test]
    fn a_line_that_is_no_report_is_an_error() {
        assert!(parse("{\"name\":\"a\"}").is_err());
    }
}
