//! Reference pages that are generated from the binary, so that they cannot say something else.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::TaskError;
use crate::{Outcome, house, run};

const CLI_PAGE: &str = "docs/reference/cli.md";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The binary to ask.
    #[arg(long, env = "MAINSTAY")]
    mainstay: PathBuf,
    /// Compare with what is there instead of writing it.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(options: &Options) -> Outcome {
    let mut page =
        String::from("# The command line\n\nGenerated from the binary's own help by `cargo run -p xtask -- docs`.\n");
    describe(&options.mainstay, &[], &mut page)?;
    keep(&house::root().join(CLI_PAGE), &page, options.check)
}

/// One section for a command, then one for each below it.
fn describe(mainstay: &Path, words: &[String], page: &mut String) -> Outcome {
    let mut command = run::program(mainstay);
    command.args(words).arg("--help").env("COLUMNS", "100").env("NO_COLOR", "1");
    let help = run::output(&mut command)?;
    let title = std::iter::once("mainstay").chain(words.iter().map(String::as_str));
    let title = title.collect::<Vec<_>>().join(" ");
    page.push_str(&format!("\n## `{title}`\n\n```text\n{help}\n```\n"));
    for name in subcommands(&help) {
        let below: Vec<String> = words.iter().cloned().chain([name.to_owned()]).collect();
        describe(mainstay, &below, page)?;
    }
    Ok(())
}

/// Names listed under "Commands:", without `help`.
fn subcommands(help: &str) -> Vec<&str> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        // Wrapped descriptions are indented further than names.
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect()
}

pub(crate) fn keep(path: &Path, text: &str, check: bool) -> Outcome {
    if check {
        let present = fs::read_to_string(path).unwrap_or_default();
        if present == text {
            return Ok(());
        }
        return Err(TaskError::Refused(format!("{} is not what the binary says", path.display())));
    }
    let written = |source| TaskError::Write { path: path.to_path_buf(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(written)?;
    }
    #[expect(clippy::disallowed_methods, reason = "a page under version control, not state")]
    fs::write(path, text).map_err(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subcommands_are_read_from_help() {
        let help = "Usage: x\n\nCommands:\n  up    Bring up\n          wrapped\n  down  Take down\n  help  Print\n\nOptions:\n  -h\n";
        assert_eq!(subcommands(help), ["up", "down"]);
    }
}
