//! A stack that ran with plain Compose is taken over as it is, and given back: its data stays, its ports answer.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::crash::{end_agent, start_agent};
use super::load::Load;
use super::place::{Place, Ran, image, lines, wait};

const LIMIT: Duration = Duration::from_secs(120);
const HEALTH: &str = "    healthcheck: {test: [CMD, \"true\"], interval: 1s, timeout: 5s, retries: 30}\n";

/// A folder that plain Compose runs first.
struct Stack {
    place: Place,
    project: String,
    /// Compose is called with `-p`.
    is_other: bool,
}

impl Stack {
    fn new(test: &str, file: &str) -> Stack {
        let place = Place::in_folder_of_its_name(&format!("takeover{test}"));
        std::fs::create_dir(place.dir()).unwrap();
        place.write("compose.yaml", file);
        Stack { project: place.name.clone(), place, is_other: false }
    }

    /// The same for programs without a route: the edge would listen on port 80 for them, as for other tests.
    fn without_routes(test: &str, file: &str) -> Stack {
        let stack = Stack::new(test, file);
        stack.place.write("mainstay.yaml", &quiet(""));
        stack
    }

    fn compose(&self, words: &[&str]) -> Ran {
        let mut command = self.place.docker_command();
        command.arg("compose");
        if self.is_other {
            command.args(["-p", &self.project]);
        }
        Ran::of(command.args(words).current_dir(self.place.dir()).stdin(Stdio::null()).output().unwrap()).done()
    }

    fn run(&self, words: &[&str]) -> Ran {
        self.place.run(words)
    }

    /// Compose's containers of a service, whether they run or not.
    fn of_compose(&self, service: &str) -> Vec<String> {
        let project = format!("label=com.docker.compose.project={}", self.project);
        let service = format!("label=com.docker.compose.service={service}");
        lines(&self.place.docker(&["ps", "-aq", "--no-trunc", "--filter", &project, "--filter", &service]))
    }

    /// The one container that runs a service, whoever runs it.
    #[track_caller]
    fn container(&self, service: &str) -> String {
        let ours = format!("label=dev.mainstay.service={service}");
        let mut found = lines(&self.place.docker(&["ps", "-q", "--filter", &self.place.label(), "--filter", &ours]));
        let project = format!("label=com.docker.compose.project={}", self.project);
        let compose = format!("label=com.docker.compose.service={service}");
        found.extend(lines(&self.place.docker(&["ps", "-q", "--filter", &project, "--filter", &compose])));
        assert_eq!(found.len(), 1, "containers of {service}: {found:?}");
        found.remove(0)
    }

    fn shell(&self, service: &str, script: &str) -> String {
        self.place.docker(&["exec", &self.container(service), "sh", "-c", script])
    }

    #[track_caller]
    fn has(&self, data: &[(&str, &str)]) {
        for (service, path) in data {
            assert_eq!(self.shell(service, &format!("cat {path}")), "kept\n", "{path} of {service}");
        }
    }

    fn keep(&self, data: &[(&str, &str)]) {
        for (service, path) in data {
            self.shell(service, &format!("echo kept > {path}"));
        }
    }

    /// Takes it over, goes through `down` and `up`, gives it back and takes it again.
    fn there_and_back(&self, services: &[&str], data: &[(&str, &str)], look: impl Fn(&Stack)) {
        let plan = self.run(&["plan"]).done();
        plan.says("takes over what Docker Compose runs").says(&format!("as project `{}`", self.project));
        let ran = self.run(&["up", "--yes"]).done();
        self.gaps("up", &ran);
        self.is_ours(services, data);
        look(self);
        self.run(&["up", "--yes"]).done().says("Nothing had to be changed");
        self.run(&["down", "--yes"]).done();
        self.run(&["up", "--yes"]).done();
        self.is_ours(services, data);
        look(self);
        self.give_back(services, data);
        look(self);
        let ran = self.run(&["up", "--yes"]).done();
        self.gaps("up again", &ran);
        self.is_ours(services, data);
        look(self);
        self.give_back(services, data);
    }

    #[track_caller]
    fn is_ours(&self, services: &[&str], data: &[(&str, &str)]) {
        for service in services {
            assert_eq!(self.of_compose(service), Vec::<String>::new(), "Compose's containers of {service}");
        }
        self.has(data);
    }

    #[track_caller]
    fn give_back(&self, services: &[&str], data: &[(&str, &str)]) {
        let ran = self.run(&["release-to-compose", "--yes"]).done();
        ran.says("is Docker Compose's from now on").says("`mainstay up` takes it back");
        self.gaps("release-to-compose", &ran);
        assert_eq!(self.place.containers(), [], "containers of Mainstay's");
        self.has(data);
        let all = || services.iter().map(|service| self.of_compose(service)).collect::<Vec<_>>();
        let before = all();
        assert!(before.iter().all(|one| !one.is_empty()), "{before:?}");
        self.compose(&["up", "-d"]);
        assert_eq!(all(), before, "plain `docker compose up -d` has changed something");
        self.has(data);
    }

    fn gaps(&self, what: &str, ran: &Ran) {
        ran.says("handed over: it was away for");
        for line in ran.err.lines().filter(|line| line.contains("handed over")) {
            eprintln!("{} {what}: {}", self.place.name, line.trim());
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let _ = self.place.command(&["down", "--yes", "--volumes", "--no-wait"]).output();
        let words = ["compose", "-p", &self.project, "down", "--volumes", "--timeout", "0"];
        let _ = self.place.docker_command().args(words).current_dir(self.place.dir()).output();
    }
}

pub fn quiet(more: &str) -> String {
    let port = testkit::free_port();
    format!("version: 1\nenvironments: {{production: {{edge: {{http: \"127.0.0.1:{port}\"}}}}}}\n{more}")
}

fn program(name: &str, more: &str) -> String {
    format!(
        "  {name}:\n    image: debian:bookworm-slim\n    init: true\n    command: [sleep, infinity]\n{HEALTH}{more}"
    )
}

fn web(image: &str, port: u16, more: &str) -> String {
    format!("  web:\n    image: {image}\n    init: true\n    ports: [\"127.0.0.1:{port}:8080\"]\n{HEALTH}{more}")
}

/// An image that keeps its data in a volume that no file names.
fn with_volume() -> String {
    let tag = "mainstay-test/takeover:volume".to_owned();
    let mut build = Command::new("docker")
        .args(["build", "--quiet", "--tag", &tag, "-"])
        .env("DOCKER_BUILDKIT", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    build.stdin.take().unwrap().write_all(b"FROM debian:bookworm-slim\nVOLUME /var/lib/app\n").unwrap();
    assert!(build.wait().unwrap().success());
    tag
}

fn get(port: u16) -> Result<String, String> {
    let output = Command::new("curl")
        .args(["-s", "--max-time", "5", &format!("http://127.0.0.1:{port}/")])
        .output()
        .map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn answers(port: u16, body: &str) {
    wait("the web to answer", LIMIT, || match get(port)? {
        text if text.trim() == body => Ok(()),
        other => Err(other),
    });
}

#[test]
fn real_takeover_of_named_volumes() {
    let (one, port) = (image("one", &[]), testkit::free_port());
    let file = format!(
        "services:\n{}{}volumes: {{rows: {{}}, uploads: {{}}}}\n",
        web(&one, port, "    volumes: [\"uploads:/uploads\"]\n    depends_on: [db]\n"),
        program("db", "    volumes: [\"rows:/rows\"]\n")
    );
    let stack = Stack::new("named", &file);
    stack.compose(&["up", "-d"]);
    let data = [("db", "/rows/a"), ("web", "/uploads/b")];
    stack.keep(&data);
    let init = stack.run(&["init"]).done();
    init.says(&format!("Docker Compose runs this stack as project `{}` (2 containers, volumes", stack.project));
    std::fs::remove_file(stack.place.dir().join("mainstay.yaml")).unwrap();
    stack.run(&["doctor"]).says("`mainstay release-to-compose` gives it back");
    stack.there_and_back(&["db", "web"], &data, |_| answers(port, "one"));
}

#[test]
fn real_takeover_of_a_bind_mount() {
    let stack =
        Stack::without_routes("bind", &format!("services:\n{}", program("db", "    volumes: [\"./rows:/rows\"]\n")));
    stack.compose(&["up", "-d"]);
    stack.keep(&[("db", "/rows/a")]);
    stack.there_and_back(&["db"], &[("db", "/rows/a")], |stack| {
        assert_eq!(std::fs::read_to_string(stack.place.dir().join("rows/a")).unwrap(), "kept\n");
    });
}

#[test]
fn real_takeover_of_volumes_that_no_file_names() {
    let file = format!(
        "services:\n  store:\n    image: {}\n    init: true\n    command: [sleep, infinity]\n{HEALTH}    volumes: [/cache]\n",
        with_volume()
    );
    let stack = Stack::without_routes("anonymous", &file);
    stack.compose(&["up", "-d"]);
    let data = [("store", "/var/lib/app/a"), ("store", "/cache/b")];
    stack.keep(&data);
    stack.run(&["plan"]).done().says("keeps the data of `/var/lib/app`");
    stack.there_and_back(&["store"], &data, |_| ());
}

#[test]
fn real_volumes_that_no_file_names_go_to_compose_from_each_copy() {
    let file = format!(
        "services:\n  store:\n    image: {}\n    init: true\n    command: [sh, -c, 'ls /var/lib/app | grep -q . || hostname > /var/lib/app/who; exec sleep infinity']\n    deploy: {{replicas: 2}}\n{HEALTH}",
        with_volume()
    );
    let stack = Stack::without_routes("copies", &file);
    stack.run(&["up", "--yes"]).done();
    let words = |id: &String| stack.place.docker(&["exec", id, "cat", "/var/lib/app/who"]);
    let mut ours = lines(&stack.place.docker(&["ps", "-q", "--filter", &stack.place.label()]));
    ours.sort();
    let mut before: Vec<String> = ours.iter().map(words).collect();
    stack.run(&["release-to-compose", "--yes"]).done();
    let mut after: Vec<String> = stack.of_compose("store").iter().map(words).collect();
    before.sort();
    after.sort();
    assert_eq!(before, after);
    assert_eq!(after.len(), 2);
}

#[test]
fn real_takeover_of_a_stateless_web_under_load() {
    let (one, port) = (image("one", &[]), testkit::free_port());
    let stack = Stack::new("load", &format!("services:\n{}", web(&one, port, "")));
    stack.compose(&["up", "-d"]);
    answers(port, "one");
    let load = Load::start(port);
    let ran = stack.run(&["up", "--yes"]).done();
    stack.gaps("up", &ran);
    answers(port, "one");
    let seen = load.end();
    let mut good: Vec<Instant> =
        seen.0.iter().filter(|sample| sample.answer.is_ok()).map(|sample| sample.over).collect();
    good.sort();
    let gap = good.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    let lost = seen.0.iter().filter(|sample| sample.answer.is_err()).count();
    eprintln!("{}: longest time without an answer {gap:?}, {lost} of {} requests lost", stack.place.name, seen.0.len());
    assert!(gap < Duration::from_secs(5), "{gap:?}");
    assert!(stack.of_compose("web").is_empty());
    stack.run(&["up", "--yes"]).done().says("Nothing had to be changed");
    stack.give_back(&["web"], &[]);
    answers(port, "one");
}

#[test]
fn real_takeover_of_a_worker() {
    let file = format!("services:\n{}volumes: {{jobs: {{}}}}\n", program("worker", "    volumes: [\"jobs:/jobs\"]\n"));
    let stack = Stack::without_routes("worker", &file);
    stack.compose(&["up", "-d"]);
    stack.keep(&[("worker", "/jobs/a")]);
    stack.there_and_back(&["worker"], &[("worker", "/jobs/a")], |_| ());
}

#[test]
fn real_takeover_of_a_socket_mount_a_config_file_and_a_udp_port() {
    let (udp, port) = (image("udp", &[("UDP_PORT", "5353")]), testkit::free_port());
    let file = format!(
        "services:\n  dns:\n    image: {udp}\n    init: true\n    ports: [\"127.0.0.1:{port}:5353/udp\"]\n    volumes: [\"/var/run/docker.sock:/var/run/docker.sock:ro\", \"./app.conf:/etc/app.conf:ro\"]\n{HEALTH}{}",
        program("host", "    network_mode: host\n")
    );
    let stack = Stack::without_routes("udp", &file);
    stack.place.write("app.conf", "kept\n");
    stack.compose(&["up", "-d"]);
    let echo = |_: &Stack| {
        wait("the packet to come back", LIMIT, || {
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
            socket.set_read_timeout(Some(Duration::from_secs(1))).map_err(|error| error.to_string())?;
            socket.send_to(b"ping", ("127.0.0.1", port)).map_err(|error| error.to_string())?;
            let mut answer = [0; 16];
            socket.recv(&mut answer).map(drop).map_err(|error| error.to_string())
        });
    };
    echo(&stack);
    stack.there_and_back(&["dns", "host"], &[("dns", "/etc/app.conf")], echo);
}

#[test]
fn real_takeover_of_what_was_stopped_and_of_volumes_that_are_left() {
    let file = format!("services:\n{}volumes: {{rows: {{}}}}\n", program("db", "    volumes: [\"rows:/rows\"]\n"));
    let stack = Stack::without_routes("stopped", &file);
    stack.compose(&["up", "-d"]);
    stack.keep(&[("db", "/rows/a")]);
    stack.compose(&["stop", "-t", "1"]);
    stack.run(&["plan"]).done().says("(0 running)");
    stack.run(&["up", "--yes"]).done();
    stack.is_ours(&["db"], &[("db", "/rows/a")]);
    stack.run(&["up", "--yes"]).done().says("Nothing had to be changed");
    stack.give_back(&["db"], &[("db", "/rows/a")]);
    stack.compose(&["down", "-t", "1"]);
    stack.run(&["doctor"]).says("Docker Compose has left data of this stack");
    stack.run(&["up", "--yes"]).done();
    stack.is_ours(&["db"], &[("db", "/rows/a")]);
    stack.give_back(&["db"], &[("db", "/rows/a")]);
}

#[test]
fn real_takeover_of_a_project_under_another_name() {
    let file = format!("services:\n{}volumes: {{rows: {{}}}}\n", program("db", "    volumes: [\"rows:/rows\"]\n"));
    let mut stack = Stack::without_routes("other", &file);
    stack.project = format!("{}-elsewhere", stack.place.name);
    stack.is_other = true;
    stack.compose(&["up", "-d"]);
    stack.keep(&[("db", "/rows/a")]);
    stack.there_and_back(&["db"], &[("db", "/rows/a")], |_| ());
    let ran = stack.run(&["up", "--yes"]).done();
    stack.gaps("up", &ran);
    stack.run(&["release-to-compose", "--yes"]).done().says(&format!("`docker compose -p {} ps`", stack.project));
}

#[test]
fn real_compose_has_its_container_back_where_the_new_release_fails() {
    let (one, port) = (image("one", &[]), testkit::free_port());
    let file = |command: &str| {
        format!(
            "services:\n{}volumes: {{rows: {{}}}}\n",
            web(&one, port, &format!("    command: {command}\n    volumes: [\"rows:/rows\"]\n"))
        )
    };
    let stack = Stack::new("fails", &file("[/testapp]"));
    stack.compose(&["up", "-d"]);
    stack.keep(&[("web", "/rows/a")]);
    answers(port, "one");
    let before = stack.of_compose("web");
    stack.place.write("compose.yaml", &file("[sh, -c, 'exit 3']"));
    let ran = stack.run(&["up", "--yes"]).ended(3);
    ran.says("runs again");
    answers(port, "one");
    assert_eq!(stack.of_compose("web"), before);
    stack.has(&[("web", "/rows/a")]);
    stack.place.write("compose.yaml", &file("[/testapp]"));
    stack.run(&["up", "--yes"]).done();
    stack.is_ours(&["web"], &[("web", "/rows/a")]);
    answers(port, "one");
}

#[test]
fn real_ours_come_back_where_compose_cannot_start() {
    let (one, port) = (image("one", &[]), testkit::free_port());
    let file = |more: &str| {
        format!(
            "services:\n{}volumes: {{rows: {{}}}}\n",
            web(&one, port, &format!("    volumes: [\"rows:/rows\"]\n{more}"))
        )
    };
    let stack = Stack::new("backagain", &file(""));
    stack.run(&["up", "--yes"]).done();
    stack.keep(&[("web", "/rows/a")]);
    // Somebody has the address that Docker would publish beside the edge's.
    let taken = testkit::free_port();
    let _holder = std::net::UdpSocket::bind(("127.0.0.1", taken)).unwrap();
    let second = program("second", &format!("    ports: [\"127.0.0.1:{taken}:53/udp\"]\n"));
    stack.place.write("compose.yaml", &file("").replace("services:\n", &format!("services:\n{second}")));
    let ran = stack.run(&["release-to-compose", "--yes"]);
    assert!(ran.code == 3 || ran.code == 5, "{ran:?}");
    stack.has(&[("web", "/rows/a")]);
    answers(port, "one");
}

#[test]
fn real_the_agent_is_killed_in_the_middle_of_a_hand_over() {
    let (one, port) = (image("one", &[]), testkit::free_port());
    let file = format!("services:\n{}volumes: {{rows: {{}}}}\n", web(&one, port, "    volumes: [\"rows:/rows\"]\n"));
    let mut stack = Stack::new("killed", &file);
    stack.compose(&["up", "-d"]);
    stack.keep(&[("web", "/rows/a")]);
    stack.place.start("edge", None);
    start_agent(&mut stack.place, None);
    let command = stack.place.begin(&["up", "--yes"]);
    let id = stack.of_compose("web").remove(0);
    wait("Compose's container to stop", LIMIT, || {
        let up = stack.place.docker(&["inspect", "--format", "{{.State.Running}}", &id]);
        if up.trim() == "false" { Ok(()) } else { Err(up) }
    });
    end_agent(&mut stack.place);
    start_agent(&mut stack.place, None);
    command.wait_with_output().unwrap();
    stack.run(&["up", "--yes"]).done();
    stack.is_ours(&["web"], &[("web", "/rows/a")]);
    answers(port, "one");
    // And on the way back.
    let command = stack.place.begin(&["release-to-compose", "--yes"]);
    wait("ours to be gone", LIMIT, || match stack.place.containers() {
        left if left.is_empty() => Ok(()),
        left => Err(format!("{left:?}")),
    });
    end_agent(&mut stack.place);
    start_agent(&mut stack.place, None);
    command.wait_with_output().unwrap();
    stack.run(&["release-to-compose", "--yes"]).done();
    stack.has(&[("web", "/rows/a")]);
    answers(port, "one");
}

#[test]
fn real_a_kept_service_keeps_the_image_that_compose_runs() {
    let (one, two) = (image("one", &[]), image("two", &[]));
    let tag = format!("mainstay-test/takeover:kept-{}", std::process::id());
    let file = format!(
        "services:\n  db:\n    image: {tag}\n    init: true\n{HEALTH}    volumes: [\"rows:/rows\"]\nvolumes: {{rows: {{}}}}\n"
    );
    let stack = Stack::new("kept", &file);
    stack.place.docker(&["tag", &one, &tag]);
    stack.compose(&["up", "-d"]);
    stack.keep(&[("db", "/rows/a")]);
    stack.place.write("mainstay.yaml", &quiet("services: {db: {strategy: keep}}\n"));
    let id = |of: &str| stack.place.docker(&["inspect", "--format", "{{.Image}}", of]);
    let before = id(&stack.container("db"));
    // Somebody has pulled a newer image of the same name.
    stack.place.docker(&["tag", &two, &tag]);
    stack.run(&["up", "--yes"]).done();
    stack.is_ours(&["db"], &[("db", "/rows/a")]);
    assert_eq!(id(&stack.container("db")), before);
    stack.run(&["up", "--yes"]).done();
    assert_eq!(id(&stack.container("db")), before);
    stack.place.docker(&["rmi", "--no-prune", &tag]);
}
