//! Limits on size, each with a list of reasoned exceptions or a ceiling to discuss.

use crate::house::House;

const LONGEST_FILE: usize = 500;
const MOST_PACKAGES: usize = 400;
const EXCEPTIONS: &str = "crates/xtask/tidy/long-files.txt";

/// Tests may be long: a table of cases is one idea however many rows it has.
pub(super) fn file_length(house: &House) -> Vec<String> {
    let exceptions = exceptions(house.files.get(EXCEPTIONS).map_or("", String::as_str));
    let mut findings = Vec::new();
    for (path, text) in house.ending(".rs") {
        let lines = lines_outside_tests(path, text);
        let excepted = exceptions.iter().any(|(name, _)| name == path);
        match (lines > LONGEST_FILE, excepted) {
            (true, false) => findings.push(format!("{path}: {lines} lines")),
            (false, true) => findings.push(format!("{path}: {lines} lines need no exception")),
            _ => {}
        }
    }
    for (path, reason) in exceptions {
        if reason.is_empty() {
            findings.push(format!("{EXCEPTIONS}: {path} has no reason"));
        } else if !house.files.contains_key(&path) {
            findings.push(format!("{EXCEPTIONS}: there is no {path}"));
        }
    }
    findings
}

pub(super) fn lock_file(house: &House) -> Vec<String> {
    let text = house.files.get("Cargo.lock").map_or("", String::as_str);
    let packages = text.lines().filter(|line| *line == "[[package]]").count();
    if packages <= MOST_PACKAGES {
        return Vec::new();
    }
    vec![format!("{packages} packages, the ceiling is {MOST_PACKAGES}")]
}

fn lines_outside_tests(path: &str, text: &str) -> usize {
    if path.contains("/tests/") || path.ends_with("/tests.rs") || path.ends_with("_tests.rs") {
        return 0;
    }
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let next = lines.peek().map_or("", |(_, next)| *next);
        if line == "#[cfg(test)]" && next.starts_with("mod ") && next.ends_with('{') {
            return number;
        }
    }
    text.lines().count()
}

/// Lines of `path: reason`; `#` begins a comment.
fn exceptions(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| {
            let (path, reason) = line.split_once(':').unwrap_or((line, ""));
            (path.trim().to_owned(), reason.trim().to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn house(files: &[(&str, String)]) -> House {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.clone())).collect();
        House { crates: Vec::new(), files }
    }

    #[test]
    fn a_long_file_is_a_finding_and_its_tests_do_not_count() {
        let long = "x\n".repeat(501);
        let tested = format!("{}#[cfg(test)]\nmod tests {{\n{long}", "x\n".repeat(400));
        let house = house(&[
            ("crates/a/src/long.rs", long.clone()),
            ("crates/a/src/tested.rs", tested),
            ("crates/a/tests/story.rs", long),
        ]);
        assert_eq!(file_length(&house), ["crates/a/src/long.rs: 501 lines"]);
    }

    #[test]
    fn an_exception_needs_a_reason_and_a_long_file() {
        let list = "crates/a/src/long.rs: a table\ncrates/a/src/short.rs: was long once\ncrates/a/src/gone.rs:\n";
        let house = house(&[
            (EXCEPTIONS, list.to_owned()),
            ("crates/a/src/long.rs", "x\n".repeat(501)),
            ("crates/a/src/short.rs", "x\n".to_owned()),
        ]);
        assert_eq!(
            file_length(&house),
            [
                "crates/a/src/short.rs: 1 lines need no exception".to_owned(),
                format!("{EXCEPTIONS}: crates/a/src/gone.rs has no reason"),
            ]
        );
    }

    #[test]
    fn a_lock_file_over_its_ceiling_is_a_finding() {
        let lock = house(&[("Cargo.lock", "[[package]]\n".repeat(401))]);
        assert_eq!(lock_file(&lock), ["401 packages, the ceiling is 400"]);
    }
}
