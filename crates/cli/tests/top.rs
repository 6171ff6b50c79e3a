//! `mainstay top` against a real edge under load, and on a real terminal.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, and starts the binary as a person would"
)]

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Ends what a test started, also when it fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An edge with a service of two targets, of which one refuses connections, and clients that ask all the time.
struct Scene {
    folder: tempfile::TempDir,
    _edge: Running,
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn mainstay(root: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
    command.arg("--root").arg(root).args(words).stdin(Stdio::null());
    command
}

impl Scene {
    async fn set() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let edge = mainstay(folder.path(), &["edge"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let edge = Running(edge);
        let control = edge::Control::new(folder.path().join("run/edge.sock"));
        until("the edge", async || control.status().await.is_ok()).await;
        let address = served(&control).await;
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        for client in 0..4 {
            tokio::spawn(ask(address, client % 2 == 0, stop.clone(), asked.clone()));
        }
        until("the load", async || asked.load(Ordering::Relaxed) > 20).await;
        Scene { folder, _edge: edge, stop, asked }
    }

    /// Runs beside the load.
    async fn top(&self, words: &[&str]) -> Output {
        let mut command = mainstay(self.folder.path(), &[&["top"], words].concat());
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < Duration::from_secs(20), "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn served(control: &edge::Control) -> SocketAddr {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut snapshot = edge::Snapshot::new(1);
    snapshot.listeners.push(edge::Listener::new("web", ([127, 0, 0, 1], 0).into(), edge::Scope::Public));
    snapshot.routes.push(edge::Route::new(Some("lab.test"), "/", "lab/test/web"));
    snapshot.pools.push(edge::Pool::new("lab/test/web", "r3", vec![service().await, nobody]));
    control.apply(&snapshot.seal()).await.unwrap().listeners[0].bind
}

/// Answers 500 to `/broken`, and 200 with a hundred bytes to everything else.
async fn service() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0u8; 4096];
                while let Ok(count @ 1..) = stream.read(&mut head).await {
                    let status = if head[..count].starts_with(b"GET /broken") { "500 Broken" } else { "200 OK" };
                    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 100\r\n\r\n{}", ".".repeat(100));
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// Asks on one connection; one of the two kinds of clients asks for what is broken, and for a host without a route.
async fn ask(address: SocketAddr, is_fine: bool, stop: Arc<AtomicBool>, asked: Arc<AtomicUsize>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut answer = [0u8; 4096];
    while !stop.load(Ordering::Relaxed) {
        let others = [("lab.test", "/broken"), ("elsewhere.test", "/")];
        for (host, path) in if is_fine { &[("lab.test", "/x")][..] } else { &others[..] } {
            let text = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            stream.write_all(text.as_bytes()).await.unwrap();
            assert!(stream.read(&mut answer).await.unwrap() > 0);
            asked.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_look_is_a_line_of_data_whose_rates_are_those_of_the_load() {
    let scene = Scene::set().await;
    let (before, began) = (scene.asked.load(Ordering::Relaxed), Instant::now());
    let said = scene.top(&["--json", "--count", "3", "--interval", "600ms"]).await;
    let real = (scene.asked.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64();
    assert!(said.status.success(), "{}", text(&said.stderr));
    let looks: Vec<Value> = text(&said.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(looks.len(), 3);
    for look in &looks {
        assert!(number(&look["seconds"]) >= 0.6 && number(&look["seconds"]) < 3.0, "{look}");
        let (service, route, edge) = (&look["services"][0], &look["routes"][0], &look["edge"]);
        assert_eq!((&service["service"], &service["release"]), (&"lab/test/web".into(), &"r3".into()));
        let refused = number(&edge["refused_per_s"]["no-route"]);
        let all = number(&service["requests_per_s"]) + refused;
        assert!(all > real / 3.0 && all < real * 3.0, "{all} seen, {real} asked: {look}");
        for field in ["server_errors_per_s", "bytes_out_per_s", "p50_ms", "p99_ms"] {
            assert!(number(&service[field]) > 0.0, "{field}: {look}");
        }
        assert!(number(&service["p50_ms"]) <= number(&service["p99_ms"]), "{look}");
        assert_eq!(number(&service["client_errors_per_s"]), 0.0, "{look}");
        assert_eq!((&route["host"], &route["services"][0]), (&"lab.test".into(), &service["service"]));
        assert!(number(&edge["connections"]) >= 4.0, "{look}");
        assert_eq!(service["targets"].as_array().unwrap().len(), 2, "{look}");
    }
    let conditions: Vec<&Value> = looks
        .iter()
        .flat_map(|look| look["services"][0]["targets"].as_array().unwrap())
        .map(|t| &t["condition"])
        .collect();
    assert!(conditions.iter().any(|condition| **condition == "unreachable"), "{conditions:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_look_is_a_table_of_the_chosen_view() {
    let scene = Scene::set().await;
    for (view, wanted) in [
        ("services", ["SERVICE", "REQ/S*", "lab/test/web", "r3"]),
        ("routes", ["ROUTE", "REFUSED/S", "lab.test/", "lab/test/web"]),
        ("targets", ["TARGET", "CONDITION", "127.0.0.1:", "well"]),
    ] {
        let said = scene.top(&["--once", "--interval", "300ms", "--view", view]).await;
        let table = text(&said.stdout);
        assert!(said.status.success(), "{}", text(&said.stderr));
        assert!(wanted.iter().all(|word| table.contains(word)), "{view}:\n{table}");
        assert!(table.contains("req/s") && table.contains("no-route"), "the edge as a whole:\n{table}");
        assert!(!table.contains('\u{1b}'), "no colours in a pipe:\n{table}");
    }
    let said = scene.top(&["--once", "--interval", "300ms", "--filter", "nowhere"]).await;
    assert!(text(&said.stdout).contains("nothing fits the filter"), "{}", text(&said.stdout));
}

#[test]
fn what_cannot_be_shown_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let said = mainstay(folder.path(), &["top", "--once"]).output().unwrap();
    let words = text(&said.stderr);
    assert!(said.status.code() == Some(1) && words.contains("hint:") && words.contains("mainstay up"), "{words}");
    for wrong in [&["--sort", "speed"][..], &["--interval", "1ms"], &["--count", "0"], &["--once", "--watch"]] {
        let said = mainstay(folder.path(), &[&["top"], wrong].concat()).output().unwrap();
        assert_eq!(said.status.code(), Some(2), "{wrong:?}: {}", text(&said.stderr));
    }
    let said = mainstay(folder.path(), &["top", "--sort", "speed"]).output().unwrap();
    assert!(text(&said.stderr).contains("p99"), "the known ones: {}", text(&said.stderr));
}

/// The live view on a terminal of its own, which `script` makes.
fn on_a_terminal(root: &Path) -> Running {
    let program = env!("CARGO_BIN_EXE_mainstay");
    let line = format!(
        "stty cols 100 rows 20; '{program}' --root '{}' top --interval 200ms; echo left with $?",
        root.display()
    );
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env("TERM", "xterm-256color");
    Running(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
}

const ENTERED: &str = "\u{1b}[?1049h";
const LEFT: &str = "\u{1b}[?1049l";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_live_view_leaves_the_terminal_as_it_was_by_key_by_ctrl_c_and_by_signal() {
    let scene = Scene::set().await;
    for way in ["q", "\u{3}", "TERM"] {
        let root = scene.folder.path().to_owned();
        let seen = tokio::task::spawn_blocking(move || watched(&root, way)).await.unwrap();
        let (entered, left) =
            (seen.find(ENTERED).expect("it took the other screen"), seen.rfind(LEFT).expect("it gave it back"));
        assert!(seen[entered..left].contains("lab/test/web") && seen[entered..left].contains("q quit"), "{seen:?}");
        assert!(seen[left..].contains("left with 0") && seen[..].contains("\u{1b}[?25h"), "{way:?}: {seen:?}");
    }
}

/// Everything that the terminal got, until the view was left this way.
fn watched(root: &Path, way: &str) -> String {
    let mut terminal = on_a_terminal(root);
    let (mut out, mut keys) = (terminal.0.stdout.take().unwrap(), terminal.0.stdin.take().unwrap());
    let mut seen = Vec::new();
    let mut buffer = [0u8; 4096];
    let began = Instant::now();
    while !text(&seen).contains("lab/test/web") {
        assert!(began.elapsed() < Duration::from_secs(20), "nothing is shown: {}", text(&seen));
        match out.read(&mut buffer).unwrap() {
            0 => panic!("it ended: {}", text(&seen)),
            count => seen.extend_from_slice(&buffer[..count]),
        }
    }
    if way == "TERM" {
        // The view's own process, below the terminal's shell.
        let pattern = format!("--root {} top", root.display());
        assert!(Command::new("pkill").args(["-TERM", "-f", "--", &pattern]).status().unwrap().success());
    } else {
        keys.write_all(way.as_bytes()).unwrap();
        keys.flush().unwrap();
    }
    out.read_to_end(&mut seen).unwrap();
    text(&seen)
}
