//! Keep means keep: what is kept is started again as it was, and changed only where it is named.

use std::time::Duration;

use serde_json::Value;

use super::place::{Place, docker, image, lines, wait};

const PATIENCE: Duration = Duration::from_secs(30);

fn write(place: &Place, image: &str, more: &str) {
    let name = &place.name;
    place.write(
        "compose.yaml",
        &format!(
            "name: {name}\nservices:\n  db:\n    image: {image}\n    init: true\n    stop_grace_period: 1s\n    volumes: [\"data:/data\"]\n{more}volumes:\n  data: {{}}\n"
        ),
    );
    place.write(
        "mainstay.yaml",
        &format!(
            "version: 1\nplatform: {name}\nenvironments:\n  production:\n    edge: {{http: \"127.0.0.1:{}\"}}\nservices:\n  db: {{strategy: keep, port: 8080, health: {{path: /health, budget: 5s}}}}\n",
            place.port
        ),
    );
}

fn place(test: &str, more: &str) -> (Place, String) {
    let place = Place::new(test);
    write(&place, &image("one", &[]), more);
    place.run(&["up", "--yes"]).done();
    let db = place.container("db", "r1");
    (place, db)
}

fn inspect(container: &str, format: &str) -> Result<String, String> {
    let output =
        std::process::Command::new("docker").args(["inspect", "--format", format, container]).output().unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// When it was started, and which container it is.
const LIFE: &str = "{{.Id}} {{.State.StartedAt}}";

fn lives_again(container: &str, before: &str) -> String {
    wait("it to be started again", PATIENCE, || {
        let now = inspect(container, &format!("{LIFE} {{{{.State.Status}}}}"))?;
        match now.strip_suffix(" running") {
            Some(life) if life != before => Ok(life.to_owned()),
            _ => Err(now),
        }
    })
}

fn events(place: &Place, kind: &str) -> Vec<String> {
    lines(&place.run(&["events", "--json", "--kind", kind, "-n", "1000"]).done().out)
}

fn told(place: &Place, kind: &str, count: usize) {
    wait("it to be told", PATIENCE, || match events(place, kind) {
        told if told.len() == count => Ok(()),
        told => Err(format!("{told:?}")),
    });
}

fn stopped(place: &Place) -> Value {
    place.status()["platforms"][0]["stopped"].clone()
}

#[test]
fn real_a_kept_service_that_crashes_is_killed_or_removed_is_started_again_as_it_was() {
    for (test, policy) in [("keepno", ""), ("keepalways", "    restart: always\n")] {
        let (place, db) = place(test, policy);
        // The files have moved on meanwhile, and nobody has named it.
        write(&place, &image("two", &[]), policy);
        let own = inspect(&db, "{{.Image}}").unwrap();
        let mut life = inspect(&db, LIFE).unwrap();
        for words in [vec!["kill", &db], vec!["exec", &db, "sh", "-c", "kill -9 -1"], vec!["rm", "--force", &db]] {
            let _ = place.try_docker(&words);
            life = lives_again(&db, &life);
            assert_eq!(inspect(&db, "{{.Image}}").unwrap(), own, "{words:?}");
        }
        let releases = place.releases();
        assert_eq!(releases.len(), 1, "{releases:?}");
        let again = events(&place, "release.started-again");
        assert!(again.iter().any(|one| one.contains("was removed")), "{again:?}");
        assert!(!events(&place, "notice.started-again").is_empty());
        assert_eq!(stopped(&place), Value::Array(vec![]));
    }
}

#[test]
fn real_a_kept_service_that_somebody_stopped_is_reported_and_up_starts_it_as_it_was() {
    let (place, db) = place("keephand", "    restart: always\n");
    let own = inspect(&db, "{{.Image}}").unwrap();
    let life = inspect(&db, LIFE).unwrap();
    docker(&["restart", "--time", "1", &db]);
    assert_ne!(inspect(&db, LIFE).unwrap(), life, "a restart is no stop");
    docker(&["stop", "--time", "1", &db]);
    told(&place, "release.stopped-by-hand", 1);
    told(&place, "notice.drift-found", 1);
    place.run(&["status"]).done().says("db was stopped by hand at ").says("`mainstay up` starts it");
    place.run(&["drift"]).done().says("the container was stopped by hand at");
    // A new image is in the file: the version is held, however the container fares.
    write(&place, &image("two", &[]), "    restart: always\n");
    let plan = place.run(&["plan"]).done();
    plan.says("its container was stopped by hand").says("kept as it is; `mainstay up --service db` changes it");
    plan.says("1 to start");
    assert_eq!(inspect(&db, "{{.State.Status}}").unwrap(), "exited", "nobody but `up` starts it");
    place.run(&["up", "--yes"]).done().says("starts r1 again as it was");
    assert_eq!(inspect(&db, "{{.Image}} {{.State.Status}}").unwrap(), format!("{own} running"));
    assert_eq!(place.releases().len(), 1);
    assert_eq!(stopped(&place), Value::Array(vec![]));
    place.run(&["up", "--yes"]).done().says("Nothing had to be changed");
    // Named, it is changed.
    docker(&["stop", "--time", "1", &db]);
    place.run(&["up", "--service", "db", "--yes"]).done();
    assert_eq!(place.service("db")["release"], "r2");
    let now = inspect(&place.container("db", "r2"), "{{.Image}}").unwrap();
    assert_ne!(now, own);
    assert_eq!(stopped(&place), Value::Array(vec![]), "an operation's own stop is no stop by hand");
}

#[test]
fn real_a_stop_while_the_agent_was_away_is_a_stop_by_hand_as_well() {
    let (place, db) = place("keepaway", "");
    place.run(&["stop"]).done();
    docker(&["stop", "--time", "1", &db]);
    // Any command that needs the agent starts it.
    place.run(&["plan"]).done();
    told(&place, "release.stopped-by-hand", 1);
    assert_eq!(inspect(&db, "{{.State.Status}}").unwrap(), "exited");
    place.run(&["up", "--service", "db", "--yes"]).done();
    assert_eq!(place.releases().len(), 1, "named, and nothing differs");
    assert_eq!(inspect(&db, "{{.State.Status}}").unwrap(), "running");
}
