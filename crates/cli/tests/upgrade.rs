//! The binary replaces its own running edge.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and starts the binary as a person would"
)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

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
