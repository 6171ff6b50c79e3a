//! How rows are shown: a table for a terminal, JSON for programs, a page for the repository.

use serde::Serialize;

use super::BENCHES;
use super::machine::Machine;
use super::row::Row;
use crate::Outcome;
use crate::error::TaskError;

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    rows: &'a [Row],
}

pub(crate) fn json(machine: &Machine, rows: &[Row]) -> Outcome<String> {
    serde_json::to_string_pretty(&Report { machine, rows })
        .map_err(|source| TaskError::Decode { what: "the report".to_owned(), source })
}

pub(crate) fn table(rows: &[Row]) -> String {
    let cells: Vec<[String; 6]> = rows.iter().map(cells).collect();
    let width = |column: usize| {
        let head = HEAD[column].len();
        cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(head)
    };
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let mut text = line(&HEAD.map(str::to_owned), &widths);
    for row in &cells {
        text.push_str(&line(row, &widths));
    }
    text
}

const HEAD: [&str; 6] = ["figure", "value", "target", "met", "runs", "spread"];

/// The first column reads from the left, figures from the right.
fn line(cells: &[String; 6], widths: &[usize]) -> String {
    let mut text = format!("{:<1$}", cells[0], widths[0]);
    for (cell, width) in cells.iter().zip(widths).skip(1) {
        text.push_str(&format!("  {cell:>width$}"));
    }
    text.push('\n');
    text
}

fn cells(row: &Row) -> [String; 6] {
    [
        row.name.clone(),
        format!("{}{}", figure(row.value), unit(row)),
        row.target.map_or("-".to_owned(), |target| format!("<= {}{}", figure(target), unit(row))),
        row.met().map_or("-", |met| if met { "yes" } else { "NO" }).to_owned(),
        row.runs.to_string(),
        format!("{} to {}", figure(row.spread.min), figure(row.spread.max)),
    ]
}

fn unit(row: &Row) -> String {
    if row.unit == "count" { String::new() } else { format!(" {}", row.unit) }
}

fn figure(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

pub(crate) fn markdown(machine: &Machine, rows: &[Row]) -> String {
    let mut text = String::from(
        "# Benchmarks\n\n\
         The last run of `./x bench --write`; the page is written by it and not by hand.\n\
         A value is the median of its runs, a target is judged by the worst of them.\n\n",
    );
    text.push_str(&format!(
        "Measured on {} with {} cores, {} GB of memory, kernel {}, Docker {}.\n\n",
        machine.date, machine.cores, machine.memory_gb, machine.kernel, machine.docker
    ));
    text.push_str(&format!("| {} |\n| --- | --- | --- | --- | --- | --- |\n", HEAD.join(" | ")));
    for row in rows {
        text.push_str(&format!("| {} |\n", cells(row).join(" | ")));
    }
    text.push_str("\n## What each shows\n\n");
    for bench in BENCHES {
        text.push_str(&format!("- `{}`: {}.\n", bench.name, bench.shows));
    }
    text.push_str(REPEAT);
    text
}

const REPEAT: &str = "
## How to repeat

`./x bench` runs all of them, `./x bench rollback memory` some, `--json` prints rows for programs, `--quick` is for trying.
It brings up a platform of its own (`bench/platform`) on a high loopback port and takes it down again; nothing else on the machine is touched.
The load tool is k6 with a fixed arrival rate (`bench/load.js`), and it compares each body with the exact text of a release.
Figures of a busy machine are higher: run it on a quiet one, twice, and compare the spreads.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_shows_what_was_missed() {
        let rows =
            [Row::of("rollback", "ms", &[10.0, 12.5]).at_most(12.0), Row::count("failed requests", 0, 3).at_most(0.0)];
        let shown = table(&rows);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[1], "rollback         11.2 ms  <= 12 ms   NO     2  10 to 12.5");
        assert_eq!(lines[2], "failed requests        0      <= 0  yes     3      0 to 0");
    }
}
