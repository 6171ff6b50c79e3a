//! Health checks mean what Docker means by them: beside every release is what plain Compose makes of the same file.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::load::ask;
use super::place::{Place, docker, image, service, wait, web};

const LIMIT: Duration = Duration::from_secs(90);
const ASK: &str = "/testapp get http://127.0.0.1:8080/health";

/// One service: its lines in the Compose file, and whether Docker calls it healthy.
struct Case {
    name: &'static str,
    lines: String,
    passes: bool,
}

fn case(name: &'static str, passes: bool, test: &str, lines: &str) -> Case {
    let check = format!("    healthcheck: {{test: {test}, interval: 1s, timeout: 5s, retries: 2}}\n");
    Case { name, lines: format!("{check}{lines}"), passes }
}

/// A test in a shell.
fn shell(command: &str) -> String {
    format!("[CMD-SHELL, {}]", serde_json::to_string(command).unwrap())
}

fn commands() -> Vec<Case> {
    vec![
        case("pipe-good", true, &shell(&format!("{ASK} | grep -q healthy")), ""),
        case("pipe-bad", false, &shell(&format!("{ASK} | grep -q database")), ""),
        case("not", false, &shell(&format!("! {ASK}")), ""),
        case("and", false, &shell(&format!("{ASK} && test -e /nothing")), ""),
        case("or", true, &shell("/testapp get http://127.0.0.1:8080/nothing || true"), ""),
        case(
            "host",
            true,
            &shell("/testapp get http://127.0.0.1:8080/health shop.example.com"),
            "    environment: {ALLOWED_HOSTS: shop.example.com}\n",
        ),
        case("host-bad", false, &shell(ASK), "    environment: {ALLOWED_HOSTS: shop.example.com}\n"),
        case("variable", true, &shell("test \"$$WANTED\" = yes"), "    environment: {WANTED: \"yes\"}\n"),
        case("variable-bad", false, &shell("test \"$$WANTED\" = yes"), "    environment: {WANTED: \"no\"}\n"),
        case("words", true, "[CMD, test, -e, /testapp]", ""),
        // No shell reads these words.
        case("words-bad", false, "[CMD, test, $$WANTED, =, \"yes\"]", "    environment: {WANTED: \"yes\"}\n"),
        case("text", true, "test -e /testapp", ""),
        case("missing", false, "[CMD, curl, -f, \"http://localhost:8080/health\"]", ""),
    ]
}

fn circumstances(checked: &str) -> Vec<Case> {
    let of_image = |name, passes, check: &str, lines: &str| Case {
        name,
        lines: format!("    image: {checked}\n{check}{lines}"),
        passes,
    };
    let timed = |times: &str, test: &str| format!("    healthcheck: {{test: {test}, {times}}}\n");
    let late = "    command: [sh, -c, \"sleep 4; touch /tmp/up; exec /testapp\"]\n";
    vec![
        case("user", true, &shell("test $$(id -u) = 1234"), "    user: \"1234\"\n"),
        case("user-bad", false, &shell("test -w /etc/passwd"), "    user: \"1234\"\n"),
        case("folder", true, &shell("test $$PWD = /usr/lib"), "    working_dir: /usr/lib\n"),
        Case {
            name: "slow",
            lines: timed("interval: 1s, timeout: 1s, retries: 2", "[CMD, sleep, \"20\"]"),
            passes: false,
        },
        Case {
            name: "patient",
            lines: timed("interval: 1s, timeout: 20s, retries: 2", "[CMD, sleep, \"2\"]"),
            passes: true,
        },
        Case {
            name: "late",
            lines: timed("interval: 1s, timeout: 5s, retries: 1, start_period: 30s", "[CMD, test, -e, /tmp/up]") + late,
            passes: true,
        },
        of_image("image-good", true, "", "    environment: {WANTED: \"yes\"}\n"),
        of_image("image-bad", false, "", ""),
        // The image's test at another pace.
        of_image("image-paced", false, "    healthcheck: {interval: 2s}\n", ""),
        of_image("disabled", true, "    healthcheck: {disable: true}\n", ""),
        of_image("none", true, "    healthcheck: {test: [NONE]}\n", ""),
    ]
}

/// An image whose own check wants a variable.
fn checked(from: &str) -> String {
    let name = format!("mainstay-test/checked:{}", std::process::id());
    let file = format!(
        "FROM {from}\nHEALTHCHECK --interval=1s --timeout=5s --retries=2 CMD [ \"$WANTED\" = yes ] || exit 1\n"
    );
    let mut build = Command::new("docker");
    let mut build =
        build.args(["build", "-q", "-t", &name, "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    std::io::Write::write_all(build.stdin.as_mut().unwrap(), file.as_bytes()).unwrap();
    drop(build.stdin.take());
    assert!(build.wait().unwrap().success());
    name
}

/// Plain Compose with the same file.
struct Plain(String);

impl Plain {
    fn up(place: &Place) -> Plain {
        let name = format!("{}-plain", place.name);
        let words = ["compose", "--project-name", &name, "up", "--detach", "--quiet-pull"];
        let output = Command::new("docker").args(words).current_dir(place.dir()).output().unwrap();
        let plain = Plain(name);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        plain
    }

    /// Docker's verdict on each service, when it has one: a service without a check runs.
    fn verdicts(&self) -> BTreeMap<String, bool> {
        let label = format!("label=com.docker.compose.project={}", self.0);
        let format = "{{.Label \"com.docker.compose.service\"}}\t{{.Status}}";
        wait("verdicts of Docker", LIMIT, || {
            let text = docker(&["ps", "--all", "--filter", &label, "--format", format]);
            if text.contains("health: starting") || text.is_empty() {
                return Err(text);
            }
            let rows = text.lines().filter_map(|line| line.split_once('\t'));
            Ok(rows.map(|(name, status)| (name.to_owned(), !status.contains("unhealthy"))).collect())
        })
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        let words = ["compose", "--project-name", &self.0, "down", "--volumes", "--timeout", "0"];
        let _ = Command::new("docker").args(words).output();
        let label = format!("label=com.docker.compose.project={}", self.0);
        let left = docker(&["ps", "--all", "--quiet", "--filter", &label]);
        for id in left.split_whitespace() {
            let _ = Command::new("docker").args(["rm", "--force", id]).output();
        }
    }
}

/// Brings all of them up here and there, and compares.
fn compare(test: &str, cases: &[Case]) -> (Place, String) {
    let place = Place::new(test);
    let one = image("one", &[]);
    let lines = |case: &Case| match case.lines.contains("    image:") {
        true => format!("  {}:\n    init: true\n{}", case.name, case.lines),
        false => service(case.name, &one, &case.lines),
    };
    place.compose(&cases.iter().map(lines).collect::<String>());
    let settings: String =
        cases.iter().map(|case| format!("  {}: {{soak: 0s, health: {{budget: 25s}}}}\n", case.name)).collect();
    place.write(
        "mainstay.yaml",
        &format!(
            "version: 1\nplatform: {}\nenvironments:\n  production:\n    edge: {{http: \"127.0.0.1:{}\"}}\nservices:\n{settings}",
            place.name, place.port
        ),
    );
    let plain = Plain::up(&place);
    let control = plain.verdicts();
    drop(plain);
    let said = place.run(&["up", "--yes"]).ended(3).err;
    let releases = place.releases();
    for case in cases {
        assert_eq!(control.get(case.name), Some(&case.passes), "Docker's verdict on {}: {control:?}", case.name);
        let state = |release: &&serde_json::Value| release["service"] == case.name;
        let release = releases.iter().find(state).unwrap_or_else(|| panic!("no release of {}", case.name));
        assert_eq!(release["state"]["is"] == "serving", case.passes, "{}: {release}\n{said}", case.name);
    }
    (place, said)
}

#[test]
fn a_declared_check_decides_as_it_is_written() {
    let (_place, said) = compare("checks", &commands());
    for line in [
        "not healthy within 25 s: Docker calls it unhealthy: its health check `/testapp get http://127.0.0.1:8080/health | grep -q database` exited with 1",
        "executable file not found",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
}

#[test]
fn a_check_runs_as_its_container_and_within_its_own_times() {
    let checked = checked(&image("one", &[]));
    let (place, said) = compare("checks-around", &circumstances(&checked));
    assert!(said.contains("its health check `sleep 20` did not end within 1 s"), "{said}");
    let late = place.service("late");
    assert_eq!(late["health"][0]["health"], "healthy", "{late}");
    assert_eq!(place.service("disabled")["health"], serde_json::json!([]));
    drop(place);
    docker(&["rmi", "--no-prune", &checked]);
}

/// Docker's own first look comes after half a minute here.
#[test]
fn a_good_check_is_seen_at_once_whatever_its_interval() {
    let place = Place::new("checks-soon");
    let check = format!("    healthcheck: {{test: {}}}\n", shell(&format!("{ASK} | grep -q healthy")));
    place.compose(&web(&image("one", &[]), &check));
    place.platform("0s", "");
    let file = std::fs::read_to_string(place.dir().join("mainstay.yaml")).unwrap();
    place.write("mainstay.yaml", &file.replace("health: {path: /health, budget: 5s}", "health: {budget: 20s}"));
    place.run(&["up", "--yes"]).done();
    let web = place.service("web");
    let took = web["healthy_after_ms"].as_u64().unwrap();
    assert!(took < 5_000, "{web}");
    assert_eq!(web["health"][0]["health"], "starting", "Docker has not looked yet: {web}");
    place.run(&["status"]).done().says("running (starting)");
}

/// What a failed check says comes with its command, without the secrets in either.
#[test]
fn the_check_and_its_last_line_are_told_without_secrets() {
    let place = Place::new("checks-told");
    place.write(".env", "DB_PASSWORD=hunter2-very-long\n");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(place.dir().join(".env"), private).unwrap();
    let test = shell("echo first; echo \"no access with ${DB_PASSWORD} to it\"; exit 4");
    let check = format!("    healthcheck: {{test: {test}, interval: 30s}}\n");
    place.compose(&web(&image("one", &[]), &check));
    place.platform("0s", "");
    let file = std::fs::read_to_string(place.dir().join("mainstay.yaml")).unwrap();
    place.write("mainstay.yaml", &file.replace("health: {path: /health, budget: 5s}", "health: {budget: 3s}"));
    let ran = place.run(&["up", "--yes"]).ended(3);
    ran.says("not healthy within 3 s: its health check `echo first; ");
    ran.says("exited with 4: no access with [DB_PASSWORD redacted] to it");
    assert!(!ran.err.contains("hunter2") && !ran.out.contains("hunter2"), "{}", ran.err);
}

/// Answers are good throughout; only its own check tells that something is wrong.
#[test]
fn a_release_that_turns_unhealthy_while_it_is_watched_goes_back() {
    let place = Place::trusted("checks-turn", "soak: 60s");
    let test = shell("! cat /tmp/sick");
    let check = format!("    healthcheck: {{test: {test}, interval: 20s, retries: 2}}\n");
    let write = |build: &str| place.compose(&web(&image(build, &[]), &check));
    write("one");
    place.platform("5m", "");
    let file = std::fs::read_to_string(place.dir().join("mainstay.yaml")).unwrap();
    place.write("mainstay.yaml", &file.replace("health: {path: /health, budget: 5s}", "health: {budget: 20s}"));
    place.run(&["up", "--yes"]).done();
    write("two");
    let deploy = place.begin(&["up", "--yes"]);
    wait("traffic on the new release", LIMIT, || match ask(place.port) {
        Ok(build) if build == "two" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    place.docker(&["exec", &place.container("web", "r2"), "sh", "-c", "echo the disk is full > /tmp/sick"]);
    let ran = super::place::Ran::of(deploy.wait_with_output().unwrap()).ended(3);
    ran.says("turned unhealthy: its health check `! cat /tmp/sick` exited with 1: the disk is full");
    ran.says("traffic is back on r1");
    assert_eq!(ask(place.port).unwrap(), "one");
}

#[test]
fn docker_s_verdict_is_shown_long_after_the_deploy() {
    let place = Place::new("checks-status");
    let check = "    healthcheck: {test: [CMD, test, \"!\", -e, /tmp/sick], interval: 1s, retries: 1}\n";
    place.compose(&web(&image("one", &[]), check));
    place.platform("0s", "");
    place.run(&["up", "--yes"]).done();
    let container = place.container("web", "r1");
    let shows = |state: &str, health: &str, text: &str| {
        wait(text, LIMIT, || {
            let web = place.service("web");
            let is_so = web["state"] == state && web["health"][0]["health"] == health;
            let shown = place.run(&["status"]).out;
            if is_so && shown.contains(text) { Ok(()) } else { Err(format!("{web}\n{shown}")) }
        });
    };
    shows("running", "healthy", "running (healthy)");
    place.run(&["drift"]).done();
    place.docker(&["exec", &container, "touch", "/tmp/sick"]);
    shows("unhealthy", "unhealthy", "unhealthy");
    let drift = place.run(&["drift"]);
    drift.says("Docker calls it unhealthy: its health check `test ! -e /tmp/sick` exited with 1");
    place.docker(&["exec", &container, "rm", "/tmp/sick"]);
    shows("running", "healthy", "running (healthy)");
}

/// The program answers for its own hosts alone.
#[test]
fn the_gates_own_question_names_the_host_of_the_route() {
    let place = Place::new("checks-host");
    let write = |turn: u32, domain: &str, health: &str| {
        let hosts = "ALLOWED_HOSTS: \"shop.example.com,other.example.com\"";
        place.compose(&web(&image("one", &[]), &format!("    environment: {{{hosts}, TURN: \"{turn}\"}}\n")));
        place.platform("0s", "");
        let file = std::fs::read_to_string(place.dir().join("mainstay.yaml")).unwrap();
        let file = file.replace("  production:\n", &format!("  production:\n{domain}"));
        place.write("mainstay.yaml", &file.replace("health: {path: /health, budget: 5s}", health));
    };
    write(1, "", "health: {path: /health, budget: 2s}");
    let ran = place.run(&["up", "--yes"]).ended(3);
    ran.says("/health on port 8080 answers 400 host localhost is not allowed");
    write(1, "    domain: shop.example.com\n", "health: {path: /health, budget: 5s}");
    place.run(&["up", "--yes"]).done();
    write(2, "    domain: third.example.com\n", "health: {path: /health, budget: 2s}");
    let ran = place.run(&["up", "--yes"]).ended(3);
    ran.says("/health on port 8080 for host third.example.com answers 400 host third.example.com is not allowed");
    write(2, "    domain: third.example.com\n", "health: {path: /health, host: other.example.com, budget: 5s}");
    place.run(&["up", "--yes"]).done();
}

/// What is needed healthy runs, and is not.
#[test]
fn who_needs_a_service_healthy_is_not_begun_while_it_is_not() {
    let place = Place::new("checks-needs");
    let store = "    healthcheck: {test: [CMD, test, \"!\", -e, /tmp/sick], interval: 1s, retries: 1}\n";
    let write = |turn: u32| {
        let needs = format!(
            "    depends_on: {{store: {{condition: service_healthy}}}}\n    environment: {{TURN: \"{turn}\"}}\n"
        );
        let one = image("one", &[]);
        place.compose(&format!("{}{}", web(&one, &needs), service("store", &one, store)));
    };
    write(1);
    place.platform("0s", "  store: {strategy: keep}\n");
    place.run(&["up", "--yes"]).done();
    let release = place.service("store")["release"].as_str().unwrap().to_owned();
    let container = place.container("store", &release);
    let sick = |verb: &[&str], health: &str| {
        place.docker(&[&["exec", &container], verb].concat());
        wait(health, LIMIT, || match place.service("store")["health"][0]["health"] == health {
            true => Ok(()),
            false => Err(place.service("store").to_string()),
        });
    };
    sick(&["touch", "/tmp/sick"], "unhealthy");
    write(2);
    let ran = place.run(&["up", "--yes"]).ended(1);
    ran.says("`store`, which it needs healthy (`depends_on`), is not: Docker calls it unhealthy: its health check `test ! -e /tmp/sick` exited with 1");
    assert_eq!(place.service("web")["state"], "running", "what serves goes on");
    sick(&["rm", "/tmp/sick"], "healthy");
    place.run(&["up", "--yes"]).done();
}

#[test]
fn the_platform_file_decides_instead_and_dockers_verdict_is_shown_all_the_same() {
    let place = Place::new("checks-override");
    let check = "    healthcheck: {test: [CMD, \"false\"], interval: 1s, retries: 1}\n";
    place.compose(&web(&image("one", &[]), check));
    place.platform("0s", "");
    place.run(&["up", "--yes"]).done();
    let shown = || match place.service("web") {
        web if web["state"] == "unhealthy" && web["routed"] == true => Ok(()),
        web => Err(web.to_string()),
    };
    wait("Docker's verdict", LIMIT, shown);
    place.run(&["status"]).done().says("unhealthy");
}

/// Engines before 25 do not know it, which Compose says; nothing here takes its place silently.
#[test]
fn start_interval_is_carried_and_an_engine_without_it_says_so() {
    let place = Place::new("checks-start");
    let check = "    healthcheck: {test: [CMD, \"true\"], interval: 30s, start_period: 30s, start_interval: 1s}\n";
    place.compose(&web(&image("one", &[]), check));
    place.platform("0s", "");
    let file = std::fs::read_to_string(place.dir().join("mainstay.yaml")).unwrap();
    place.write("mainstay.yaml", &file.replace("health: {path: /health, budget: 5s}", "health: {budget: 20s}"));
    let plain = Plain(format!("{}-plain", place.name));
    let words = ["compose", "--project-name", &plain.0, "up", "--detach"];
    let control = Command::new("docker").args(words).current_dir(place.dir()).output().unwrap();
    let ran = place.run(&["up", "--yes"]);
    assert_eq!(ran.code == 0, control.status.success(), "{}\n{}", ran.err, String::from_utf8_lossy(&control.stderr));
    if ran.code != 0 {
        ran.says("can't set healthcheck.start_interval");
    }
}
