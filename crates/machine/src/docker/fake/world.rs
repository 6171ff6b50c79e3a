//! The state of the fake engine and what may happen to containers in it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;

use super::container::{FakeContainer, Turn};
use super::places::conflict;
use super::store::FakeImage;
use crate::clock::Clock;
use crate::docker::{
    AddressPool, Attachment, ContainerDetail, ContainerEvent, ContainerSpec, DockerError, DockerResult, Health,
    LogLine, Network, State, Stats, Volume,
};
use crate::process::Stream;

/// A container whose script restarts it for ever must not hold a test for ever.
const MOST_TURNS: usize = 1000;
/// How many events a real engine remembers.
const MOST_EVENTS: usize = 256;

/// No process of this machine has such a number, so nobody looks into one by mistake.
const NO_PROCESS: u32 = 4_000_000_000;

pub(super) const TERM: u32 = 15;
pub(super) const KILL: u32 = 9;

pub(super) struct World {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) containers: BTreeMap<String, FakeContainer>,
    pub(super) images: Vec<FakeImage>,
    pub(super) networks: BTreeMap<String, Network>,
    /// Of each network.
    pub(super) pools: BTreeMap<String, AddressPool>,
    /// The networks whose subnet was somebody's choice.
    pub(super) chosen: BTreeSet<String>,
    pub(super) volumes: BTreeMap<String, Volume>,
    /// Bytes in volumes, where a test says so.
    pub(super) sizes: BTreeMap<String, u64>,
    /// The newest last.
    pub(super) past: VecDeque<ContainerEvent>,
    pub(super) calls: Vec<String>,
    pub(super) refusals: Vec<(String, String)>,
    pub(super) reachable: bool,
    events: broadcast::Sender<ContainerEvent>,
    made: u16,
}

impl World {
    pub(super) fn new(clock: Arc<dyn Clock>, events: broadcast::Sender<ContainerEvent>) -> Self {
        let mut world = Self {
            clock,
            containers: BTreeMap::new(),
            images: Vec::new(),
            networks: BTreeMap::new(),
            pools: BTreeMap::new(),
            chosen: BTreeSet::new(),
            volumes: BTreeMap::new(),
            sizes: BTreeMap::new(),
            past: VecDeque::new(),
            calls: Vec::new(),
            refusals: Vec::new(),
            reachable: true,
            events,
            made: 0,
        };
        world.add_predefined_networks();
        world
    }

    pub(super) fn next_number(&mut self) -> u16 {
        self.made += 1;
        self.made
    }

    /// 64 hexadecimal digits, different from the first one on, the same in every run of a test.
    pub(super) fn new_id(&mut self) -> String {
        let number = u64::from(self.next_number());
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{mixed:016x}{number:048x}")
    }

    /// Lets everything happen that is due by now, in each container's own order.
    pub(super) fn settle(&mut self) {
        let now = self.clock.monotonic();
        let ids: Vec<String> = self.containers.keys().cloned().collect();
        for id in ids {
            for _ in 0..MOST_TURNS {
                let Some(turn) = self.containers.get(&id).and_then(|one| one.next_turn(now)) else { break };
                match turn {
                    Turn::Ended { at, code, oom } => self.end_at(&id, at, code, oom),
                    Turn::Restarted { at } => self.restarted(&id, at),
                }
            }
        }
    }

    pub(super) fn find(&self, id: &str) -> DockerResult<String> {
        let missing = || DockerError::NotFound(format!("container `{id}`"));
        if let Some(found) = self.containers.values().find(|one| one.id == id || one.name == id) {
            return Ok(found.id.clone());
        }
        let mut starts = self.containers.keys().filter(|key| !id.is_empty() && key.starts_with(id));
        match (starts.next(), starts.next()) {
            (Some(only), None) => Ok(only.clone()),
            _ => Err(missing()),
        }
    }

    pub(super) fn create(&mut self, spec: &ContainerSpec) -> DockerResult<String> {
        let image = self.find_image(&spec.image)?;
        let (image_id, behaviour) = (image.image.id.clone(), image.behaviour.clone());
        self.name_is_free("create", &spec.name)?;
        let mounts = self.mount(spec, &behaviour.volumes);
        let id = self.new_id();
        let network = spec.network.clone().unwrap_or_else(|| "bridge".to_owned());
        let attachment = Attachment { aliases: spec.aliases.clone(), ..Attachment::default() };
        let container = FakeContainer {
            id: id.clone(),
            name: spec.name.clone(),
            spec: spec.clone(),
            image_id,
            behaviour,
            state: State::Created,
            since: self.clock.monotonic(),
            created_ms: self.clock.now_ms(),
            started_ms: None,
            finished_ms: None,
            exit_code: None,
            oom_killed: false,
            restart_count: 0,
            error: None,
            inspections: 0,
            told_health: None,
            forced_health: None,
            networks: BTreeMap::from([(network, attachment)]),
            mounts,
            log: Vec::new(),
            pid: NO_PROCESS + u32::from(self.made),
        };
        self.containers.insert(id.clone(), container);
        self.calls.push(format!("create {}", spec.name));
        self.tell(&id, "create", None);
        Ok(id)
    }

    pub(super) fn name_is_free(&self, operation: &'static str, name: &str) -> DockerResult<()> {
        match self.containers.values().find(|one| one.name == name) {
            None => Ok(()),
            Some(owner) => {
                let message = format!("the name /{name} is already in use by container {}", owner.id);
                Err(conflict(operation, format!("container `{name}`"), message))
            }
        }
    }

    pub(super) fn start(&mut self, id: &str) -> DockerResult<()> {
        let Some(one) = self.containers.get(id) else { return Err(DockerError::NotFound(format!("container `{id}`"))) };
        if one.state.is_up() {
            return Ok(());
        }
        let (name, networks) = (one.name.clone(), one.networks.keys().cloned().collect::<Vec<_>>());
        for network in networks {
            self.find_network(&network)?;
        }
        self.calls.push(format!("start {name}"));
        if let Some(message) = self.containers.get(id).and_then(|one| one.behaviour.start_error.clone()) {
            if let Some(one) = self.containers.get_mut(id) {
                one.error = Some(message.clone());
                one.exit_code = Some(127);
            }
            return Err(DockerError::Refused { operation: "start", thing: format!("container `{name}`"), message });
        }
        if let Some(one) = self.containers.get_mut(id) {
            one.restart_count = 0;
        }
        self.begin(id, self.clock.monotonic());
        self.settle();
        Ok(())
    }

    fn restarted(&mut self, id: &str, at: Duration) {
        if let Some(one) = self.containers.get_mut(id) {
            one.restart_count += 1;
        }
        self.begin(id, at);
    }

    fn begin(&mut self, id: &str, at: Duration) {
        let networks: Vec<String> =
            self.containers.get(id).map(|one| one.networks.keys().cloned().collect()).unwrap_or_default();
        for network in networks {
            let address = self.free_address(&network);
            if let Some(place) = self.containers.get_mut(id).and_then(|one| one.networks.get_mut(&network)) {
                place.address = place.fixed.or(address);
            }
        }
        let wall = self.wall_at(at);
        if let Some(one) = self.containers.get_mut(id) {
            one.state = State::Running;
            one.since = at;
            one.started_ms = Some(wall);
            one.exit_code = None;
            one.oom_killed = false;
            one.error = None;
            one.inspections = 0;
            one.told_health = None;
            one.forced_health = None;
            let lines = one.behaviour.says.iter().map(|line| LogLine { stream: Stream::Stdout, line: line.clone() });
            one.log.extend(lines);
        }
        self.tell(id, "start", None);
    }

    /// The process ends by itself, now.
    pub(super) fn end(&mut self, id: &str, code: i64, oom: bool) {
        self.end_at(id, self.clock.monotonic(), code, oom);
    }

    fn end_at(&mut self, id: &str, at: Duration, code: i64, oom: bool) {
        if oom {
            self.tell(id, "oom", None);
        }
        let again = self.containers.get(id).is_some_and(|one| one.restarts_after(code));
        self.halt(id, at, code, if again { State::Restarting } else { State::Exited });
        if let Some(one) = self.containers.get_mut(id) {
            one.oom_killed = oom;
        }
    }

    /// The process is gone; what is left of the container is in `state`.
    pub(super) fn halt(&mut self, id: &str, at: Duration, code: i64, state: State) {
        let wall = self.wall_at(at);
        if let Some(one) = self.containers.get_mut(id) {
            one.state = state;
            one.since = at;
            one.exit_code = Some(code);
            one.finished_ms = Some(wall);
            one.networks.values_mut().for_each(|place| place.address = None);
        }
        self.tell(id, "die", Some(code));
    }

    pub(super) fn remove(&mut self, id: &str, force: bool) -> DockerResult<()> {
        let Some(one) = self.containers.get(id) else { return Ok(()) };
        let name = one.name.clone();
        if one.state.is_up() {
            if !force {
                let message = format!("cannot remove a running container {id}: stop it first or force it");
                return Err(conflict("remove", format!("container `{name}`"), message));
            }
            self.tell_signal(id, KILL);
            self.halt(id, self.clock.monotonic(), 137, State::Exited);
        }
        self.calls.push(format!("remove {name}"));
        self.tell(id, "destroy", None);
        self.containers.remove(id);
        Ok(())
    }

    /// Looking is what health scripts count.
    pub(super) fn inspect(&mut self, id: &str) -> Option<ContainerDetail> {
        let one = self.containers.get_mut(id)?;
        one.inspections = one.inspections.saturating_add(1);
        let (health, told) = (one.health(), one.told_health);
        one.told_health = health;
        let detail = one.detail();
        if health != told {
            match health {
                Some(Health::Healthy) => self.tell(id, "health_status: healthy", None),
                Some(Health::Unhealthy) => self.tell(id, "health_status: unhealthy", None),
                Some(Health::Starting) | None => {}
            }
        }
        Some(detail)
    }

    pub(super) fn set_health(&mut self, id: &str, health: Health) {
        if let Some(one) = self.containers.get_mut(id) {
            one.forced_health = Some(health);
            one.behaviour.health.get_or_insert(super::HealthScript::AfterInspections(0));
        }
    }

    pub(super) fn say(&mut self, id: &str, line: &str) {
        if let Some(one) = self.containers.get_mut(id) {
            one.log.push(LogLine { stream: Stream::Stdout, line: line.to_owned() });
        }
    }

    pub(super) fn stats(&self, id: &str) -> Stats {
        match self.containers.get(id) {
            Some(one) if one.state.is_up() => {
                let run = self.clock.monotonic().saturating_sub(one.since);
                // A hundredth of a processor and ten megabytes: a quiet program.
                let cpu_ns = 1_000_000 + u64::try_from(run.as_nanos() / 100).unwrap_or(u64::MAX / 2);
                Stats { cpu_ns, memory_bytes: 10_000_000 }
            }
            _ => Stats::default(),
        }
    }

    pub(super) fn tell(&mut self, id: &str, action: &str, exit_code: Option<i64>) {
        self.announce(id, action, exit_code, None);
    }

    /// A signal goes to the container.
    pub(super) fn tell_signal(&mut self, id: &str, signal: u32) {
        self.announce(id, "kill", None, Some(signal));
    }

    fn announce(&mut self, id: &str, action: &str, exit_code: Option<i64>, signal: Option<u32>) {
        let Some(one) = self.containers.get(id) else { return };
        let event = ContainerEvent {
            id: id.to_owned(),
            name: one.name.clone(),
            action: action.to_owned(),
            at_ms: self.clock.now_ms(),
            exit_code,
            signal,
            labels: one.spec.labels.clone(),
        };
        if self.past.len() == MOST_EVENTS {
            self.past.pop_front();
        }
        self.past.push_back(event.clone());
        // Nobody listening is no failure.
        let _ = self.events.send(event);
    }

    /// Wall-clock time of a monotonic moment that is not in the future.
    fn wall_at(&self, at: Duration) -> i64 {
        let ago = self.clock.monotonic().saturating_sub(at);
        self.clock.now_ms().saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(0))
    }
}
