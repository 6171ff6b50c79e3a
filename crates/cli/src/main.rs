//! The command line, and the start of both processes.
//!
//! This is the only place that prints, exits, reads the environment and builds the real parts.
//! A verb is one file under `commands/`; the control plane is assembled under `agent/`.
#![expect(clippy::print_stderr, reason = "the command line is where printing belongs")]

// First, since its macros stand in for those of the standard library.
#[macro_use]
mod out;
mod agent;
mod client;
mod commands;
mod edge_process;
mod engine;
mod errors;
mod layout;
mod messages;
mod show;
mod supervise;
mod top;

use std::process::ExitCode;

use clap::Parser;

/// It gives back what a burst of connections has taken; how soon is said in `.cargo/config.toml`.
#[global_allocator]
static MEMORY: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = commands::Cli::parse();
    let runtime = match commands::runtime(&cli) {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: could not start the runtime: {error}");
            return ExitCode::from(1);
        }
    };
    match runtime.block_on(commands::run(cli)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            error.print();
            ExitCode::from(error.ending.exit_code())
        }
    }
}
