//! Services of which there must never be two.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::load::Load;
use super::place::{Place, docker, image, lines, service, web};

#[test]
fn real_a_stop_first_service_is_never_there_twice_and_comes_back_when_the_new_one_fails() {
    let place = Place::new("alone");
    let one = image("one", &[]);
    let alone = |name: &str, strategy: &str| {
        format!(
            "  {name}:\n    strategy: {strategy}\n    port: 8080\n    health: {{path: /health, budget: 5s}}\n    stop_grace: 1s\n"
        )
    };
    place.compose(&[web(&one, ""), service("worker", &one, ""), service("solo", &one, "")].concat());
    place.platform("5m", &[alone("worker", "drain-first"), alone("solo", "exclusive")].concat());
    place.run(&["up", "--yes"]).done();
    for name in ["worker", "solo"] {
        let watch = Watch::start(&place, name);
        place.run(&["deploy", name, "--image", &image("two", &[]), "--yes"]).done();
        let before = place.service(name)["release"].clone();
        let ran =
            place.run(&["deploy", name, "--image", &image("crashing", &[("CRASH_AFTER_MS", "50")]), "--yes"]).ended(3);
        ran.says("exited with code 3");
        let after = place.service(name);
        assert_eq!((&after["release"], &after["state"]), (&before, &"running".into()), "{after:#}");
        assert_eq!(watch.most(), 1, "{name}: how many ran at once");
    }
    place.run(&["up", "--yes"]).done();
}

#[test]
fn real_requests_wait_while_an_exclusive_service_is_replaced_and_none_fails() {
    let place = Place::new("held");
    place.compose(&web(&image("one", &[]), ""));
    place.platform("5m", "");
    let written = std::fs::read_to_string(place.dir().join("mainstay.yaml")).unwrap();
    place.write("mainstay.yaml", &written.replace("strategy: blue-green", "strategy: exclusive"));
    place.run(&["up", "--yes"]).done();

    let watch = Watch::start(&place, "web");
    let load = Load::start(place.port);
    place.run(&["deploy", "web", "--image", &image("two", &[]), "--yes"]).done();
    load.end().switched("one", "two");

    // The one that fails makes them wait as well, and the old one answers them in the end.
    let load = Load::start(place.port);
    place.run(&["deploy", "web", "--image", &image("crashing", &[("CRASH_AFTER_MS", "50")]), "--yes"]).ended(3);
    load.end().only(&["two"]);
    assert_eq!(watch.most(), 1, "how many ran at once");
}

#[test]
fn real_what_is_under_way_at_an_exclusive_service_ends_before_it_is_stopped() {
    let place = Place::new("under-way");
    place.compose(&web(&image("one", &[]), ""));
    place.platform("5m", "");
    let written = std::fs::read_to_string(place.dir().join("mainstay.yaml")).unwrap();
    let written = written.replace("strategy: blue-green", "strategy: exclusive").replace("drain: 2s", "drain: 20s");
    place.write("mainstay.yaml", &written);
    place.run(&["up", "--yes"]).done();

    // The application ends at once when it is stopped, so nothing of this is its own doing.
    let port = place.port;
    let slow: Vec<_> = (0..3)
        .map(|_| std::thread::spawn(move || super::load::ask_for(port, "localhost", "/slow?ms=4000")))
        .chain([std::thread::spawn(move || upload(port))])
        .collect();
    std::thread::sleep(std::time::Duration::from_millis(700));
    let load = Load::start(place.port);
    place.run(&["deploy", "web", "--image", &image("two", &[]), "--yes"]).done();
    load.end().switched("one", "two");
    for answer in slow {
        assert_eq!(answer.join().unwrap().as_deref(), Ok("one"));
    }
}

/// A body that takes three seconds.
fn upload(port: u16) -> Result<String, String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string())?;
    let head = "POST /slow?ms=0 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 30\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).map_err(|error| error.to_string())?;
    for _ in 0..30 {
        std::thread::sleep(std::time::Duration::from_millis(100));
        stream.write_all(b"x").map_err(|error| error.to_string())?;
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|error| error.to_string())?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).ok_or(answer)
}

#[test]
fn real_a_kept_service_changes_only_when_it_is_named() {
    let place = Place::new("keep");
    let one = image("one", &[]);
    place.platform(
        "5m",
        "  store:\n    strategy: keep\n    port: 8080\n    health: {path: /health, budget: 5s}\n    stop_grace: 1s\n",
    );
    let files = |word: &str| {
        place
            .compose(&[web(&one, ""), service("store", &one, &format!("    environment: {{WORD: {word}}}\n"))].concat())
    };
    files("first");
    place.run(&["up", "--yes"]).done();
    let first = of_service(&place, "store");

    files("second");
    place.run(&["up", "--yes"]).done();
    assert_eq!(of_service(&place, "store"), first, "it is kept as it is");
    assert_eq!(word(&first[0]), "WORD=first");

    let watch = Watch::start(&place, "store");
    place.run(&["up", "--service", "store", "--yes"]).done();
    let second = of_service(&place, "store");
    assert_eq!(second.len(), 1);
    assert_eq!(word(&second[0]), "WORD=second");
    assert_eq!(watch.most(), 1, "how many ran at once");
}

fn of_service(place: &Place, service: &str) -> Vec<String> {
    let service = format!("label=dev.mainstay.service={service}");
    lines(&docker(&["ps", "--no-trunc", "--quiet", "--filter", &place.label(), "--filter", &service]))
}

fn word(container: &str) -> String {
    let env = docker(&["inspect", "--format", "{{range .Config.Env}}{{println .}}{{end}}", container]);
    lines(&env).into_iter().find(|line| line.starts_with("WORD=")).unwrap_or_default()
}

/// Counts the running containers of a service, over and over.
pub struct Watch {
    stop: Arc<AtomicBool>,
    looking: JoinHandle<usize>,
}

impl Watch {
    pub fn start(place: &Place, service: &str) -> Watch {
        let stop = Arc::new(AtomicBool::new(false));
        let (label, service, stopped) = (place.label(), format!("label=dev.mainstay.service={service}"), stop.clone());
        let looking = std::thread::spawn(move || {
            let mut most = 0;
            while !stopped.load(Ordering::SeqCst) {
                let running =
                    docker(&["ps", "--quiet", "--filter", "status=running", "--filter", &label, "--filter", &service]);
                most = most.max(running.lines().count());
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            most
        });
        Watch { stop, looking }
    }

    pub fn most(self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        self.looking.join().unwrap()
    }
}
