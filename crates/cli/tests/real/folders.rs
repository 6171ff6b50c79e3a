//! Which platform a folder means: the file's name, the link's name, and never another's.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::place::{Place, Ran, lines};
use super::takeover::quiet;

const WORKER: &str = "  worker:\n    image: debian:bookworm-slim\n    init: true\n    command: [sleep, infinity]\n    healthcheck: {test: [CMD, \"true\"], interval: 1s, timeout: 5s, retries: 30}\n    volumes: [\"data:/data\"]\n";

/// The command as a shell has it in this folder, whatever links led there.
fn run_in(place: &Place, shells: &Path, words: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
    command.arg("--root").arg(place.state()).args(words).current_dir(shells).env("PWD", shells);
    Ran::of(command.stdin(std::process::Stdio::null()).output().unwrap())
}

fn folder(place: &Place, name: &str, file: &str) -> PathBuf {
    let dir = place.dir().join(name);
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("compose.yaml"), file).unwrap();
    std::fs::write(dir.join("mainstay.yaml"), quiet("")).unwrap();
    dir
}

fn file(name: Option<&str>) -> String {
    let name = name.map(|name| format!("name: {name}\n")).unwrap_or_default();
    format!("{name}services:\n{WORKER}volumes: {{data: {{}}}}\n")
}

/// Names of the containers that carry this platform's label.
fn containers(place: &Place, platform: &str) -> Vec<String> {
    let label = format!("label=dev.mainstay.platform={platform}");
    lines(&place.docker(&["ps", "--all", "--filter", &label, "--format", "{{.Names}}"]))
}

#[test]
fn real_a_link_that_moves_to_another_release_is_the_same_platform() {
    let place = Place::new("folderslink");
    let name = place.name.clone();
    for release in ["releases/1", "releases/2"] {
        folder(&place, release, &file(Some(&name)));
    }
    folder(&place, "tools", "");
    let (current, tools) = (place.dir().join("current"), place.dir().join("tools"));
    symlink("releases/1", &current).unwrap();
    run_in(&place, &current, &["plan"]).done().says(&format!("Plan for {name} (production)"));
    run_in(&place, &current, &["up", "--yes"]).done();
    let first = containers(&place, &name);
    place.docker(&["exec", &first[0], "sh", "-c", "echo kept > /data/a"]);
    std::fs::remove_file(&current).unwrap();
    symlink("releases/2", &current).unwrap();
    run_in(&place, &current, &["up", "--yes"]).done();
    let second = containers(&place, &name);
    assert_eq!(second.len(), 1, "{second:?}");
    assert_eq!(place.docker(&["exec", &second[0], "cat", "/data/a"]), "kept\n");
    run_in(&place, &tools, &["-C", "../current", "up", "--yes"]).done().says("Nothing had to be changed");
    run_in(&place, &tools, &["-C", "../current", "down", "--yes"]).done().says("1 containers");
    assert!(containers(&place, &name).is_empty());
}

#[test]
fn real_two_folders_of_the_same_name_are_two_platforms_only_where_a_file_names_them() {
    let place = Place::new("folderstwo");
    let docker = format!("{}-docker", place.name);
    let shop = folder(&place, &format!("shop/{docker}"), &file(None));
    let blog = folder(&place, &format!("blog/{docker}"), &file(None));
    run_in(&place, &shop, &["up", "--yes"]).done();
    let before = containers(&place, &docker);
    let refused = run_in(&place, &blog, &["plan"]).ended(4);
    refused.says(&shop.display().to_string()).says(&blog.display().to_string()).says("write `name: …`");
    run_in(&place, &blog, &["up", "--yes"]).ended(4);
    assert_eq!(containers(&place, &docker), before);
    let named = format!("{}-blog", place.name);
    std::fs::write(blog.join("compose.yaml"), file(Some(&named))).unwrap();
    run_in(&place, &blog, &["up", "--yes"]).done();
    assert_eq!(containers(&place, &docker), before);
    assert_eq!(containers(&place, &named).len(), 1);
    run_in(&place, &blog, &["down", "--yes", "--volumes"]).done();
    run_in(&place, &shop, &["down", "--yes", "--volumes"]).done();
}

#[test]
fn real_a_name_from_another_folder_changes_nothing_until_the_platform_is_moved() {
    let place = Place::new("foldersmove");
    let name = place.name.clone();
    let (first, second) =
        (folder(&place, "srv/shop", &file(Some(&name))), folder(&place, "home/shop", &file(Some(&name))));
    // A service that only the first folder has: who takes the second for it would remove the service.
    let more =
        file(Some(&name)).replace("volumes: {data", &format!("{}volumes: {{data", WORKER.replace("worker:", "extra:")));
    std::fs::write(first.join("compose.yaml"), more).unwrap();
    run_in(&place, &first, &["up", "--yes"]).done();
    let before = containers(&place, &name);
    assert_eq!(before.len(), 2);
    for words in [
        &["plan"][..],
        &["up", "--yes"],
        &["deploy", "worker", "--yes"],
        &["restart", "worker", "--yes"],
        &["scale", "worker=1", "--yes"],
        &["down", "--yes", "--volumes"],
    ] {
        let refused = run_in(&place, &second, words).ended(4);
        refused
            .says(&first.display().to_string())
            .says(&second.display().to_string())
            .says("`mainstay up --move-here`");
    }
    assert_eq!(containers(&place, &name), before);
    run_in(&place, &second, &["status"]).done();
    run_in(&place, &second, &["plan", "--move-here"]).done().says(&format!("and is {} from here on", second.display()));
    run_in(&place, &second, &["up", "--yes", "--move-here"]).done();
    assert_eq!(containers(&place, &name).len(), 1);
    run_in(&place, &second, &["up", "--yes"]).done().says("Nothing had to be changed");
    run_in(&place, &first, &["up", "--yes"]).ended(4);
    // A folder that is gone is nobody's: this is a platform whose folder was renamed.
    let third = place.dir().join("renamed");
    std::fs::rename(&second, &third).unwrap();
    run_in(&place, &third, &["up", "--yes"]).done().says("from here on");
    run_in(&place, &third, &["down", "--yes", "--volumes"]).done();
}

#[test]
fn real_a_name_of_the_shell_is_another_platform_beside_the_first() {
    let place = Place::new("foldersshell");
    let (name, trial) = (place.name.clone(), format!("{}-trial", place.name));
    let dir = folder(&place, "srv/shop", &file(Some(&name)));
    run_in(&place, &dir, &["up", "--yes"]).done();
    let before = containers(&place, &name);
    let as_trial = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
        command.arg("--root").arg(place.state()).args(words).current_dir(&dir).env("PWD", &dir);
        Ran::of(command.env("COMPOSE_PROJECT_NAME", &trial).stdin(std::process::Stdio::null()).output().unwrap())
    };
    as_trial(&["up", "--yes"]).done();
    assert_eq!(containers(&place, &trial).len(), 1);
    assert_eq!(containers(&place, &name), before);
    run_in(&place, &dir, &["up", "--yes"]).done().says("Nothing had to be changed");
    as_trial(&["down", "--yes", "--volumes"]).done();
    assert_eq!(containers(&place, &name), before);
    run_in(&place, &dir, &["down", "--yes", "--volumes"]).done();
}
