//! One Docker Engine for everything: what a shell chooses is followed where it is that one, and refused where it is not.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use super::place::{Place, Ran, image, service};

/// Nobody answers here: an address for documents.
const AWAY: &str = "tcp://203.0.113.9:2375";

/// Another socket of the machine's engine, that remembers what was asked through it.
struct Relay {
    socket: PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Relay {
    fn new(folder: &Path) -> Relay {
        let socket = folder.join("relay.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let engine = UnixStream::connect("/var/run/docker.sock").unwrap();
                let (back, answers) = (client.try_clone().unwrap(), engine.try_clone().unwrap());
                let log = log.clone();
                std::thread::spawn(move || pass(client, engine, |bytes| remember(&log, bytes)));
                std::thread::spawn(move || pass(answers, back, |_| {}));
            }
        });
        Relay { socket, asked }
    }

    fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// What was asked that changes something.
    fn changes(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|line| !line.starts_with("GET") && !line.starts_with("HEAD")).cloned().collect()
    }
}

fn pass(mut from: UnixStream, mut to: UnixStream, look: impl Fn(&[u8])) {
    let mut bytes = vec![0; 65536];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        look(&bytes[..count]);
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

fn remember(log: &Mutex<Vec<String>>, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let is_request =
        |line: &&str| ["GET ", "HEAD ", "POST ", "PUT ", "DELETE "].iter().any(|word| line.starts_with(word));
    log.lock().unwrap().extend(text.lines().filter(is_request).map(str::to_owned));
}

fn stack(test: &str) -> Place {
    let place = Place::new(test);
    write(&place, "one");
    place.write("mainstay.yaml", &super::takeover::quiet(""));
    place
}

fn write(place: &Place, build: &str) {
    let web = service("web", &image("one", &[]), &format!("    environment: {{BUILD_OF: {build}}}\n"));
    place.write("compose.yaml", &format!("name: {}\nservices:\n{web}", place.name));
}

fn run_with(place: &Place, words: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = place.command(words);
    command.env_remove("DOCKER_HOST").env_remove("DOCKER_CONTEXT").envs(variables.iter().copied());
    Ran::of(command.stdin(Stdio::null()).output().unwrap())
}

/// Docker's settings with a context in use.
fn context(host: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for words in [&["context", "create", "away", "--docker", &format!("host={host}")][..], &["context", "use", "away"]]
    {
        let docker = std::process::Command::new("docker").args(words).env("DOCKER_CONFIG", folder.path()).output();
        let docker = docker.unwrap();
        assert!(docker.status.success(), "{}", String::from_utf8_lossy(&docker.stderr));
    }
    folder
}

#[test]
fn real_another_engine_than_the_agents_is_refused_with_both_names_and_nothing_is_changed() {
    let place = stack("engineaway");
    // Before there is an agent: none is started for an engine that is not beside it.
    run_with(&place, &["up", "--yes"], &[("DOCKER_HOST", AWAY)]).ended(4).says(AWAY).says("not one of this machine");
    run_with(&place, &["up", "--yes"], &[]).done();
    let before = place.containers();
    write(&place, "two");
    let settings = context(AWAY);
    let folder = settings.path().to_str().unwrap();
    let choices: [(&str, &str, &str); 3] = [
        ("DOCKER_HOST", AWAY, "`unset DOCKER_HOST`"),
        ("DOCKER_CONFIG", folder, "`docker context use default`"),
        ("DOCKER_HOST", "ssh://nobody@203.0.113.9", "`unset DOCKER_HOST`"),
    ];
    for (name, value, undo) in choices {
        for words in [
            &["up", "--yes"][..],
            &["plan"],
            &["status"],
            &["exec", "web", "--", "true"],
            &["logs", "web"],
            &["down", "--yes"],
        ] {
            let ran = run_with(&place, words, &[(name, value)]).ended(4);
            ran.says("203.0.113.9").says("unix:///var/run/docker.sock").says(undo);
        }
        run_with(&place, &["doctor"], &[(name, value)]).ended(1).says("Docker's choice").says("203.0.113.9").says(undo);
    }
    assert_eq!(place.containers(), before);
    // The agent's engine is remembered, when nothing runs as well.
    run_with(&place, &["stop"], &[]).done();
    run_with(&place, &["status"], &[("DOCKER_HOST", AWAY)]).ended(4).says("203.0.113.9");
    run_with(&place, &["up", "--yes"], &[]).done();
}

#[test]
fn real_the_context_in_use_leads_nothing_of_the_agents_to_another_socket() {
    let place = stack("enginecontext");
    let sockets = tempfile::tempdir().unwrap();
    let relay = Relay::new(sockets.path());
    let settings = context(&relay.host());
    // As root's own settings are for an agent: it has them all its life, and somebody puts another context in use.
    let mine = [("DOCKER_CONFIG", settings.path().to_str().unwrap()), ("DOCKER_HOST", "unix:///var/run/docker.sock")];
    run_with(&place, &["up", "--yes"], &mine).done();
    let folder = [("DOCKER_CONFIG", settings.path().to_str().unwrap())];
    write(&place, "two");
    // It is the same engine by another way, so it is followed.
    run_with(&place, &["up", "--yes"], &folder).done();
    run_with(&place, &["exec", "web", "--", "/testapp", "--help"], &folder);
    run_with(&place, &["restart", "web", "--yes"], &folder).done();
    assert!(!relay.asked.lock().unwrap().is_empty(), "the way was not even tried");
    assert_eq!(relay.changes(), Vec::<String>::new());
    run_with(&place, &["up", "--yes"], &[("DOCKER_CONTEXT", "away"), folder[0]])
        .done()
        .says("Nothing had to be changed");
    run_with(&place, &["plan"], &[("DOCKER_CONTEXT", "nowhere"), folder[0]]).ended(4).says("`nowhere`");
    // A rootless engine's socket is such a way, too: an agent that was started with it keeps to it.
    run_with(&place, &["down", "--yes"], &[]).done();
}

#[test]
fn real_an_agent_works_with_the_socket_that_it_was_given_and_later_shells_need_not_say_so() {
    let place = stack("enginesocket");
    let sockets = tempfile::tempdir().unwrap();
    let relay = Relay::new(sockets.path());
    run_with(&place, &["up", "--yes"], &[("DOCKER_HOST", &relay.host())]).done();
    assert!(relay.changes().iter().any(|line| line.contains("/containers/create")), "{:?}", relay.changes());
    run_with(&place, &["stop"], &[]).done();
    write(&place, "two");
    let before = relay.changes().len();
    run_with(&place, &["up", "--yes"], &[]).done();
    assert!(relay.changes().len() > before, "the engine of before was forgotten");
    run_with(&place, &["down", "--yes"], &[]).done();
}
