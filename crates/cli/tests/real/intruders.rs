//! Containers that belong to no release and write what one writes: a `docker compose up` by habit, a second server by
//! hand, the container of a failed release that is started again.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::place::{Place, docker, image, lines, wait};

const PATIENCE: Duration = Duration::from_secs(20);
/// What runs in the place of a server: it says who it is into its data folder, again and again.
const WRITER: &str = "while :; do echo $$(hostname) >> /var/lib/postgresql/data/log; sleep 0.02; done";

/// Removes by hand what was started by hand, also when the test fails.
struct ByHand<'p> {
    place: &'p Place,
    containers: Vec<String>,
}

impl<'p> ByHand<'p> {
    fn new(place: &'p Place) -> ByHand<'p> {
        ByHand { place, containers: Vec::new() }
    }

    fn compose_up(&self) {
        let output = self.compose(&["up", "--detach"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn compose(&self, words: &[&str]) -> std::process::Output {
        Command::new("docker").arg("compose").args(words).current_dir(self.place.dir()).output().unwrap()
    }

    /// A container of nobody's, with this volume at `/x`.
    fn run(&mut self, name: &str, volume: &str, image: &str, more: &[&str]) -> String {
        let name = format!("{}-{name}", self.place.name);
        self.containers.push(name.clone());
        let mount = format!("{}_{volume}:/x", self.place.name);
        let mut words = vec!["run", "--detach", "--init", "--name", &name, "--volume", &mount];
        words.extend(more);
        words.extend([image, "sleep", "1000"]);
        docker(&words);
        name
    }
}

impl Drop for ByHand<'_> {
    fn drop(&mut self) {
        let project = format!("label=com.docker.compose.project={}", self.place.name);
        let found = Command::new("docker").args(["ps", "--all", "--quiet", "--filter", &project]).output();
        let found = found.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let all = self.containers.iter().map(String::as_str).chain(found.split_whitespace());
        let _ = Command::new("docker").args(["rm", "--force", "--volumes"]).args(all).output();
    }
}

fn db(image: &str, more: &str) -> String {
    format!(
        "  db:\n    image: {image}\n    init: true\n    stop_grace_period: 1s\n    command: [sh, -c, \"{WRITER}\"]\n    volumes: [\"pgdata:/var/lib/postgresql/data\"]\n{more}"
    )
}

fn web(image: &str) -> String {
    format!("  web:\n    image: {image}\n    init: true\n    volumes: [\"data:/data\"]\n")
}

fn write(place: &Place, services: &str, more: &str) {
    let name = &place.name;
    place
        .write("compose.yaml", &format!("name: {name}\nservices:\n{services}volumes:\n  data: {{}}\n  pgdata: {{}}\n"));
    let health = "health: {budget: 15s}";
    let web = match services.contains("  web:") {
        true => "  web: {port: 8080, health: {path: /health, budget: 5s}, soak: 0s, strategy: exclusive}\n",
        false => "",
    };
    place.write(
        "mainstay.yaml",
        &format!(
            "version: 1\nplatform: {name}\nenvironments:\n  production:\n    edge: {{http: \"127.0.0.1:{}\"}}\nservices:\n{web}  db: {{strategy: keep, {health}}}\n{more}",
            place.port
        ),
    );
}

fn inspect(container: &str) -> Value {
    let text = docker(&["inspect", container]);
    serde_json::from_str::<Value>(&text).unwrap()[0].take()
}

fn time(state: &Value, key: &str) -> jiff::Timestamp {
    state[key].as_str().unwrap().parse().unwrap()
}

/// Waits until it has ended, and answers how many milliseconds it has run.
#[track_caller]
fn ended(container: &str) -> i64 {
    let state = wait("the intruder to be ended", PATIENCE, || {
        let state = inspect(container)["State"].take();
        if state["Status"] == "exited" { Ok(state) } else { Err(state.to_string()) }
    });
    assert_eq!(state["ExitCode"], 137, "it is not asked, since it would write once more: {state}");
    time(&state, "FinishedAt").duration_since(time(&state, "StartedAt")).as_millis().try_into().unwrap()
}

fn events(place: &Place, kind: &str) -> Vec<String> {
    lines(&place.run(&["events", "--json", "--kind", kind, "-n", "1000"]).done().out)
}

/// How many lines of the database's log this container has written.
fn written(place: &Place, by: &str) -> usize {
    let id = inspect(by)["Id"].as_str().unwrap()[..12].to_owned();
    let r1 = place.container("db", "r1");
    let log = docker(&["exec", &r1, "cat", "/var/lib/postgresql/data/log"]);
    log.lines().filter(|line| **line == id).count()
}

#[test]
fn real_a_compose_up_by_habit_gets_no_second_server_on_a_databases_files() {
    for restart in ["always", "unless-stopped"] {
        let place = Place::new(&format!("habit{}", restart.len()));
        let one = image("one", &[]);
        write(&place, &db(&one, &format!("    restart: {restart}\n")), "");
        place.run(&["up", "--yes"]).done();
        let hand = ByHand::new(&place);
        hand.compose_up();
        let intruder = format!("{}-db-1", place.name);
        let ran = ended(&intruder);
        assert!(ran < 1_000, "it has run for {ran} ms");
        let lines = written(&place, &intruder);
        assert!(lines <= 10, "it has written {lines} lines in {ran} ms");
        // Again, and at once: it is ended each time, and told once.
        docker(&["start", &intruder]);
        assert!(ended(&intruder) < 1_000);
        wait("the second time to be counted", PATIENCE, || {
            let status = place.status();
            let found = &status["platforms"][0]["intruders"][0];
            if found["times"] == 2 { Ok(()) } else { Err(status.to_string()) }
        });
        let told = events(&place, "intruder");
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(events(&place, "notice.intruder").len(), 1);
        let said =
            format!("container {intruder} (Compose project {}) wrote to volume `pgdata` of db: ended at", place.name);
        for words in [["status"], ["plan"], ["doctor"]] {
            place.run(&words).says(&said);
        }
        let state = inspect(&intruder);
        assert_eq!((&state["State"]["Status"], &state["RestartCount"]), (&Value::from("exited"), &Value::from(0)));
        assert_eq!(place.service("db")["state"], "running", "the database itself is left alone");
        place.run(&["drift", "--check"]).done();
    }
}

#[test]
fn real_who_writes_other_data_or_is_only_to_be_reported_is_told_of_and_left_running() {
    let place = Place::new("reported");
    let one = image("one", &[]);
    write(&place, &[web(&one), db(&one, "")].concat(), "intruders: report\n");
    place.run(&["up", "--yes"]).done();
    let mut hand = ByHand::new(&place);
    let second = hand.run("second", "pgdata", &one, &[]);
    let reader = hand.run("reader", "data", &one, &[]);
    let told = |count: usize| {
        wait("both to be told of", PATIENCE, || match events(&place, "intruder") {
            told if told.len() == count => Ok(told),
            told => Err(format!("{told:?}")),
        })
    };
    told(2);
    let status = place.run(&["status"]).done();
    for (name, what) in [(&second, "volume `pgdata` of db"), (&reader, "volume `data` of web")] {
        assert_eq!(inspect(name)["State"]["Status"], "running");
        status.says(&format!("container {name} writes to {what}: left running since"));
    }
    place.run(&["drift", "--check"]).ended(1).says("an unknown container writes to volume `pgdata`");
    place.run(&["doctor"]).says(&format!("container {second} writes to volume `pgdata`"));
    // As it is without the key.
    write(&place, &[web(&one), db(&one, "")].concat(), "");
    place.run(&["up", "--yes"]).done();
    docker(&["restart", "--time", "0", &second, &reader]);
    assert!(ended(&second) < 1_000);
    assert_eq!(inspect(&reader)["State"]["Status"], "running", "its data is no database's");
}

#[test]
fn real_readers_and_what_was_there_before_are_no_intruders_and_a_failed_release_is_one() {
    let place = Place::new("failedback");
    let one = image("one", &[]);
    write(&place, &db(&one, ""), "");
    // Compose's own container makes way, and is none while it does.
    let mut hand = ByHand::new(&place);
    hand.compose_up();
    place.run(&["up", "--yes"]).done();
    assert_eq!(events(&place, "intruder"), Vec::<String>::new());
    let mount = format!("{}_pgdata:/y:ro", place.name);
    let reader = hand.run("reader", "other", &one, &["--volume", &mount]);
    let sick = "    healthcheck: {test: [CMD, \"false\"], interval: 1s, retries: 1}\n";
    write(&place, &db(&one, sick), "");
    place.run(&["up", "--service", "db", "--yes"]).ended(3);
    let failed = place.releases().into_iter().find(|one| one["state"]["is"] == "failed").unwrap();
    let kept = failed["container"].as_str().unwrap().to_owned();
    docker(&["start", &kept]);
    assert!(ended(&kept) < 1_000);
    wait("it to be told of", PATIENCE, || match events(&place, "intruder") {
        told if told.len() == 1 && told[0].contains(&kept) => Ok(()),
        told => Err(format!("{told:?}")),
    });
    assert_eq!(inspect(&reader)["State"]["Status"], "running");
    let _ = Command::new("docker").args(["rm", "--force", "--volumes", &reader]).output();
    // Compose has made the one, and Docker the other: neither bears the label by which a place is swept.
    place.run(&["down", "--yes"]).done();
    drop(hand);
    for volume in ["pgdata", "other"] {
        let _ = Command::new("docker").args(["volume", "rm", &format!("{}_{volume}", place.name)]).output();
    }
}
