//! Where things lie under the state folder.

use std::path::{Path, PathBuf};

/// The state folder of a normal installation.
pub const DEFAULT_ROOT: &str = "/var/lib/mainstay";

#[derive(Debug, Clone)]
pub struct Layout {
    pub root: PathBuf,
}

impl Layout {
    pub fn new(root: &Path) -> Layout {
        Layout { root: root.to_owned() }
    }

    pub fn agent_socket(&self) -> PathBuf {
        self.root.join("run/agent.sock")
    }

    pub fn edge_socket(&self) -> PathBuf {
        self.root.join("run/edge.sock")
    }

    /// Where the edge asks the agent for sockets in other network namespaces.
    pub fn lend_socket(&self) -> PathBuf {
        self.root.join("run/lend.sock")
    }

    pub fn edge_state(&self) -> PathBuf {
        self.root.join("edge")
    }

    pub fn ledger(&self) -> PathBuf {
        self.root.join("ledger.db")
    }

    /// Whether there has ever been an agent here, whatever has become of its ledger since.
    pub fn is_in_use(&self) -> bool {
        self.ledger().exists() || self.root.join("kept").exists()
    }

    /// The program that units start: a place that stays, whatever becomes of the one that was called.
    pub fn program(&self) -> PathBuf {
        self.root.join("bin/mainstay")
    }

    /// The unit of a process. Another state folder than the usual one has units of its own.
    pub fn unit(&self, process: &str) -> String {
        match self.root == Path::new(DEFAULT_ROOT) {
            true => format!("mainstay-{process}"),
            false => format!("mainstay-{process}-{}", machine::systemd::escaped(&self.root)),
        }
    }

    pub fn log(&self, process: &str) -> PathBuf {
        self.root.join(format!("log/{process}.log"))
    }
}

/// Lock files, relative to the root: whoever holds one is that process.
pub const AGENT_LOCK: &str = "run/agent.lock";
pub const EDGE_LOCK: &str = "run/edge.lock";
pub const SUPERVISOR_LOCK: &str = "run/supervisor.lock";
