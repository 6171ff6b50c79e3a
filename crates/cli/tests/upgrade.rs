//! The binary replaces its own running edge.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and starts the binary as a person would"
)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
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

fn mainstay(root: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
    command.arg("--root").arg(root).args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn holder(root: &Path) -> u32 {
    std::fs::read_to_string(root.join("run/edge.lock")).unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn upgrade_replaces_the_running_edge_and_the_lock_is_never_free() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let mut old = Running(mainstay(root, &["edge"]).spawn().unwrap());
    let control = edge::Control::new(root.join("run/edge.sock"));
    let before = until("the edge", async || control.status().await.ok()).await;
    assert_eq!((before.pid, holder(root)), (old.0.id(), old.0.id()));

    let said = mainstay(root, &["upgrade"]).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let now = control.status().await.unwrap();
    assert_ne!(now.pid, before.pid);
    let left = until("the old edge to leave", async || old.0.try_wait().unwrap()).await;
    assert!(left.success());
    until("the lock's new holder", async || (holder(root) == now.pid).then_some(())).await;

    // The old one has gone, and the lock is held all the same.
    let refused = mainstay(root, &["edge"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(4), "{}", String::from_utf8_lossy(&refused.stderr));

    // As systemd's reload does it.
    let pid = Pid::from_raw(i32::try_from(now.pid).unwrap());
    kill(pid, Signal::SIGUSR2).unwrap();
    let newest = until("the next edge", async || control.status().await.ok().filter(|seen| seen.pid != now.pid)).await;
    until("the lock's newest holder", async || (holder(root) == newest.pid).then_some(())).await;
    kill(Pid::from_raw(i32::try_from(newest.pid).unwrap()), Signal::SIGTERM).unwrap();
    until("the lock to be free", async || {
        let lock = std::fs::File::open(root.join("run/edge.lock")).unwrap();
        lock.try_lock_shared().ok()
    })
    .await;
}

#[test]
fn there_is_nothing_to_upgrade_where_no_edge_runs() {
    let folder = tempfile::tempdir().unwrap();
    let said = mainstay(folder.path(), &["upgrade"]).output().unwrap();
    let words = String::from_utf8_lossy(&said.stderr);
    assert!(!said.status.success() && words.contains("nothing to upgrade yet"), "{words}");
}

/// Where the edge listens once it serves a snapshot that sends everything to one target.
async fn served(control: &edge::Control, target: std::net::SocketAddr) -> std::net::SocketAddr {
    let mut snapshot = edge::Snapshot::new(1);
    snapshot.listeners.push(edge::Listener::new("web", ([127, 0, 0, 1], 0).into(), edge::Scope::Public));
    snapshot.routes.push(edge::Route::new(None, "/", "lab"));
    snapshot.pools.push(edge::Pool::new("lab", "r1", vec![target]));
    control.apply(&snapshot.seal()).await.unwrap().listeners[0].bind
}

/// Upgrades every connection and echoes what comes.
async fn sockets() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0u8; 4096];
                let _ = stream.read(&mut head).await;
                let agreed = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
                let _ = stream.write_all(agreed.as_bytes()).await;
                let (mut reading, mut writing) = stream.split();
                let _ = tokio::io::copy(&mut reading, &mut writing).await;
            });
        }
    });
    address
}

/// An open WebSocket, or nothing when nobody answers.
async fn socket(address: std::net::SocketAddr) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let asked = "GET / HTTP/1.1\r\nHost: lab\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(asked.as_bytes()).await.ok()?;
    let mut answer = [0u8; 12];
    stream.read_exact(&mut answer).await.ok()?;
    // The rest of the head.
    let mut byte = [0u8; 1];
    let mut last = [0u8; 4];
    while &last != b"\r\n\r\n" {
        stream.read_exact(&mut byte).await.ok()?;
        last.rotate_left(1);
        last[3] = byte[0];
    }
    answer.ends_with(b"101").then_some(stream)
}

async fn exchanges(stream: &mut TcpStream) -> bool {
    let mut back = [0u8; 4];
    stream.write_all(b"ping").await.is_ok() && stream.read_exact(&mut back).await.is_ok() && &back == b"ping"
}

/// A program file that can be replaced, as a package manager does it: by another one under the same name.
struct Program(PathBuf);

impl Program {
    fn put(&self, bytes: &[u8]) {
        let fresh = self.0.with_extension("new");
        std::fs::write(&fresh, bytes).unwrap();
        std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(&fresh, &self.0).unwrap();
    }

    fn put_ours(&self) {
        let fresh = self.0.with_extension("new");
        std::fs::copy(env!("CARGO_BIN_EXE_mainstay"), &fresh).unwrap();
        std::fs::rename(&fresh, &self.0).unwrap();
    }
}

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

#[tokio::test]
async fn a_new_program_that_fails_in_whatever_way_leaves_the_old_edge_serving() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let program = Program(root.join("mainstay"));
    program.put_ours();
    let errors = std::fs::File::create(root.join("old.log")).unwrap();
    let mut command = Command::new(&program.0);
    command.arg("--root").arg(root).arg("edge").stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
    let old = Running(command.spawn().unwrap());
    let control = edge::Control::new(root.join("run/edge.sock"));
    until("the edge", async || control.status().await.ok()).await;
    let address = served(&control, sockets().await).await;
    let mut open = socket(address).await.unwrap();
    let told = |text: &str| {
        let logs = ["old.log", "log/edge.log"].map(|log| std::fs::read_to_string(root.join(log)).unwrap_or_default());
        logs.concat().contains(text).then_some(())
    };
    let serves_on = async |open: &mut TcpStream| {
        assert_eq!(control.status().await.unwrap().pid, old.0.id());
        assert!(exchanges(open).await && exchanges(&mut socket(address).await.unwrap()).await);
    };

    let crashes = b"#!/bin/sh\necho it crashes >&2\nexit 7\n";
    let hangs = b"#!/bin/sh\necho it hangs >&2\nexec sleep 3\n";
    let late = b"#!/bin/sh\nsleep 1\necho it ends late >&2\nexit 1\n";
    for (text, wanted) in [
        (&crashes[..], "it crashes"),
        (hangs, "it hangs"),
        (late, "it ends late"),
        (b"\x7fELF, so to say", "not found"),
    ] {
        program.put(text);
        signal(old.0.id(), Signal::SIGUSR2);
        until(wanted, async || told(wanted)).await;
        serves_on(&mut open).await;
    }

    // The right program, and a state folder that it cannot read.
    program.put_ours();
    let snapshot = root.join("edge/snapshot.json");
    let good = std::fs::read(&snapshot).unwrap();
    std::fs::write(&snapshot, "{").unwrap();
    signal(old.0.id(), Signal::SIGUSR2);
    until("the refusal", async || told("another snapshot than the state folder holds")).await;
    serves_on(&mut open).await;

    std::fs::write(&snapshot, good).unwrap();
    signal(old.0.id(), Signal::SIGUSR2);
    let newest = until("the next edge", async || control.status().await.ok().filter(|now| now.pid != old.0.id())).await;
    assert!(exchanges(&mut open).await, "what was open goes on at the old one");
    assert!(exchanges(&mut socket(address).await.unwrap()).await);
    signal(newest.pid, Signal::SIGTERM);
}

#[tokio::test]
async fn a_successor_that_dies_while_the_old_edge_still_finishes_is_replaced_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let mut supervise = mainstay(root, &["supervise"]);
    supervise.env("DOCKER_HOST", "unix:///nowhere/docker.sock").stderr(Stdio::null());
    let supervisor = Running(supervise.spawn().unwrap());
    let control = edge::Control::new(root.join("run/edge.sock"));
    let first = until("the edge", async || control.status().await.ok()).await;
    let address = served(&control, sockets().await).await;
    let mut open = socket(address).await.unwrap();
    let said = mainstay(root, &["upgrade"]).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let second = control.status().await.unwrap();
    assert_ne!(second.pid, first.pid);
    assert!(exchanges(&mut open).await);

    signal(second.pid, Signal::SIGKILL);
    let third = until("another edge", async || control.status().await.ok().filter(|now| now.pid != second.pid)).await;
    assert_ne!(third.pid, first.pid);
    // The listener has no fixed port, so another edge has picked another one.
    let address = third.listeners[0].bind;
    assert!(exchanges(&mut until("traffic", async || socket(address).await).await).await);
    assert!(exchanges(&mut open).await, "the first one still finishes what it had begun");

    signal(supervisor.0.id(), Signal::SIGTERM);
    let stopped = mainstay(root, &["stop"]).output().unwrap();
    assert!(stopped.status.success(), "{}", String::from_utf8_lossy(&stopped.stderr));
    drop(open);
}
