//! How much of the machine we may use, when somebody put us in a box: cgroup version 2, then version 1.

use std::path::{Path, PathBuf};

/// `None` means no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Limits {
    pub(super) cpus: Option<f64>,
    pub(super) memory: Option<u64>,
    pub(super) memory_used: Option<u64>,
}

/// The limits of our own cgroup and of those above it that we can see.
pub(super) fn limits() -> Limits {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    limits_under(Path::new("/sys/fs/cgroup"), &own)
}

/// `own` is the text of `/proc/self/cgroup`.
pub(super) fn limits_under(mount: &Path, own: &str) -> Limits {
    if mount.join("cgroup.controllers").exists() {
        let folders = upwards(mount, path_of(own, "").unwrap_or("/"));
        Limits {
            cpus: smallest(folders.iter().filter_map(|dir| cpu_max(&text(dir, "cpu.max")?))),
            memory: folders.iter().filter_map(|dir| number(dir, "memory.max")).min(),
            memory_used: folders.first().and_then(|dir| number(dir, "memory.current")),
        }
    } else {
        let cpu = upwards(&mount.join("cpu"), path_of(own, "cpu").unwrap_or("/"));
        let memory = upwards(&mount.join("memory"), path_of(own, "memory").unwrap_or("/"));
        Limits {
            cpus: smallest(cpu.iter().filter_map(|dir| quota(dir))),
            // "No limit" is written as a number near the largest there is.
            memory: memory.iter().filter_map(|dir| number(dir, "memory.limit_in_bytes")).filter(|n| *n < 1 << 60).min(),
            memory_used: memory.first().and_then(|dir| number(dir, "memory.usage_in_bytes")),
        }
    }
}

/// Inside a container the path of our cgroup may not exist under the mount: then the mount itself is ours.
fn upwards(mount: &Path, path: &str) -> Vec<PathBuf> {
    let own = mount.join(path.trim_start_matches('/'));
    own.ancestors().take_while(|dir| dir.starts_with(mount)).filter(|dir| dir.is_dir()).map(Path::to_owned).collect()
}

/// The path of a controller; version 2 has one line with an empty controller.
fn path_of<'a>(own: &'a str, controller: &str) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let names = fields.next()?;
        let path = fields.next()?;
        names.split(',').any(|name| name == controller).then_some(path)
    })
}

fn cpu_max(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
}

fn quota(dir: &Path) -> Option<f64> {
    let quota: f64 = text(dir, "cpu.cfs_quota_us")?.trim().parse().ok()?;
    let period: f64 = text(dir, "cpu.cfs_period_us")?.trim().parse().ok()?;
    (quota > 0.0 && period > 0.0).then_some(quota / period)
}

fn number(dir: &Path, file: &str) -> Option<u64> {
    text(dir, file)?.trim().parse().ok()
}

fn text(dir: &Path, file: &str) -> Option<String> {
    std::fs::read_to_string(dir.join(file)).ok()
}

fn smallest(values: impl Iterator<Item = f64>) -> Option<f64> {
    values.reduce(f64::min)
}
