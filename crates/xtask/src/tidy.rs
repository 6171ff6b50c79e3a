//! The house rules as a table: each row names a rule, says why it is one, and finds what breaks it.
//! The same rows run under `./x check` and, one test each, under `./x test`.

mod floors;
mod layout;
mod limits;
mod lints;
mod reached;
mod words;

use crate::Outcome;
use crate::error::TaskError;
use crate::house::{self, House};

pub(crate) struct Rule {
    name: &'static str,
    why: &'static str,
    check: fn(&House) -> Vec<String>,
}

pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "floors",
        why: "a crate imports only from lower floors, so every change has one direction to spread in",
        check: floors::check,
    },
    Rule {
        name: "module files",
        why: "a module is `name.rs`, and its name is a noun an operator would say",
        check: layout::check,
    },
    Rule {
        name: "lints",
        why: "a crate that does not inherit the workspace's lints is outside all of them",
        check: lints::inherited,
    },
    Rule {
        name: "banned calls",
        why: "a crate's clippy.toml replaces the workspace's and must say again what that bans",
        check: lints::repeated,
    },
    Rule { name: "file length", why: "a file past 500 lines usually holds a second idea", check: limits::file_length },
    Rule {
        name: "lock file",
        why: "every package is code somebody has to trust and wait for",
        check: limits::lock_file,
    },
    Rule { name: "words", why: "unfinished work and praise do not belong in a finished text", check: words::check },
    Rule {
        name: "reached",
        why: "a source or test file that no target includes is never compiled, and looks as if it were",
        check: reached::files,
    },
    Rule { name: "no hidden skips", why: "an ignored test reads as a passing one", check: reached::ignored },
];

pub(crate) fn run() -> Outcome {
    let house = House::open(&house::root())?;
    let mut count = 0;
    for rule in RULES {
        let findings = (rule.check)(&house);
        count += findings.len();
        print_findings(rule, &findings);
    }
    if count == 0 {
        println!("{} rules hold over {} files", RULES.len(), house.files.len());
        return Ok(());
    }
    Err(TaskError::Findings(count))
}

fn print_findings(rule: &Rule, findings: &[String]) {
    if findings.is_empty() {
        return;
    }
    println!("{}: {}", rule.name, rule.why);
    for finding in findings {
        println!("  {finding}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error;

    fn holds(name: &str) {
        let house = House::open(&house::root()).map_err(|error| error::chain(&error));
        let rule = RULES.iter().find(|rule| rule.name == name).unwrap();
        let findings = (rule.check)(&house.unwrap());
        assert!(findings.is_empty(), "{}: {}\n{}", rule.name, rule.why, findings.join("\n"));
    }

    #[test]
    fn crates_import_only_from_lower_floors() {
        holds("floors");
    }

    #[test]
    fn modules_are_named_files_with_plain_nouns() {
        holds("module files");
    }

    #[test]
    fn every_crate_inherits_the_lints() {
        holds("lints");
    }

    #[test]
    fn a_crate_with_its_own_clippy_file_repeats_the_bans() {
        holds("banned calls");
    }

    #[test]
    fn no_file_grows_past_its_limit_without_a_reason() {
        holds("file length");
    }

    #[test]
    fn the_lock_file_stays_under_its_ceiling() {
        holds("lock file");
    }

    #[test]
    fn no_text_holds_a_forbidden_word() {
        holds("words");
    }

    #[test]
    fn every_source_and_test_file_is_compiled() {
        holds("reached");
    }

    #[test]
    fn no_test_is_ignored() {
        holds("no hidden skips");
    }
}
