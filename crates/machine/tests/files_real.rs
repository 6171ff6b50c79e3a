//! Files where the operating system has a say: other processes, and a disk that is full.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use machine::files::{FilesError, Loaded, Lock, Root};
use machine::process::{Child, ChildOutput, Command, Processes, SystemProcesses};
use testkit::{temp_root, wait_for};

const SOON: Duration = Duration::from_secs(20);

async fn run(command: Command) -> i32 {
    SystemProcesses.run(&command.timeout(SOON)).await.unwrap().status
}

#[tokio::test]
async fn a_lock_is_held_against_other_processes_and_freed_by_their_death() {
    let (_dir, root) = temp_root();
    let path = root.join("deploy.lock").unwrap().display().to_string();
    let ready = root.join("ready").unwrap();
    let words = ["--no-fork", &path, "sh", "-c", "touch \"$0\"; exec sleep 600", &ready.display().to_string()];
    let mut other = Child::start(&Command::new("flock").args(words), ChildOutput::Null).unwrap();
    wait_for("the other process to take the lock", SOON, || async {
        if ready.exists() { Ok(()) } else { Err("not taken yet".to_owned()) }
    })
    .await;
    assert!(matches!(root.lock("deploy.lock").unwrap(), Lock::Held { pid: None }));
    // Killed without a chance to clean up, as in a crash.
    other.kill().await.unwrap();
    let Lock::Acquired(guard) = root.lock("deploy.lock").unwrap() else { panic!("the dead still hold the lock") };
    let attempt = || Command::new("flock").args(["--nonblock", &path, "true"]);
    assert_eq!(run(attempt()).await, 1, "another process got a lock that we hold");
    drop(guard);
    assert_eq!(run(attempt()).await, 0);
}

/// A disk of 256 KB, unmounted when dropped.
struct SmallDisk {
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl SmallDisk {
    async fn mount() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(path.to_string_lossy());
        let output = SystemProcesses.run(&mount).await.unwrap();
        output.ok(&mount).expect("this test mounts a small disk: run it as root, in a container with CAP_SYS_ADMIN");
        Self { path, _dir: dir }
    }

    fn fill(path: &Path) {
        use std::io::Write;
        let mut file = std::fs::File::create(path).unwrap();
        while file.write_all(&[b'x'; 1024]).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let path = self.path.clone();
        let unmount = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let words = Command::new("umount").args(["--lazy"]).arg(path.to_string_lossy());
            let _ = runtime.block_on(SystemProcesses.run(&words));
        });
        let _ = unmount.join();
    }
}

#[tokio::test]
async fn a_full_disk_leaves_the_old_content_and_says_that_it_is_full() {
    let disk = SmallDisk::mount().await;
    let root = Root::open(&disk.path).unwrap();
    root.save_json("state.json", &"old", 0o600).unwrap();
    SmallDisk::fill(&disk.path.join("filler"));
    let error = root.save_json("state.json", &"x".repeat(8192), 0o600).unwrap_err();
    assert!(error.is_full() && matches!(error, FilesError::Io { .. }), "{error:?}");
    assert_eq!(root.load_json::<String>("state.json").unwrap(), Loaded::Current("old".to_owned()));
    assert_eq!(root.list(".").unwrap(), ["filler", "state.json"], "a temporary file was left behind");
    std::fs::remove_file(disk.path.join("filler")).unwrap();
    root.save_json("state.json", &"new", 0o600).unwrap();
    assert_eq!(root.load_json::<String>("state.json").unwrap(), Loaded::Current("new".to_owned()));
}

#[tokio::test]
async fn free_space_shrinks_with_what_is_written() {
    let disk = SmallDisk::mount().await;
    let root = Root::open(&disk.path).unwrap();
    let before = root.free_space().unwrap();
    root.write_atomic("x", &[0; 65_536], 0o600).unwrap();
    let after = root.free_space().unwrap();
    assert!(before <= 256 << 10 && after + 65_536 <= before, "{before} then {after}");
}

#[tokio::test]
async fn where_second_names_are_forbidden_the_previous_generation_is_a_copy() {
    let (_dir, root) = temp_root();
    root.write_atomic("state", b"one", 0o640).unwrap();
    let path = root.join("state").unwrap().display().to_string();
    // An immutable file can neither be linked nor replaced: the error must be about the last of the two.
    if run(Command::new("chattr").args(["+i", &path])).await != 0 {
        panic!("this test needs a temporary folder with file attributes (ext4, xfs, btrfs) and CAP_LINUX_IMMUTABLE");
    }
    let error = root.write_atomic("state", b"two", 0o640).unwrap_err().to_string();
    assert_eq!(run(Command::new("chattr").args(["-i", &path])).await, 0);
    assert!(error.starts_with("could not put in place"), "{error}");
    assert_eq!(root.read("state").unwrap().unwrap(), b"one");
    assert_eq!(root.read("state.prev").unwrap().unwrap(), b"one");
}
