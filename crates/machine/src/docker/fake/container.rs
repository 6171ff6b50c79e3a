//! One container of the fake: its state machine.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::behaviour::{Behaviour, HealthScript};
use crate::docker::{
    Attachment, Container, ContainerDetail, ContainerSpec, Environment, Health, HealthCheck, LogLine, MountPoint,
    Probe, PublishedPort, Restart, State,
};

/// A restart waits first this long, then twice as long each time, as Docker does.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub(super) struct FakeContainer {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) spec: ContainerSpec,
    pub(super) image_id: String,
    pub(super) behaviour: Behaviour,
    pub(super) state: State,
    /// When (monotonic) the state began.
    pub(super) since: Duration,
    pub(super) created_ms: i64,
    pub(super) started_ms: Option<i64>,
    pub(super) finished_ms: Option<i64>,
    pub(super) exit_code: Option<i64>,
    pub(super) oom_killed: bool,
    pub(super) restart_count: u64,
    pub(super) error: Option<String>,
    pub(super) inspections: u32,
    pub(super) told_health: Option<Health>,
    pub(super) forced_health: Option<Health>,
    /// Network name to address (while it runs) and aliases.
    pub(super) networks: BTreeMap<String, Attachment>,
    /// By where they appear inside.
    pub(super) mounts: Vec<MountPoint>,
    pub(super) log: Vec<LogLine>,
    pub(super) pid: u32,
}

/// What time did to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Ended { at: Duration, code: i64, oom: bool },
    Restarted { at: Duration },
}

impl FakeContainer {
    /// The next thing that has happened by `now`, if any.
    pub(super) fn next_turn(&self, now: Duration) -> Option<Turn> {
        match self.state {
            State::Running => {
                let (after, code, oom) = self.behaviour.own_end()?;
                let at = self.since + after;
                (at <= now).then_some(Turn::Ended { at, code, oom })
            }
            State::Restarting => {
                let at = self.since + self.backoff();
                (at <= now).then_some(Turn::Restarted { at })
            }
            _ => None,
        }
    }

    fn backoff(&self) -> Duration {
        let doubled =
            FIRST_BACKOFF.saturating_mul(2_u32.saturating_pow(u32::try_from(self.restart_count).unwrap_or(31)));
        doubled.min(LONGEST_BACKOFF)
    }

    /// Whether the engine starts it again after an end of its own.
    pub(super) fn restarts_after(&self, code: i64) -> bool {
        match self.spec.restart {
            Restart::No => false,
            Restart::OnFailure(times) => code != 0 && (times == 0 || self.restart_count < u64::from(times)),
            Restart::Always | Restart::UnlessStopped => true,
        }
    }

    /// Its health now. `None` without a health check or when it does not run.
    pub(super) fn health(&self) -> Option<Health> {
        if !self.state.is_up() {
            return None;
        }
        let script = self.behaviour.health.or(self.spec.health.as_ref().map(|_| HealthScript::AfterInspections(1)))?;
        if self.forced_health.is_some() {
            return self.forced_health;
        }
        Some(match script {
            HealthScript::AfterInspections(wanted) if self.inspections > wanted => Health::Healthy,
            HealthScript::Never if self.inspections > 3 => Health::Unhealthy,
            _ => Health::Starting,
        })
    }

    /// What it declares: a container's own words, or a name for what its image has as a script.
    fn health_check(&self) -> Option<HealthCheck> {
        let own = self.spec.health.as_ref();
        let words = own.map(|spec| spec.command.clone()).or(self.behaviour.health.map(|_| vec!["check".to_owned()]))?;
        let check = HealthCheck::new(std::iter::once("CMD".to_owned()).chain(words).collect())?;
        let timeout = own.map_or(check.timeout, |spec| spec.timeout);
        Some(HealthCheck { timeout, ..check })
    }

    /// How a run of its check ends now: as its script says.
    pub(super) fn probed(&self) -> Probe {
        match self.health() {
            Some(Health::Healthy) => Probe { exit_code: Some(0), output: "well".to_owned() },
            _ => Probe { exit_code: Some(1), output: "not well".to_owned() },
        }
    }

    pub(super) fn detail(&self) -> ContainerDetail {
        ContainerDetail {
            id: self.id.clone(),
            name: self.name.clone(),
            image: self.spec.image.clone(),
            image_id: self.image_id.clone(),
            labels: self.spec.labels.clone(),
            state: self.state,
            health: self.health(),
            health_check: self.health_check(),
            last_probe: None,
            exit_code: self.exit_code.filter(|_| !self.state.is_up()),
            oom_killed: self.oom_killed,
            restart_count: self.restart_count,
            restart: self.spec.restart,
            created_ms: self.created_ms,
            started_ms: self.started_ms,
            finished_ms: self.finished_ms,
            networks: self.networks.clone(),
            pid: self.state.is_up().then_some(self.pid),
            sandbox: self.state.is_up().then(|| format!("/fake/netns/{}", self.pid)),
            error: self.error.clone(),
            memory: self.spec.memory,
            nano_cpus: None,
            mounts: self.mounts.clone(),
            published: self.published(),
            network_mode: Some(self.spec.network.clone().unwrap_or_else(|| "default".to_owned())),
            stop_signal: self.spec.stop_signal.clone(),
            stop_timeout: self.spec.stop_timeout,
            command: self.spec.command.clone(),
            entrypoint: Vec::new(),
            env: Environment::new(self.spec.env.iter().map(|(name, value)| format!("{name}={value}"))),
        }
    }

    /// What it answers on while it runs, what it asks for otherwise.
    fn published(&self) -> Vec<PublishedPort> {
        let one = |port: &PublishedPort| PublishedPort {
            host_ip: match port.host_ip.as_str() {
                "" if self.state.is_up() => "0.0.0.0".to_owned(),
                other => other.to_owned(),
            },
            host_port: if port.host_port == 0 && self.state.is_up() { port.container_port } else { port.host_port },
            protocol: if port.protocol.is_empty() { "tcp".to_owned() } else { port.protocol.clone() },
            container_port: port.container_port,
        };
        let mut ports: Vec<PublishedPort> = self.spec.published.iter().map(one).collect();
        ports.sort();
        ports
    }

    pub(super) fn uses_volume(&self, name: &str) -> bool {
        self.mounts.iter().any(|mount| mount.name.as_deref() == Some(name))
    }

    pub(super) fn listed(&self) -> Container {
        let address = |(name, attachment): (&String, &Attachment)| Some((name.clone(), attachment.address?));
        Container {
            id: self.id.clone(),
            name: self.name.clone(),
            image: self.spec.image.clone(),
            image_id: self.image_id.clone(),
            labels: self.spec.labels.clone(),
            state: self.state,
            health: self.health(),
            created_ms: self.created_ms,
            addresses: self.networks.iter().filter_map(address).collect::<BTreeMap<String, IpAddr>>(),
            mounts: self.mounts.clone(),
            published: if self.state.is_up() { self.published() } else { Vec::new() },
        }
    }
}
