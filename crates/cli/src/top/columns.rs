//! The columns of each view as rows of a table: a title, what stands there, and how gladly it is spared.

use std::cmp::Ordering;

use super::numbers::{bytes, millis, rate};
use super::rates::{Route, Service, Target};

/// One column.
pub struct Column<R> {
    pub title: &'static str,
    /// Where it is too narrow, columns with the lowest worth go first; those of [`KEPT`] never do.
    pub worth: u8,
    pub cell: fn(&R) -> Cell,
}

pub const KEPT: u8 = 9;

/// What stands in a column: it knows how it is written and which comes first.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Words(String),
    Count(u64),
    Rate(f64),
    Bytes(f64),
    Millis(Option<f64>),
}

impl Cell {
    pub fn text(&self) -> String {
        match self {
            Cell::Words(words) => words.clone(),
            Cell::Count(count) => count.to_string(),
            Cell::Rate(per_second) => rate(*per_second),
            Cell::Bytes(count) => bytes(*count),
            Cell::Millis(ms) => millis(*ms),
        }
    }

    pub fn is_words(&self) -> bool {
        matches!(self, Cell::Words(_))
    }

    /// As a person expects it when a column is chosen: words by the alphabet, the largest numbers first.
    pub fn order(&self, other: &Cell) -> Ordering {
        let number = |cell: &Cell| match cell {
            Cell::Words(_) => 0.0,
            Cell::Count(count) => *count as f64,
            Cell::Rate(value) | Cell::Bytes(value) => *value,
            Cell::Millis(ms) => ms.unwrap_or(-1.0),
        };
        match (self, other) {
            (Cell::Words(one), Cell::Words(two)) => one.cmp(two),
            (one, two) => number(two).total_cmp(&number(one)),
        }
    }
}

/// One target with its service.
pub struct TargetRow {
    pub service: String,
    pub release: String,
    pub target: Target,
}

const fn column<R>(title: &'static str, worth: u8, cell: fn(&R) -> Cell) -> Column<R> {
    Column { title, worth, cell }
}

pub const SERVICES: &[Column<Service>] = &[
    column("SERVICE", KEPT, |row| Cell::Words(row.service.clone())),
    column("RELEASE", KEPT, |row| Cell::Words(release(row))),
    column("REQ/S", KEPT, |row| Cell::Rate(row.answers.requests_per_s)),
    column("FLIGHT", 8, |row| Cell::Count(row.in_flight)),
    column("P50", 5, |row| Cell::Millis(row.answers.p50_ms)),
    column("P95", 6, |row| Cell::Millis(row.answers.p95_ms)),
    column("P99", 8, |row| Cell::Millis(row.answers.p99_ms)),
    column("4XX/S", 6, |row| Cell::Rate(row.answers.client_errors_per_s)),
    column("5XX/S", 8, |row| Cell::Rate(row.answers.server_errors_per_s)),
    column("RETRY/S", 3, |row| Cell::Rate(row.retries_per_s)),
    column("HELD", 7, |row| Cell::Count(row.held)),
    column("REFUSED/S", 4, |row| Cell::Rate(row.refused_per_s)),
    column("WS", 2, |row| Cell::Count(row.websockets)),
    column("IN/S", 1, |row| Cell::Bytes(row.bytes_in_per_s)),
    column("OUT/S", 2, |row| Cell::Bytes(row.bytes_out_per_s)),
    column("TARGETS", 7, |row| Cell::Words(targets(row))),
];

pub const ROUTES: &[Column<Route>] = &[
    column("ROUTE", KEPT, |row| Cell::Words(format!("{}{}", row.host, row.path))),
    column("REQ/S", KEPT, |row| Cell::Rate(row.answers.requests_per_s)),
    column("P50", 5, |row| Cell::Millis(row.answers.p50_ms)),
    column("P95", 6, |row| Cell::Millis(row.answers.p95_ms)),
    column("P99", 8, |row| Cell::Millis(row.answers.p99_ms)),
    column("4XX/S", 7, |row| Cell::Rate(row.answers.client_errors_per_s)),
    column("5XX/S", 8, |row| Cell::Rate(row.answers.server_errors_per_s)),
    column("REFUSED/S", 4, |row| Cell::Rate(row.refused_per_s)),
    column("QUEUED", 3, |row| Cell::Count(row.waiting)),
    column("SERVICE", 2, |row| Cell::Words(row.services.join(", "))),
];

pub const TARGETS: &[Column<TargetRow>] = &[
    column("SERVICE", KEPT, |row| Cell::Words(row.service.clone())),
    column("RELEASE", KEPT, |row| Cell::Words(row.release.clone())),
    column("TARGET", KEPT, |row| Cell::Words(row.target.address.clone())),
    column("CONDITION", KEPT, |row| Cell::Words(row.target.condition.to_owned())),
];

/// The release, and that it only finishes.
pub fn release(row: &Service) -> String {
    if row.is_draining { format!("{} drains", row.release) } else { row.release.clone() }
}

/// `3 well`, or what is not: `2 of 3 well: ejected`.
fn targets(row: &Service) -> String {
    let well = row.targets.iter().filter(|target| target.is_well()).count();
    let starting = row.targets.iter().filter(|target| target.condition == "starting").count();
    let unwell = row.targets.iter().filter(|target| !target.is_well()).map(|target| target.condition);
    let mut unwell: Vec<&str> = unwell.collect();
    unwell.dedup();
    match row.targets.len() {
        0 => "none".into(),
        all if well < all => format!("{well} of {all} well: {}", unwell.join(", ")),
        all if starting > 0 => format!("{all} well, {starting} starting"),
        all => format!("{all} well"),
    }
}
