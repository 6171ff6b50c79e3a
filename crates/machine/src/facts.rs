//! What this machine is: read once at a start, shown by `doctor`, used to size a platform.

mod cgroup;
mod parse;

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::compose;
use crate::docker::Version;
use crate::process::{Command, Processes};
use crate::{files::FilesError, systemd};

/// A tool that does not answer a question about itself in this time is as good as absent.
const PATIENCE: Duration = Duration::from_secs(10);

/// Facts about the host, or about the container that we are in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Host {
    pub hostname: String,
    /// As the distribution calls itself: "Debian GNU/Linux 12 (bookworm)".
    pub os: String,
    pub kernel: String,
    /// Processors we may use: a cgroup limit counts, so this may be a fraction.
    pub cpus: f64,
    /// Bytes we may use: a cgroup limit counts.
    pub memory: u64,
    /// Bytes that could be used now without swapping.
    pub memory_free: u64,
    /// Bytes of the disk that the given path is on.
    pub disk_total: u64,
    pub disk_free: u64,
    /// Changes with every boot: tells a living process id from a recycled one.
    pub boot_id: String,
    /// systemd is process 1.
    pub systemd: bool,
    /// `None` when no engine answers.
    pub docker: Option<Version>,
    /// `None` when the Compose plugin is not installed.
    pub compose: Option<String>,
}

/// Whether one of these device files is there.
pub fn has_device(paths: &[&str]) -> bool {
    paths.iter().any(|path| Path::new(path).exists())
}

/// Looks at this machine, and at the disk that `path` is on.
pub async fn collect(processes: &dyn Processes, path: &Path) -> Result<Host, FilesError> {
    let memory = parse::meminfo(&read("/proc/meminfo")?);
    let limits = cgroup::limits();
    let total = limits.memory.map_or(memory.total, |limit| limit.min(memory.total));
    let disk = nix::sys::statvfs::statvfs(path).map_err(|errno| FilesError::Io {
        operation: "measure the disk of",
        path: path.to_owned(),
        source: errno.into(),
    })?;
    let cpus = std::thread::available_parallelism().map_or(1.0, |count| count.get() as f64);
    Ok(Host {
        hostname: read("/proc/sys/kernel/hostname")?.trim().to_owned(),
        os: parse::os_name(&std::fs::read_to_string("/etc/os-release").unwrap_or_default()),
        kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        cpus: limits.cpus.map_or(cpus, |limit| limit.min(cpus)),
        memory: total,
        memory_free: memory.available.min(total.saturating_sub(limits.memory_used.unwrap_or(0))),
        disk_total: disk.blocks().saturating_mul(disk.fragment_size()),
        disk_free: disk.blocks_available().saturating_mul(disk.fragment_size()),
        boot_id: read("/proc/sys/kernel/random/boot_id")?.trim().to_owned(),
        systemd: systemd::detect(),
        docker: docker_version(processes).await,
        compose: compose_version(processes).await,
    })
}

/// Who this machine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub hostname: String,
    /// `None` where no `/etc/machine-id` is written.
    pub machine_id: Option<String>,
}

impl Identity {
    /// Whether a person means this machine by this word: its host name, with or without its domain, or its machine id.
    pub fn is(&self, word: &str) -> bool {
        let bare = |name: &str| name.split('.').next().unwrap_or_default().to_lowercase();
        let by_name = match word.contains('.') {
            true => word.eq_ignore_ascii_case(&self.hostname),
            false => bare(word) == bare(&self.hostname),
        };
        by_name || self.machine_id.as_deref() == Some(word)
    }
}

/// Asks nobody but the kernel and one file, so it may be asked often.
pub fn identity() -> Identity {
    let hostname = read("/proc/sys/kernel/hostname").unwrap_or_default();
    let machine_id = read("/etc/machine-id").ok().map(|id| id.trim().to_owned()).filter(|id| !id.is_empty());
    Identity { hostname: hostname.trim().to_owned(), machine_id }
}

/// Tells one life of this machine from another. A machine that is a container of another keeps that one's boot, so the
/// start of its first process counts as well.
pub fn life() -> String {
    let boot = read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let first = read("/proc/1/stat").unwrap_or_default();
    format!("{}/{}", boot.trim(), parse::start_of(&first).unwrap_or_default())
}

/// Which part of the machine's memory is free for new work, from 0 to 1; `None` when it cannot be told.
pub fn memory_free_share() -> Option<f64> {
    let memory = parse::meminfo(&read("/proc/meminfo").ok()?);
    (memory.total > 0).then(|| memory.available as f64 / memory.total as f64)
}

async fn docker_version(processes: &dyn Processes) -> Option<Version> {
    let ask = Command::new("docker").args(["version", "--format", "{{json .Server}}"]).timeout(PATIENCE);
    let answer = processes.run(&ask).await.ok()?.ok(&ask).ok()?;
    parse::docker_version(&answer.stdout)
}

async fn compose_version(processes: &dyn Processes) -> Option<String> {
    let ask = compose::version().timeout(PATIENCE);
    let answer = processes.run(&ask).await.ok()?.ok(&ask).ok()?;
    let text = answer.text().trim().trim_start_matches('v').to_owned();
    (!text.is_empty()).then_some(text)
}

fn read(path: &str) -> Result<String, FilesError> {
    std::fs::read_to_string(path).map_err(|source| FilesError::Io { operation: "read", path: path.into(), source })
}

#[cfg(test)]
mod tests;
