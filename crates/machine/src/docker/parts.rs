//! What containers and networks are made of, as the engine shows it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Something of the host, or of the engine, that is seen inside a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPoint {
    #[serde(default)]
    pub kind: MountKind,
    /// A volume's real name; `None` for all else.
    #[serde(default)]
    pub name: Option<String>,
    /// The path on the host: for a volume the folder of its data, which a listing may leave empty.
    #[serde(default)]
    pub source: String,
    #[serde(default)]
    pub target: String,
    #[serde(default)]
    pub writable: bool,
    /// A volume's driver.
    #[serde(default)]
    pub driver: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountKind {
    Bind,
    Volume,
    /// In memory: gone with the container's end.
    Tmpfs,
    #[default]
    Other,
}

/// A port of a container that the host answers on.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PublishedPort {
    /// Empty: every address of the host.
    #[serde(default)]
    pub host_ip: String,
    /// 0: the engine picks one at the start.
    #[serde(default)]
    pub host_port: u16,
    pub container_port: u16,
    /// `tcp`, `udp` or `sctp`.
    #[serde(default)]
    pub protocol: String,
}

/// A container on a network, as the network tells it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NetworkMember {
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub address: Option<IpAddr>,
}
