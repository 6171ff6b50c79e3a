//! A secret reaches its container and nothing else.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::place::{Place, docker, image, web};

const SECRET: &str = "hunter2-4e1f9c77d0";

#[test]
fn real_a_secret_reaches_its_container_and_nothing_else() {
    let place = Place::new("secret");
    place.compose(&web(&image("one", &[]), "    environment: {API_TOKEN: \"${API_TOKEN}\"}\n"));
    place.platform("5m", "");
    let file = std::fs::read_to_string(place.dir().join("mainstay.yaml")).unwrap();
    place.write("mainstay.yaml", &file.replace("  production:\n", "  production:\n    env_file: .env\n"));
    place.write(".env", &format!("API_TOKEN={SECRET}\n"));
    mode(&place, 0o644);
    let refused = place.run(&["up", "--yes"]);
    assert_ne!(refused.code, 0);
    refused.says("chmod 0600 ");
    assert!(place.containers().is_empty());

    mode(&place, 0o600);
    let mut said = vec![refused, place.run(&["up", "--yes"]).done()];
    let env = docker(&["inspect", "--format", "{{json .Config.Env}}", &place.container("web", "r1")]);
    assert!(env.contains(SECRET), "it reaches the container: {env}");
    let deaf = image("deaf", &[("NEVER_HEALTHY", "1")]);
    said.push(place.run(&["deploy", "web", "--image", &deaf, "--yes"]).ended(3));
    said.push(place.run(&["deploy", "web", "--image", "localhost:1/nobody/has-this:1", "--yes"]).ended(1));
    for words in [
        &["plan"][..],
        &["status", "--json"],
        &["releases", "--json"],
        &["config", "render"],
        &["config", "render", "--json"],
    ] {
        said.push(place.run(words).done());
    }
    for ran in &said {
        assert!(!ran.out.contains(SECRET) && !ran.err.contains(SECRET), "{ran:#?}");
    }
    let mut holders = Vec::new();
    search(place.state(), &mut holders);
    for path in &holders {
        let inside = path.strip_prefix(place.state()).unwrap();
        assert!(inside.starts_with("releases"), "{} holds the secret", path.display());
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
    assert!(!holders.is_empty(), "the definitions carry it, under a mode of their own");
}

fn mode(place: &Place, mode: u32) {
    std::fs::set_permissions(place.dir().join(".env"), std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Files that hold the secret, anywhere below: ledger, journal files, logs, snapshots.
fn search(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            search(&path, found);
        } else if std::fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()))
        {
            found.push(path);
        }
    }
}
