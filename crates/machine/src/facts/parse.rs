//! Reading what the kernel and the tools write.

use crate::docker::Version;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) total: u64,
    pub(super) available: u64,
}

/// `/proc/meminfo`, in bytes.
pub(super) fn meminfo(text: &str) -> Memory {
    let kilobytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    Memory { total: kilobytes("MemTotal") * 1024, available: kilobytes("MemAvailable") * 1024 }
}

/// When a process started, from its `/proc/…/stat`, in ticks since the boot. Its name may have anything in it.
pub(super) fn start_of(stat: &str) -> Option<&str> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)
}

/// The pretty name of `/etc/os-release`.
pub(super) fn os_name(text: &str) -> String {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.map(|value| value.trim_matches(['"', '\'']).to_owned())
    };
    value("PRETTY_NAME").or_else(|| value("NAME")).unwrap_or_else(|| "unknown".to_owned())
}

/// The server half of `docker version --format json`; the client alone prints `null`.
pub(super) fn docker_version(json: &[u8]) -> Option<Version> {
    let server: serde_json::Value = serde_json::from_slice(json).ok()?;
    let field = |name: &str| server.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    Some(Version { engine: field("Version")?, api: field("ApiVersion").or_else(|| field("APIVersion"))? })
}
