//! Tasks of this workspace that are programs, not scripts: `./x check` and `./x bench` call them.
//!
//! - `tidy` holds the house rules that no compiler knows: floors, file names, lints, the lock file, words.
//! - `bench` measures the release binary under a load tool that is not ours, and keeps the page of figures.
//! - `crash` makes the table and the page of the crash matrix.
//! - `data` makes the tables and the page of data safety.
//! - `docs` writes the reference pages that are generated from the binary.
//!
//! This crate stands beside the stairs: no other crate may import it, and it imports none of them,
//! so that it still runs while a domain does not compile.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a development tool: its output is its purpose")]

mod bench;
mod crash;
mod data;
mod docs;
mod error;
mod house;
mod run;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::TaskError;

#[derive(Parser)]
#[command(name = "xtask", about = "Tasks of the Mainstay workspace")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Hold the house rules; every finding is printed.
    Tidy,
    /// Measure the release binary and print one row per figure.
    Bench(bench::Options),
    /// Print the crash matrix from what its rows wrote down.
    Crash(crash::Options),
    /// Print the tables of data safety from what its tests reported.
    Data(data::Options),
    /// Write the reference pages that come from the binary.
    Docs(docs::Options),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Tidy => tidy::run(),
        Task::Bench(options) => bench::run(&options),
        Task::Crash(options) => crash::run(&options),
        Task::Data(options) => data::run(&options),
        Task::Docs(options) => docs::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {}", error::chain(&error));
            ExitCode::FAILURE
        }
    }
}

type Outcome<T = ()> = Result<T, TaskError>;
