//! How source files are named.

use crate::house::House;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] =
    &["utils.rs", "util.rs", "common.rs", "core.rs", "helpers.rs", "helper.rs", "manager.rs", "misc.rs"];

pub(super) fn check(house: &House) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, _) in house.ending(".rs") {
        let name = path.rsplit('/').next().unwrap_or(path);
        // Below `tests`, a file named for the folder would be a test program of its own.
        if name == "mod.rs" && !path.contains("/tests/") {
            findings.push(format!("{path}: write it as a file named for the folder, beside it"));
        }
        if EMPTY_NAMES.contains(&name) {
            findings.push(format!("{path}: name it for the type or the verb it holds"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mod_file_and_an_empty_name_are_findings() {
        let files =
            ["crates/a/src/lib.rs", "crates/a/src/b/mod.rs", "crates/a/src/utils.rs", "crates/a/tests/kit/mod.rs"];
        let files = files.iter().map(|path| ((*path).to_owned(), String::new())).collect();
        let house = House { crates: Vec::new(), files };
        assert_eq!(check(&house).len(), 2);
    }
}
