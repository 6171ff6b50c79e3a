//! The rule, held by reading the sources: nothing else in this crate ends a container.

use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, found),
            false => found.push(path),
        }
    }
}

/// Calls that end a container, or remove one that may run.
fn offences(text: &str) -> Vec<String> {
    let dense: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let mut offences = Vec::new();
    for call in ["docker.stop(", "docker.kill("] {
        offences.extend(dense.match_indices(call).map(|(at, _)| dense[at..].chars().take(60).collect::<String>()));
    }
    for (at, _) in dense.match_indices("docker.remove(") {
        let call: String = dense[at..].chars().take_while(|c| *c != ';').collect();
        let arguments = call.split(".await").next().unwrap_or_default();
        if !arguments.ends_with(",false)") {
            offences.push(arguments.to_owned());
        }
    }
    offences
}

#[test]
fn no_other_file_stops_kills_or_forcibly_removes_a_container() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    assert!(found.len() > 50, "the sources are read: {}", found.len());
    let own = root.join("stopping.rs");
    for path in found.iter().filter(|path| **path != own && !path.ends_with("stopping/tests.rs")) {
        let offences = offences(&std::fs::read_to_string(path).unwrap());
        assert!(
            offences.is_empty(),
            "{} ends a container by itself, and not by `stopping`: {offences:?}",
            path.display()
        );
    }
}

#[test]
fn the_reader_of_the_sources_sees_every_form_of_a_stop() {
    assert_eq!(offences("world\n  .docker\n  .stop(&name, grace).await").len(), 1);
    assert_eq!(offences("world.docker.kill(name, \"SIGKILL\")").len(), 1);
    assert_eq!(offences("done(world.docker.remove(&copy(a, 1), true).await, \"x\")?;").len(), 1);
    assert_eq!(offences("world.docker.remove(&item.name, false).await,").len(), 0);
}
