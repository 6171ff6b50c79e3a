//! The bench platform: its folder, its state, and the release binary that operates it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::wait::wait_for;
use super::{Options, http, images};
use crate::error::TaskError;
use crate::{Outcome, house, run};

pub(crate) const PROJECT: &str = "mainstay-bench";
pub(crate) const SERVICE: &str = "app";

pub(crate) struct Lab {
    pub(crate) quick: bool,
    pub(crate) k6: PathBuf,
    pub(crate) testapp: PathBuf,
    mainstay: PathBuf,
    port: u16,
    /// Platform folder, state folder and logs; the same every time.
    folder: PathBuf,
    up: bool,
}

impl Lab {
    pub(crate) fn open(options: &Options) -> Outcome<Lab> {
        let missing = |what: &str| TaskError::Refused(format!("no {what} given: call this through ./x bench"));
        let mut lab = Lab {
            quick: options.quick,
            k6: options.k6.clone(),
            testapp: options.testapp.clone().ok_or_else(|| missing("--testapp"))?,
            mainstay: options.mainstay.clone().ok_or_else(|| missing("--mainstay"))?,
            port: options.port,
            folder: std::env::temp_dir().join(PROJECT),
            up: false,
        };
        lab.clear()?;
        images::build_all(&lab)?;
        Ok(lab)
    }

    /// An earlier run that was interrupted has left its platform behind, under the same folder.
    fn clear(&mut self) -> Outcome {
        if !self.folder.exists() {
            return Ok(());
        }
        self.up = self.path("platform").exists();
        self.take_down()?;
        fs::remove_dir_all(&self.folder).map_err(|source| TaskError::Write { path: self.folder.clone(), source })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// A file or folder of this run.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// `mainstay` with its words, against the bench platform.
    pub(crate) fn mainstay(&self, words: &[&str]) -> Command {
        self.mainstay_in(&self.path("platform"), words)
    }

    pub(crate) fn mainstay_in(&self, platform: &Path, words: &[&str]) -> Command {
        let mut command = run::program(&self.mainstay);
        command.arg("--root").arg(self.path("state")).arg("-C").arg(platform).args(words);
        command
    }

    pub(crate) fn deploy(&self, release: &str) -> Command {
        self.mainstay(&["deploy", SERVICE, "--image", &images::name(release), "--yes"])
    }

    /// Brings the platform up on its first release, once.
    pub(crate) fn bring_up(&mut self) -> Outcome {
        if self.up {
            return Ok(());
        }
        let platform = self.path("platform");
        copy_platform(&platform, &[("@PORT@", &self.port.to_string())])?;
        self.up = true;
        run::output(&mut self.mainstay(&["up", "--yes"]))?;
        self.wait_for_release("one")?;
        Ok(())
    }

    /// Deploys a release and expects it to go well.
    pub(crate) fn deploy_well(&self, release: &str) -> Outcome<Duration> {
        let began = Instant::now();
        run::output(&mut self.deploy(release))?;
        Ok(began.elapsed())
    }

    /// Waits until the edge answers with the release's own text.
    pub(crate) fn wait_for_release(&self, release: &str) -> Outcome {
        wait_for_release(self.address(), release)
    }

    /// Starts a command and returns how long it took until traffic was on the release.
    pub(crate) fn time_to_traffic(&self, command: &mut Command, release: &str) -> Outcome<Duration> {
        time_to_traffic(command, self.address(), release, &self.path("command.log"))
    }

    /// The process of the bench platform that runs this verb, if there is one.
    pub(crate) fn process(&self, verb: &str) -> Outcome<Option<u32>> {
        let state = self.path("state").to_string_lossy().into_owned();
        let proc = Path::new("/proc");
        let entries = fs::read_dir(proc).map_err(|source| TaskError::Read { path: proc.into(), source })?;
        for entry in entries.flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
                continue;
            };
            let words = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            let words: Vec<&str> = words.split('\0').collect();
            let ours = words.first().is_some_and(|first| first.ends_with("mainstay"));
            if ours && words.contains(&verb) && words.iter().any(|word| word.contains(&state)) {
                return Ok(Some(pid));
            }
        }
        Ok(None)
    }

    pub(crate) fn close(mut self) -> Outcome {
        self.take_down()?;
        fs::remove_dir_all(&self.folder).map_err(|source| TaskError::Write { path: self.folder.clone(), source })
    }

    fn take_down(&mut self) -> Outcome {
        if !std::mem::take(&mut self.up) {
            return Ok(());
        }
        // The processes go even where the platform cannot be taken away.
        let down = run::output(&mut self.mainstay(&["down", "--yes"]));
        run::output(&mut self.mainstay(&["stop"]))?;
        down.map(drop)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Err(error) = self.take_down() {
            eprintln!("xtask: the bench platform was left behind: {}", crate::error::chain(&error));
        }
    }
}

/// Copies the compose file and the platform file of the bench platform, with words replaced.
pub(crate) fn copy_platform(to: &Path, words: &[(&str, &str)]) -> Outcome {
    let from = house::root().join("bench/platform");
    for name in ["compose.yaml", "mainstay.yaml"] {
        let path = from.join(name);
        let mut text = fs::read_to_string(&path).map_err(|source| TaskError::Read { path, source })?;
        for (word, value) in words {
            text = text.replace(word, value);
        }
        write(&to.join(name), &text)?;
    }
    Ok(())
}

pub(crate) fn write(path: &Path, text: &str) -> Outcome {
    crate::docs::keep(path, text, false)
}

pub(crate) fn wait_for_release(address: SocketAddr, release: &str) -> Outcome {
    let wanted = images::body(release);
    wait_for(Duration::from_secs(30), Duration::from_millis(2), || match http::get(address, "/") {
        Ok((200, body)) if body == wanted => Ok(()),
        Ok((status, body)) => Err(format!("{address} answers {status}: {body}")),
        Err(error) => Err(format!("{address}: {error}")),
    })
}

/// Looks every two milliseconds, on a new connection each time, while the command runs.
pub(crate) fn time_to_traffic(
    command: &mut Command,
    address: SocketAddr,
    release: &str,
    log: &Path,
) -> Outcome<Duration> {
    let began = Instant::now();
    let mut child = run::start(command, log)?;
    let seen = wait_for_release(address, release).map(|()| began.elapsed());
    let ended = child.wait().map_err(|source| TaskError::Read { path: log.into(), source })?;
    if !ended.success() {
        let tail = fs::read_to_string(log).unwrap_or_default();
        return Err(TaskError::Command { command: format!("{command:?}"), status: ended.to_string(), tail });
    }
    seen
}
