//! Process groups: a program and whatever it started, ended together.

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Ends the group when dropped, unless it was disarmed because its leader is known to be gone.
#[derive(Debug)]
pub(super) struct Group {
    leader: Option<Pid>,
}

impl Group {
    /// The group of a child that was started with `process_group(0)`: its number is the child's own.
    pub(super) fn of(pid: Option<u32>) -> Self {
        let leader = pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 1).map(Pid::from_raw);
        Self { leader }
    }

    pub(super) fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            // A group that is gone already needs no signal.
            let _ = killpg(leader, signal);
        }
    }

    pub(super) fn disarm(&mut self) {
        self.leader = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// Whether a process of this number is there and not just waiting to be collected by its parent.
pub fn pid_alive(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        // The state is the first word after the name, and the name, in brackets, may hold anything.
        Ok(stat) => stat
            .rsplit_once(')')
            .is_some_and(|(_, rest)| !matches!(rest.trim_start().as_bytes().first(), Some(b'Z' | b'X'))),
        Err(_) => false,
    }
}
