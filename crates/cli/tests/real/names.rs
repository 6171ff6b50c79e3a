//! A service's name leads to the release that serves, for whoever asks Docker's own name service.

use std::process::Command;
use std::time::{Duration, Instant};

use super::place::{Place, docker, image, lines, service, wait};

const FACE: &str = "    ports: [\"${PORT}:8080\"]\n    healthcheck: {test: [CMD, /testapp, get, \"http://localhost:8080/health\"], interval: 1s}\n";
const CHECKED: &str = "    expose: [\"8080\"]\n    healthcheck: {test: [CMD, /testapp, get, \"http://localhost:8080/health\"], interval: 1s}\n";

/// A port of which only the program knows.
const UNLISTED: &str = "    environment: {MORE_PORTS: \"9100\"}\n";

/// A platform of `web` and `api`, both side by side.
fn pair(place: &Place, api: &str, more: &str) {
    let face = FACE.replace("${PORT}", &place.port.to_string());
    let text =
        [service("web", api, &face), service("api", api, &[CHECKED, UNLISTED].concat()), more.to_owned()].concat();
    place.write("compose.yaml", &format!("name: {}\nservices:\n{text}", place.name));
    place.write(
        "mainstay.yaml",
        &format!("version: 1\nplatform: {}\nservices: {{api: {{soak: 0s}}, web: {{soak: 0s}}}}\n", place.name),
    );
}

/// What a container gets from an address, with more words before it.
fn get(container: &str, url: &str) -> String {
    docker(&["exec", container, "/testapp", "get", url])
}

fn holders(place: &Place) -> Vec<String> {
    let label = format!("label=dev.mainstay.names={}/production", place.name);
    lines(&docker(&["ps", "--filter", &label, "--format", "{{.Names}}"]))
}

#[test]
fn real_a_name_is_docker_s_own_for_who_was_there_before_and_for_strangers_on_the_network() {
    let place = Place::new("names");
    let (one, two) = (image("one", &[]), image("two", &[]));
    pair(&place, &one, "");
    place.run(&["up", "--yes"]).done();
    let web = place.container("web", place.service("web")["release"].as_str().unwrap());
    assert!(get(&web, "http://api:8080/").contains("one"));
    assert!(get(&web, "http://api:9100/").contains("one"), "also on a port that no file tells of");
    let hosts = docker(&["exec", &web, "cat", "/etc/hosts"]);
    assert!(!hosts.contains("api"), "it is no line of a file: {hosts}");
    let asked = docker(&["exec", &web, "getent", "hosts", "api"]);
    let network = format!("{}_default", place.name);
    let stranger = |words: &[&str]| {
        let mut all = vec!["run", "--rm", "--network", &network, one.as_str()];
        all.extend(words);
        docker(&all)
    };
    assert_eq!(stranger(&["getent", "hosts", "api"]), asked);
    assert!(stranger(&["/testapp", "get", "http://api:8080/"]).contains("one"));
    // A service that comes later is found by those that are there, and moves nobody.
    let held = holders(&place);
    assert_eq!(held.len(), 2, "both want one port: {held:?}");
    pair(&place, &one, &service("extra", &one, CHECKED));
    place.run(&["up", "--yes"]).done().says("1 changed");
    assert!(get(&web, "http://extra:8080/").contains("one"));
    assert!(held.iter().all(|holder| holders(&place).contains(holder)), "{held:?}");
    assert_eq!(docker(&["exec", &web, "getent", "hosts", "api"]), asked);
    place.run(&["deploy", "api", "--image", &two, "--yes"]).done();
    assert!(get(&web, "http://api:8080/").contains("two"));
    assert_eq!(docker(&["exec", &web, "getent", "hosts", "api"]), asked, "who keeps what it resolved is right, too");
    place.run(&["down", "--yes"]).done();
    assert!(holders(&place).is_empty());
}

#[test]
fn real_any_host_arrives_by_a_name_and_a_holder_that_is_killed_comes_back() {
    let place = Place::new("held");
    let one = image("one", &[]);
    pair(&place, &one, "");
    place.run(&["up", "--yes"]).done();
    let web = place.container("web", place.service("web")["release"].as_str().unwrap());
    let address = docker(&["exec", &web, "getent", "hosts", "api"]);
    let address = address.split_whitespace().next().unwrap();
    // Whoever asks by the address names that as its host, as a proxy in between may name anything.
    assert!(get(&web, &format!("http://{address}:8080/")).contains("one"));
    let holder = holders(&place).remove(0);
    docker(&["kill", &holder]);
    wait("the name to lead to the service again", Duration::from_secs(20), || {
        let asked =
            Command::new("docker").args(["exec", &web, "/testapp", "get", "http://api:8080/"]).output().unwrap();
        match asked.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&asked.stderr).into_owned()),
        }
    });
    docker(&["rm", "--force", &holder]);
    wait("a new holder", Duration::from_secs(20), || match holders(&place).is_empty() {
        false => Ok(()),
        true => Err("there is none".to_owned()),
    });
}

#[test]
fn real_callers_inside_lose_no_request_while_deploys_and_an_edge_s_upgrade_go_on() {
    let place = Place::new("callers");
    let (one, two) = (image("one", &[]), image("two", &[]));
    pair(&place, &one, "");
    place.run(&["up", "--yes"]).done();
    let network = format!("{}_default", place.name);
    let caller = format!("{}-caller", place.name);
    let script = "n=0; bad=0; while [ ! -e /stop ]; do /testapp get http://api:8080/ >/dev/null 2>>/bad || bad=$((bad+1)); n=$((n+1)); done; echo $n $bad; cat /bad";
    docker(&["run", "--detach", "--name", &caller, "--network", &network, &one, "sh", "-c", script]);
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let until = Instant::now() + Duration::from_secs(15);
        let mut deploys = 0;
        while deploys < 4 || Instant::now() < until {
            let next = if deploys % 2 == 0 { &two } else { &one };
            place.run(&["deploy", "api", "--image", next, "--yes"]).done();
            deploys += 1;
        }
        place.run(&["upgrade"]).done();
        place.run(&["rollback", "api", "--yes"]).done();
    }));
    docker(&["exec", &caller, "touch", "/stop"]);
    docker(&["wait", &caller]);
    let told = docker(&["logs", &caller]);
    docker(&["rm", "--force", &caller]);
    ended.unwrap();
    let counts: Vec<u32> = lines(&told)[0].split_whitespace().map(|number| number.parse().unwrap()).collect();
    assert!(counts[0] > 20, "{told}");
    assert_eq!(counts[1], 0, "of {} calls: {told}", counts[0]);
}

#[test]
fn real_a_program_that_asks_for_a_name_when_it_starts_finds_it_before_that_service_serves() {
    let place = Place::new("early");
    let (one, slow) = (image("one", &[]), image("slow", &[("HEALTHY_AFTER_MS", "4000")]));
    let front = "    depends_on: [api]\n    command: [sh, -c, \"getent hosts api || exit 3; exec /testapp\"]\n";
    let face = FACE.replace("${PORT}", &place.port.to_string());
    let text = [service("web", &one, &[front, &face].concat()), service("api", &slow, CHECKED)].concat();
    place.write("compose.yaml", &format!("name: {}\nservices:\n{text}", place.name));
    place.write("mainstay.yaml", &format!("version: 1\nplatform: {}\n", place.name));
    place.run(&["up", "--yes"]).done();
    let web = place.service("web");
    let container = place.container("web", web["release"].as_str().unwrap());
    assert_eq!(docker(&["inspect", "--format", "{{.RestartCount}}", &container]).trim(), "0");
}

#[test]
fn real_a_service_whose_profile_is_off_runs_on_and_keeps_its_name() {
    let place = Place::new("profile");
    let one = image("one", &[]);
    pair(&place, &one, "");
    place.run(&["up", "--yes"]).done();
    let file = std::fs::read_to_string(place.dir().join("compose.yaml")).unwrap();
    place.write("compose.yaml", &file.replace("    expose:", "    profiles: [spare]\n    expose:"));
    place.run(&["up", "--yes"]).done();
    place.run(&["deploy", "web", "--image", &image("two", &[]), "--yes"]).done();
    let web = place.container("web", place.service("web")["release"].as_str().unwrap());
    assert!(get(&web, "http://api:8080/").contains("one"));
    let asked = docker(&["exec", &web, "getent", "hosts", "api"]);
    assert!(!asked.is_empty());
}
