//! Docker itself is killed in mid-deploy and comes back: an engine of this test's own, beside the machine's.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::super::load::Load;
use super::super::place::{Place, Ran, image, wait, web};
use super::row::{Became, Row, stride};
use super::{LIMIT, bring_up, other};

/// Longer than all the pauses between the attempts at one step.
const LONG: Duration = Duration::from_secs(14);

/// The second engine's bridge, made by the machine's own: with none at all, an engine that starts takes away
/// `docker0`, which is the other's.
const BRIDGE: &str = "mainstay-eng0";
const BRIDGE_NETWORK: &str = "mainstay-test-engine";

fn make_bridge() {
    let named = format!("com.docker.network.bridge.name={BRIDGE}");
    let words = ["network", "create", "--opt", &named, "--subnet", "10.214.0.0/24", BRIDGE_NETWORK];
    let made = Command::new("docker").args(words).output().unwrap();
    let said = String::from_utf8_lossy(&made.stderr);
    // One that a killed run has left is as good.
    assert!(made.status.success() || said.contains("already exists"), "{said}");
}

/// A second Docker. Its containers outlive its death, as a server's should (`live-restore`).
struct Engine {
    dir: tempfile::TempDir,
    process: Child,
}

impl Engine {
    fn start() -> Engine {
        make_bridge();
        let dir = tempfile::tempdir().unwrap();
        let process = Engine::run(dir.path());
        let engine = Engine { dir, process };
        engine.answers();
        engine
    }

    fn run(dir: &std::path::Path) -> Child {
        let at = |name: &str| dir.join(name).display().to_string();
        let log = std::fs::File::options().create(true).append(true).open(dir.join("log")).unwrap();
        let socket = format!("unix://{}", at("sock"));
        Command::new("dockerd")
            .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid"), "--host", &socket])
            .args(["--bridge", BRIDGE, "--iptables=false", "--live-restore"])
            // Networks of its own, beside those of the machine's engine.
            .args(["--default-address-pool", "base=10.213.0.0/16,size=24"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("dockerd: {error}; this test needs it, and the rights of root"))
    }

    fn host(&self) -> String {
        format!("unix://{}", self.dir.path().join("sock").display())
    }

    fn docker(&self) -> Command {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", self.host());
        command
    }

    fn answers(&self) {
        wait("the engine to answer", LIMIT, || match self.docker().arg("version").output().unwrap() {
            output if output.status.success() => Ok(()),
            output => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        });
    }

    fn load(&self, images: &[String]) {
        let mut save = Command::new("docker").arg("save").args(images).stdout(Stdio::piped()).spawn().unwrap();
        let loaded = self.docker().arg("load").stdin(save.stdout.take().unwrap()).output().unwrap();
        assert!(loaded.status.success() && save.wait().unwrap().success(), "{loaded:?}");
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        // Its containerd, which on a server is a service of its own, must not hang between two lives.
        let file = self.dir.path().join("exec/containerd/containerd.pid");
        if let Some(pid) = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse::<i32>().ok()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        let _ = std::fs::remove_file(file);
    }

    fn come_back(&mut self) {
        self.process = Engine::run(self.dir.path());
        self.answers();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(20).collect();
            eprintln!("--- dockerd, newest first\n{}", last.join("\n"));
        }
        let sweep = "docker ps -aq | xargs -r docker rm -f; docker network prune -f";
        let _ = Command::new("sh").args(["-c", sweep]).env("DOCKER_HOST", self.host()).output();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.process.id()).unwrap_or_default());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.process.wait();
        let _ = Command::new("docker").args(["network", "rm", BRIDGE_NETWORK]).output();
        // It leaves its containerd behind when it was killed before.
        let file = self.dir.path().join("exec/containerd/containerd.pid");
        if let Some(pid) = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse::<i32>().ok()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
        }
        end_forgotten(self.dir.path());
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        let own = self.dir.path().display().to_string();
        for mount in mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|path| path.starts_with(&own)) {
            let _ = Command::new("umount").args(["--lazy", mount]).output();
        }
    }
}

/// An engine that is killed while it makes a container knows nothing of it afterwards, and nobody would ever end it.
fn end_forgotten(dir: &std::path::Path) {
    let dir = dir.display().to_string();
    let read = |pid: &str, what: &str| std::fs::read_to_string(format!("/proc/{pid}/{what}")).unwrap_or_default();
    let all = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let processes: Vec<String> = all.filter(|name| name.parse::<i32>().is_ok()).collect();
    let is_shim =
        |pid: &&String| read(pid, "cmdline").contains("containerd-shim") && read(pid, "cmdline").contains(&dir);
    for shim in processes.iter().filter(is_shim) {
        let parent = |pid: &str| Some(read(pid, "stat").rsplit_once(')')?.1.split_whitespace().nth(1)?.to_owned());
        let children = processes.iter().filter(|pid| parent(pid).as_ref() == Some(shim));
        for pid in children.chain([shim]) {
            let pid = nix::unistd::Pid::from_raw(pid.parse().unwrap());
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
    }
}

#[test]
fn real_a_deploy_is_finished_or_undone_when_docker_is_killed_in_the_middle_of_it_and_comes_back() {
    let mut engine = Engine::start();
    let images = [image("one", &[]), image("two", &[])];
    engine.load(&images);
    {
        let mut place = Place::new("crashdocker");
        place.engine = Some(engine.host());
        place.compose(&web(&images[0], ""));
        place.platform("5m", "");
        bring_up(&mut place);
        let mut row = Row::new("Docker in mid-deploy, and its return");
        let load = Load::start(place.port);
        let count = if stride(4) == 1 { 16 } else { 4 };
        for number in 0..count {
            let moment = Duration::from_millis(50 + 1_800 / count * number);
            let next = other(&place, &images).clone();
            let command = place.begin(&["deploy", "web", "--image", &next, "--yes"]);
            std::thread::sleep(moment);
            engine.kill();
            if number == count / 2 {
                std::thread::sleep(LONG);
            }
            engine.come_back();
            let ran = Ran::of(command.wait_with_output().unwrap());
            assert!([0, 1, 3].contains(&ran.code), "killed after {moment:?}: {ran:#?}");
            let became = if place.service("web")["image"] == next.as_str() { Became::Finished } else { Became::Undone };
            assert_eq!(ran.code == 0, became == Became::Finished, "killed after {moment:?}: {ran:#?}");
            row.hit(&place, &format!("after {moment:?}"), became);
        }
        let seen = load.end();
        assert!(seen.failures().is_empty(), "{:?}", seen.failures());
        row.asked(&seen);
        row.end(4);
    }
}
