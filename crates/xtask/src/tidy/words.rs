//! Words that no text of this repository holds.

use crate::house::House;

/// Kept in two halves, so that this list does not find itself.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("TO", "DO", "finish it, or say what is not there"),
    ("FIX", "ME", "mend it, or say what is wrong"),
    ("XX", "X:", "say what is wrong"),
    ("blazing", "ly", "give the figure"),
    ("enterprise", "-grade", "give the figure"),
    ("world", "-class", "give the figure"),
    ("production", "-ready", "say what was tested"),
    ("seam", "lessly", "say what happens"),
];

const TEXTS: &[&str] = &[".rs", ".md", ".sh", ".toml", ".yaml", ".yml", ".py", ".ts", ".tsx", ".sql"];

pub(super) fn check(house: &House) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, text) in &house.files {
        if !TEXTS.iter().any(|end| path.ends_with(end)) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            findings.extend(refusals(line).map(|why| format!("{path}:{}: {why}", number + 1)));
        }
    }
    findings
}

fn refusals(line: &str) -> impl Iterator<Item = String> {
    FORBIDDEN.iter().filter_map(move |(first, second, instead)| {
        let word = format!("{first}{second}");
        line.contains(&word).then(|| format!("\"{word}\": {instead}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forbidden_word_is_found_with_its_place() {
        let text = format!("fine\n// {}{}: later\n", "TO", "DO");
        let files = [("crates/a/src/lib.rs".to_owned(), text)].into();
        let found = check(&House { crates: Vec::new(), files });
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("crates/a/src/lib.rs:2: "), "{found:?}");
    }
}
