//! What is known of releases, what differs between them, and the way back to any of them.

use super::load::ask;
use super::place::{Place, Ran, docker, image, web};

const SECRET: &str = "hunter2-77aa31c0";

fn place(test: &str, secret: &str, mode: &str) -> Place {
    let place = Place::new(test);
    environment(&place, secret, mode);
    place.platform("0s", "");
    let file = std::fs::read_to_string(place.dir().join("mainstay.yaml")).unwrap();
    place.write("mainstay.yaml", &file.replace("  production:\n", "  production:\n    env_file: .env\n"));
    place.run(&["up", "--yes"]).done();
    place
}

fn environment(place: &Place, secret: &str, mode: &str) {
    let more = format!("    environment: {{API_TOKEN: \"${{API_TOKEN}}\", MODE: {mode}}}\n");
    place.compose(&web(&image("one", &[]), &more));
    place.write(".env", &format!("API_TOKEN={secret}\n"));
    let owner = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600);
    std::fs::set_permissions(place.dir().join(".env"), owner).unwrap();
}

fn git(place: &Place, words: &[&str]) {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
    let output =
        std::process::Command::new("git").arg("-C").arg(place.dir()).args(identity).args(words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn real_a_release_records_what_it_was_made_from_and_differences_show_no_secret() {
    let place = place("past", SECRET, "slow");
    git(&place, &["init", "--quiet"]);
    git(&place, &["add", "compose.yaml"]);
    git(&place, &["commit", "--quiet", "-m", "one"]);
    environment(&place, &format!("{SECRET}-2"), "fast");
    let files = place.run(&["diff"]).done();
    files.says("~ definition.environment.MODE  slow → fast").says("~ files..env");
    place.run(&["up", "--yes", "-m", "faster"]).done();

    let releases = place.releases();
    let (old, new) = (&releases[0], &releases[1]);
    assert_eq!(new["why"], "faster");
    assert_eq!(new["origin"]["mainstay"], env!("CARGO_PKG_VERSION"));
    assert_eq!(new["origin"]["commit"]["dirty"], true);
    assert_eq!(new["origin"]["commit"]["id"].as_str().map(str::len), Some(40));
    assert_eq!(old["origin"]["commit"], serde_json::Value::Null, "there was no repository yet");
    for file in [".env", "compose.yaml", "mainstay.yaml"] {
        assert!(new["origin"]["files"][file].as_str().is_some_and(|version| version.len() == 12), "{file}: {new:#}");
    }
    assert_ne!(old["origin"]["files"][".env"], new["origin"]["files"][".env"]);

    let between = place.run(&["diff", "web"]).done();
    between.says("web: r1 → r2").says("~ definition.environment.MODE  slow → fast");
    between.says("~ definition.environment.API_TOKEN  (hidden, version ");
    let json = place.run(&["diff", "web", "r2", "r1", "--json"]).done();
    for ran in [&files, &between, &json] {
        assert!(!ran.out.contains("hunter2") && !ran.err.contains("hunter2"), "{ran:?}");
    }
    place.run(&["diff", "web", "r9"]).ended(2).says("known: r1, r2");
    place.run(&["diff"]).done().says("no difference");
}

#[test]
fn real_a_rollback_reaches_any_kept_release_and_says_what_is_missing_for_it() {
    let place = place("reach", SECRET, "slow");
    place.run(&["deploy", "web", "--image", &image("two", &[]), "--yes"]).done();
    place.run(&["rollback", "web", "--yes"]).done();
    place.run(&["deploy", "web", "--image", &image("three", &[]), "--yes"]).done();
    assert_eq!(ask(place.port).as_deref(), Ok("three"));
    // r2 was rolled back from, and r3 serves: both ways are open.
    place.run(&["rollback", "web", "r2", "--yes"]).done();
    assert_eq!(ask(place.port).as_deref(), Ok("two"));

    let definition =
        place.state().join(format!("releases/{}-production/{}.json", place.name, place.container("web", "r1")));
    let text = std::fs::read_to_string(&definition).unwrap();
    let broken = text.replace(&format!("{}_data", place.name), "no-such-volume-here");
    assert_ne!(text, broken);
    std::fs::write(&definition, broken).unwrap();
    place.run(&["rollback", "web", "r1", "--yes"]).ended(4).says("volume no-such-volume-here is gone");
    assert_eq!(ask(place.port).as_deref(), Ok("two"), "nothing was touched");
    std::fs::remove_file(&definition).unwrap();
    place.run(&["rollback", "web", "r1", "--yes"]).ended(4).says("its definition is gone");
}

#[test]
fn real_a_restart_is_a_new_container_of_the_same_release_and_loses_no_request() {
    let place = Place::with_web("again", &image("one", &[]));
    let before = docker(&["inspect", "--format", "{{.Id}}", &place.container("web", "r1")]);
    let load = super::load::Load::start(place.port);
    place
        .run(&["restart", "web", "-m", "leak", "--yes"])
        .done()
        .says("the old container serves until the new one does");
    load.end().only(&["one"]);
    let after = docker(&["inspect", "--format", "{{.Id}}", &place.container("web", "r2")]);
    assert_ne!(before, after);
    assert_eq!(place.service("web")["release"], "r2");
    place.run(&["up", "--yes"]).done().says("Nothing had to be changed");
    place.run(&["restart", "nobody", "--yes"]).ended(2).says("known: web");
}

#[test]
fn real_a_hook_that_takes_too_long_is_ended_and_stops_the_deploy() {
    let place = Place::with_web("slow-hook", &image("one", &[]));
    place.platform("5m", "hooks:\n  pre_deploy: {command: [sleep, '600'], timeout: 1s}\n");
    let began = std::time::Instant::now();
    let ran: Ran = place.run(&["deploy", "web", "--image", &image("two", &[]), "--yes"]);
    ran.ended(1).says("pre_deploy").says("1 s");
    assert!(began.elapsed().as_secs() < 30);
    assert_eq!(ask(place.port).as_deref(), Ok("one"));
}
