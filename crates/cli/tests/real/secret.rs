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
    // As git writes it.
    mode(&place, 0o644);
    let planned = place.run(&["plan"]).done();
    planned.says("`.env` is readable by all users: mode 0644 becomes 0600");
    assert_eq!(mode_of(&place), 0o644, "a plan changes nothing");
    let up = place.run(&["up", "--yes"]).done();
    up.says("`.env` was readable by all users and has mode 0600 now");
    assert_eq!(mode_of(&place), 0o600);
    assert!(!place.run(&["plan"]).done().out.contains("readable by"));
    let mut said = vec![planned, up];
    let env = docker(&["inspect", "--format", "{{json .Config.Env}}", &place.container("web", "r1")]);
    assert!(env.contains(SECRET), "it reaches the container: {env}");
    let deaf = image("deaf", &[("NEVER_HEALTHY", "1")]);
    said.push(place.run(&["deploy", "web", "--image", &deaf, "--yes"]).ended(3));
    // A program that tells what it knows, and dies.
    let compose = std::fs::read_to_string(place.dir().join("compose.yaml")).unwrap();
    let telling =
        "    command: [sh, -c, \"echo login failed with $$API_TOKEN at postgres://shop:$$API_TOKEN@db; exit 3\"]\n";
    place.write("compose.yaml", &compose.replace("    environment:", &format!("{telling}    environment:")));
    let told = place.run(&["up", "--yes"]).ended(3);
    told.says("login failed with").says("redacted");
    said.push(told);
    place.write("compose.yaml", &compose);
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

fn mode_of(place: &Place) -> u32 {
    std::fs::metadata(place.dir().join(".env")).unwrap().permissions().mode() & 0o7777
}

/// A file system in memory that is read-only from then on.
fn sealed(place: &Place, command: &[&str]) {
    let output = std::process::Command::new(command[0]).args(&command[1..]).arg(place.dir().join("sealed")).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn real_an_environment_file_that_has_to_stay_open_is_warned_of_and_used() {
    let place = Place::new("secretopen");
    place.compose(&web(&image("one", &[]), "    environment: {API_TOKEN: \"${API_TOKEN}\"}\n"));
    place.platform("5m", "");
    let file = std::fs::read_to_string(place.dir().join("mainstay.yaml")).unwrap();
    place.write("mainstay.yaml", &file.replace("  production:\n", "  production:\n    env_file: sealed/app.env\n"));
    std::fs::create_dir(place.dir().join("sealed")).unwrap();
    sealed(&place, &["mount", "-t", "tmpfs", "-o", "size=1m", "mainstay-secret"]);
    place.write("sealed/app.env", &format!("API_TOKEN={SECRET}\n"));
    std::fs::set_permissions(place.dir().join("sealed/app.env"), std::fs::Permissions::from_mode(0o644)).unwrap();
    sealed(&place, &["mount", "-o", "remount,ro"]);
    let ran = place.run(&["up", "--yes"]);
    let env = docker(&["inspect", "--format", "{{json .Config.Env}}", &place.container("web", "r1")]);
    drop(place.run(&["down", "--yes", "--volumes"]));
    sealed(&place, &["umount", "--lazy"]);
    ran.done().says("warning: `sealed/app.env` stays readable by all users, mode 0644").says("Read-only file system");
    assert!(env.contains(SECRET));
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
