//! That what looks like compiled code and running tests is both.

use crate::house::{Crate, House};

/// Every `.rs` file of a crate is a target's root or declared by `mod` in the file above it.
pub(super) fn files(house: &House) -> Vec<String> {
    let mut findings = Vec::new();
    for member in &house.crates {
        for (path, _) in house.ending(".rs") {
            if belongs(member, path) && !member.roots.iter().any(|root| root == path) && !declared(house, member, path)
            {
                findings.push(format!("{path}: no file declares it"));
            }
        }
    }
    findings
}

pub(super) fn ignored(house: &House) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, text) in house.ending(".rs") {
        for (number, line) in text.lines().enumerate() {
            if line.trim_start().starts_with(concat!("#[", "ignore")) {
                findings.push(format!("{path}:{}", number + 1));
            }
        }
    }
    findings
}

/// Data for tests may be Rust text too; only source and test folders hold what is compiled.
fn belongs(member: &Crate, path: &str) -> bool {
    let rest = path.strip_prefix(&member.folder).unwrap_or("");
    ["/src/", "/tests/", "/benches/", "/examples/"].iter().any(|folder| rest.starts_with(folder))
}

fn declared(house: &House, member: &Crate, path: &str) -> bool {
    let Some((folder, file)) = path.rsplit_once('/') else {
        return false;
    };
    // `kit/mod.rs` is what `mod kit;` in the folder above means.
    let (folder, name) = match folder.rsplit_once('/') {
        Some((above, name)) if file == "mod.rs" => (above, name),
        _ => (folder, file.trim_end_matches(".rs")),
    };
    let by_path = format!("{file}\"]");
    parents(member, folder).iter().filter_map(|parent| house.files.get(parent)).any(|text| {
        text.lines().any(|line| {
            let line = line.trim();
            declares(line, name) || (line.starts_with("#[path = \"") && line.ends_with(&by_path))
        })
    })
}

/// The files whose `mod` lines look into this folder: the file named as the folder or `mod.rs` in it, and the target
/// roots in or above it.
fn parents(member: &Crate, folder: &str) -> Vec<String> {
    let named = format!("{folder}.rs");
    let above = folder.rsplit_once('/').map_or("", |(above, _)| above);
    let roots = member.roots.iter().filter(|root| {
        let home = root.rsplit_once('/').map_or("", |(home, _)| home);
        home == folder || home == above
    });
    [named, format!("{folder}/mod.rs")].into_iter().chain(roots.cloned()).collect()
}

fn declares(line: &str, name: &str) -> bool {
    let line = line.trim_end_matches([';', '{', ' ']);
    let starts = |start: &str| start == "mod " || (start.starts_with("pub") && start.ends_with(" mod "));
    line.strip_suffix(name).is_some_and(starts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::Place;

    fn house(files: &[(&str, &str)], roots: &[&str]) -> House {
        let member = Crate {
            name: "a".to_owned(),
            folder: "crates/a".to_owned(),
            place: Place::Floor(0),
            imports: Vec::new(),
            roots: roots.iter().map(|root| (*root).to_owned()).collect(),
        };
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        House { crates: vec![member], files: files.collect() }
    }

    #[test]
    fn files_declared_step_by_step_are_reached() {
        let house = house(
            &[
                ("crates/a/src/lib.rs", "mod b;\n"),
                ("crates/a/src/b.rs", "pub(crate) mod c;\n"),
                ("crates/a/src/b/c.rs", ""),
                ("crates/a/tests/story.rs", "#[path = \"kit/host.rs\"]\nmod host;\n"),
                ("crates/a/tests/kit/host.rs", ""),
                ("crates/a/tests/tale.rs", "mod hands;\n"),
                ("crates/a/tests/hands/mod.rs", "pub mod thumb;\n"),
                ("crates/a/tests/hands/thumb.rs", ""),
            ],
            &["crates/a/src/lib.rs", "crates/a/tests/story.rs", "crates/a/tests/tale.rs"],
        );
        assert_eq!(files(&house), Vec::<String>::new());
    }

    #[test]
    fn a_file_nobody_declares_is_a_finding() {
        let house = house(
            &[
                ("crates/a/src/lib.rs", "mod b;\n// mod lost\n"),
                ("crates/a/src/b.rs", ""),
                ("crates/a/src/lost.rs", ""),
                ("crates/a/tests/kit/lost.rs", ""),
            ],
            &["crates/a/src/lib.rs"],
        );
        assert_eq!(
            files(&house),
            ["crates/a/src/lost.rs: no file declares it", "crates/a/tests/kit/lost.rs: no file declares it",]
        );
    }

    #[test]
    fn an_ignored_test_is_a_finding() {
        let text = format!("#[test]\n    #[{} = \"slow\"]\nfn f() {{}}\n", "ignore");
        let found = ignored(&house(&[("crates/a/src/lib.rs", &text)], &[]));
        assert_eq!(found, ["crates/a/src/lib.rs:2"]);
    }
}
