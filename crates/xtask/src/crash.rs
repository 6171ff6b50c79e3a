//! The page of the crash matrix, from what its rows wrote down while they ran.

use std::fs;
use std::path::PathBuf;

use crate::error::TaskError;
use crate::{Outcome, docs, house};

const PAGE: &str = "docs/crash-matrix.md";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The file to which the rows have added themselves, one JSON object a line.
    #[arg(long)]
    rows: PathBuf,
    /// How much of the matrix was run, in words for the page.
    #[arg(long)]
    extent: String,
    /// Keep the page, too.
    #[arg(long)]
    write: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
struct Row {
    row: String,
    kills: u64,
    finished: u64,
    undone: u64,
    broken: u64,
    requests: u64,
    failed: u64,
}

pub(crate) fn run(options: &Options) -> Outcome {
    let read = |source| TaskError::Read { path: options.rows.clone(), source };
    let rows = parse(&fs::read_to_string(&options.rows).map_err(read)?)?;
    let table = table(&rows);
    println!("{table}");
    if options.write {
        docs::keep(&house::root().join(PAGE), &page(&table, &options.extent), false)?;
    }
    let broken: u64 = rows.iter().map(|row| row.broken).sum();
    match (rows.is_empty(), broken) {
        (true, _) => Err(TaskError::Refused("no row has been run".into())),
        (false, 0) => Ok(()),
        (false, broken) => Err(TaskError::Refused(format!("{broken} invariants were broken"))),
    }
}

fn parse(text: &str) -> Outcome<Vec<Row>> {
    let row = |line| {
        serde_json::from_str(line).map_err(|source| TaskError::Decode { what: "a row of the matrix".into(), source })
    };
    let mut rows: Vec<Row> = text.lines().map(row).collect::<Outcome<_>>()?;
    rows.sort_by(|one, other| one.row.cmp(&other.row));
    Ok(rows)
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| what is hit | blows | finished | undone | invariants broken | requests | failed requests |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let mut line = |row: &Row| {
        let Row { row, kills, finished, undone, broken, requests, failed } = row;
        text.push_str(&format!("| {row} | {kills} | {finished} | {undone} | {broken} | {requests} | {failed} |\n"));
    };
    rows.iter().for_each(&mut line);
    let sum = |of: fn(&Row) -> u64| rows.iter().map(of).sum();
    line(&Row {
        row: "**all**".into(),
        kills: sum(|row| row.kills),
        finished: sum(|row| row.finished),
        undone: sum(|row| row.undone),
        broken: sum(|row| row.broken),
        requests: sum(|row| row.requests),
        failed: sum(|row| row.failed),
    });
    text
}

fn page(table: &str, extent: &str) -> String {
    format!(
        "# The crash matrix\n\n\
        Written by `./x crash --write`; the rows are tests in `crates/cli/tests/real/crash`, against real daemons.\n\
        This run: {extent}.\n\n\
        After each blow the ledger, Docker, the edge and the status are heard: exactly one release of each service serves and is routed, \
        to the running copies that it has; no container, network or share is left over; the lock is free; every operation and saga has ended; \
        the status says the same; and a request is answered by the release that serves.\n\
        An operation that outlives the last entry is counted as finished or undone too, so those can be one more than the blows.\n\
        Requests fail where what answers them was killed (the edge, everything at once) or stopped (two commands that both find \
        no agent) or where the release itself answers 500 (flip back); in the other rows one failed request breaks the row.\n\n{table}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &str = r#"{"row":"b","kills":3,"finished":2,"undone":1,"broken":0,"requests":40,"failed":0}
{"row":"a","kills":1,"finished":1,"undone":0,"broken":1,"requests":2,"failed":1}
"#;

    #[test]
    fn the_table_has_a_line_for_each_row_in_order_and_their_sum() {
        let table = table(&parse(ROWS).unwrap());
        let lines: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            lines,
            ["| a | 1 | 1 | 0 | 1 | 2 | 1 |", "| b | 3 | 2 | 1 | 0 | 40 | 0 |", "| **all** | 4 | 3 | 1 | 1 | 42 | 1 |"]
        );
    }

    #[test]
    fn a_line_that_is_no_row_is_an_error() {
        assert!(parse("{\"row\":\"a\"}").is_err());
    }
}
