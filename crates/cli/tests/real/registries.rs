//! A registry that asks for a login, and tags that move: what `docker compose` makes of them is the measure.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::place::{Place, Ran, block_on, docker, image, lines, wait};

/// One registry of a test, with its images as they are called there.
struct Registry {
    container: String,
    address: String,
    /// Docker's settings of somebody who may use it.
    user: tempfile::TempDir,
}

impl Registry {
    fn new(place: &Place) -> Registry {
        let (container, port) = (format!("{}-registry", place.name), testkit::free_port());
        let address = format!("127.0.0.1:{port}");
        let image = block_on(testkit::registry_image());
        docker(&["run", "--detach", "--name", &container, "--publish", &format!("{address}:5000"), &image]);
        let registry = Registry { container, address, user: tempfile::tempdir().unwrap() };
        std::fs::create_dir(registry.settings()).unwrap();
        let login = ["login", "--username", "shop", "--password", "s3cret-login", &registry.address];
        wait("the registry", Duration::from_secs(30), || registry.docker(&login));
        registry
    }

    fn settings(&self) -> PathBuf {
        self.user.path().join(".docker")
    }

    fn docker(&self, words: &[&str]) -> Result<(), String> {
        let mut command = Command::new("docker");
        let output = command.args(words).env("DOCKER_CONFIG", self.settings()).output().unwrap();
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    fn reference(&self) -> String {
        format!("{}/shop/web:latest", self.address)
    }

    /// Somebody moves the tag: it means this image there, and nothing here.
    fn push(&self, image: &str) {
        let reference = self.reference();
        self.docker(&["tag", image, &reference]).unwrap();
        self.docker(&["push", "--quiet", &reference]).unwrap();
        self.docker(&["rmi", "--no-prune", &reference]).unwrap();
    }

    /// The same, while what was here stays here.
    fn move_tag(&self, to: &str, here: &str) {
        self.push(to);
        self.docker(&["tag", here, &self.reference()]).unwrap();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.docker(&["rm", "--force", "--volumes", &self.container]);
        let _ = self.docker(&["rmi", "--no-prune", &self.reference()]);
    }
}

/// The command of somebody with these variables; others of Docker's are not set.
fn run_as(place: &Place, words: &[&str], variables: &[(&str, &Path)]) -> Ran {
    let mut command = place.command(words);
    command.env_remove("DOCKER_CONFIG").envs(variables.iter().copied());
    Ran::of(command.stdin(Stdio::null()).output().unwrap())
}

fn compose(place: &Place, reference: &str, more: &str) {
    place.write(
        "compose.yaml",
        &format!("name: {}\nservices:\n  web:\n    image: {reference}\n    init: true\n{more}", place.name),
    );
}

#[test]
fn real_an_image_is_pulled_with_the_logins_of_whoever_deploys() {
    let place = Place::new("logins");
    let registry = Registry::new(&place);
    registry.push(&image("one", &[]));
    compose(&place, &registry.reference(), "");
    place.platform("5m", "");
    let nobody = tempfile::tempdir().unwrap();
    let refused = run_as(&place, &["up", "--yes"], &[("DOCKER_CONFIG", nobody.path())]);
    assert_ne!(refused.code, 0);
    refused
        .says(&format!("logins for {} were looked for in {}/config.json", registry.address, nobody.path().display()))
        .says(&format!("docker login {}", registry.address));
    assert!(place.containers().is_empty());
    run_as(&place, &["up", "--yes"], &[("DOCKER_CONFIG", &registry.settings())]).done();
    assert_eq!(place.containers().len(), 1);
    // The password is Docker's business, here as anywhere.
    let log = std::fs::read_to_string(place.state().join("log/agent.log")).unwrap();
    assert!(!log.contains("s3cret-login"));
}

#[test]
fn real_a_credential_helper_of_the_caller_is_asked_in_the_callers_home() {
    let tools = tempfile::tempdir().unwrap();
    let home = tempfile::tempdir().unwrap();
    let helper = tools.path().join("docker-credential-mainstaytest");
    std::fs::write(&helper, "#!/bin/sh\ncat >/dev/null\ncat \"$HOME/login\"\n").unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let place = Place::new("helper");
    let registry = Registry::new(&place);
    registry.push(&image("one", &[]));
    let address = &registry.address;
    let login = format!("{{\"ServerURL\": \"{address}\", \"Username\": \"shop\", \"Secret\": \"s3cret-login\"}}");
    std::fs::write(home.path().join("login"), login).unwrap();
    std::fs::create_dir(home.path().join(".docker")).unwrap();
    let settings = format!("{{\"credHelpers\": {{\"{address}\": \"mainstaytest\"}}}}");
    std::fs::write(home.path().join(".docker/config.json"), settings).unwrap();
    compose(&place, &registry.reference(), "");
    place.platform("5m", "");
    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap());
    run_as(&place, &["up", "--yes"], &[("HOME", home.path()), ("PATH", Path::new(&path))]).done();
    assert_eq!(place.containers().len(), 1);
}

#[test]
fn real_a_tag_that_has_moved_is_fetched_when_it_is_asked_for_and_not_before() {
    let place = Place::new("movedtag");
    let registry = Registry::new(&place);
    let (one, two) = (image("one", &[]), image("two", &[]));
    registry.push(&one);
    let settings = registry.settings();
    let variables = [("DOCKER_CONFIG", settings.as_path())];
    compose(&place, &registry.reference(), "");
    place.platform("0s", "");
    let control = format!("{}-plain", place.name);
    let plain = |words: &[&str]| {
        let mut command = Command::new("docker");
        command.args(["compose", "-p", &control]).args(words).current_dir(place.dir());
        Ran::of(command.envs(variables).stdin(Stdio::null()).output().unwrap()).done()
    };
    let plain_image = || {
        let id = plain(&["ps", "--quiet", "web"]).out;
        docker(&["inspect", "--format", "{{.Image}}", id.trim()])
    };
    let ours = || {
        let ids = docker(&["ps", "--quiet", "--filter", &place.label(), "--filter", "label=dev.mainstay.service=web"]);
        let ids = lines(&ids);
        assert_eq!(ids.len(), 1, "{ids:?}");
        docker(&["inspect", "--format", "{{.Image}}", &ids[0]])
    };
    let id = |image: &str| docker(&["image", "inspect", "--format", "{{.Id}}", image]);
    plain(&["up", "--detach"]);
    run_as(&place, &["up", "--yes"], &variables).done();
    registry.move_tag(&two, &one);
    // `up` takes what is here, as plain Compose does.
    plain(&["up", "--detach"]);
    assert_eq!(plain_image(), id(&one));
    run_as(&place, &["up", "--yes"], &variables).done().says("Nothing had to be changed");
    // Asked for, it is fetched.
    run_as(&place, &["up", "--yes", "--pull"], &variables).done().says("(`--pull`)");
    assert_eq!(ours(), id(&two));
    plain(&["up", "--detach", "--pull", "always"]);
    assert_eq!(plain_image(), id(&two));
    run_as(&place, &["deploy", "web", "--yes", "--pull"], &variables).done().says("Nothing had to be changed");
    // The file asks for it: each time, or when its time has come.
    registry.move_tag(&one, &two);
    compose(&place, &registry.reference(), "    pull_policy: daily\n");
    plain(&["up", "--detach"]);
    assert_eq!(plain_image(), id(&two));
    run_as(&place, &["up", "--yes"], &variables).done();
    assert_eq!(ours(), id(&two));
    compose(&place, &registry.reference(), "    pull_policy: every_1s\n");
    std::thread::sleep(Duration::from_millis(1100));
    run_as(&place, &["up", "--yes"], &variables).done().says("(`pull_policy: every_1s`)");
    assert_eq!(ours(), id(&one));
    registry.move_tag(&two, &one);
    compose(&place, &registry.reference(), "    pull_policy: always\n");
    run_as(&place, &["up", "--yes"], &variables).done().says("(`pull_policy: always`)");
    assert_eq!(ours(), id(&two));
    plain(&["down", "--timeout", "1"]);
}
