//! Networks and volumes of the fake.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use super::world::World;
use crate::docker::{
    AddressPool, Attachment, ContainerSpec, DockerError, DockerResult, Labels, MountKind, MountPoint, Network,
    NetworkMember, NetworkSpec, Volume, VolumeSpec,
};

/// The networks that every engine has from the start.
const PREDEFINED: [&str; 3] = ["bridge", "host", "none"];
/// The label of a volume that an engine made by itself (from version 24 on).
const ANONYMOUS: &str = "com.docker.volume.anonymous";

impl World {
    pub(super) fn add_predefined_networks(&mut self) {
        for name in PREDEFINED {
            let driver = if name == "none" { "null" } else { name };
            let spec = NetworkSpec { driver: driver.to_owned(), ..NetworkSpec::bridge(name) };
            self.add_network(&spec);
        }
    }

    pub(super) fn create_network(&mut self, spec: &NetworkSpec) -> DockerResult<Network> {
        if self.networks.contains_key(&spec.name) {
            let message = format!("network with name {} already exists", spec.name);
            return Err(conflict("create", format!("network `{}`", spec.name), message));
        }
        self.calls.push(format!("create_network {}", spec.name));
        Ok(self.add_network(spec))
    }

    fn add_network(&mut self, spec: &NetworkSpec) -> Network {
        let number = self.next_number();
        // Each network gets a /24 of its own out of 10.200.0.0/13, in order.
        let base = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 200, 0, 0)) + (u32::from(number) << 8));
        let pool = spec.pools.first().cloned().unwrap_or_else(|| AddressPool::subnet(format!("{base}/24")));
        let subnet = pool.subnet.clone();
        let chosen = pool.gateway.as_deref().and_then(|gateway| gateway.parse().ok());
        let addressed = spec.driver == "bridge";
        let gateway = chosen.or_else(|| first_address(&subnet)).filter(|_| addressed);
        // As the engine does, a pool of somebody's choice is told as it was given, without the gateway found for it.
        let found = AddressPool { gateway: gateway.map(|at| at.to_string()), ..AddressPool::subnet(&subnet) };
        let pools = if spec.pools.is_empty() { vec![found] } else { spec.pools.clone() };
        let network = Network {
            id: self.new_id(),
            name: spec.name.clone(),
            driver: spec.driver.clone(),
            internal: spec.internal,
            gateway,
            subnet: Some(subnet).filter(|_| addressed),
            pools: if addressed { pools } else { Vec::new() },
            attachable: spec.attachable,
            ipv6: spec.ipv6,
            options: spec.options.clone(),
            labels: spec.labels.clone(),
            containers: Vec::new(),
        };
        if !spec.pools.is_empty() {
            self.chosen.insert(spec.name.clone());
        }
        self.networks.insert(spec.name.clone(), network.clone());
        self.pools.insert(spec.name.clone(), pool);
        network
    }

    pub(super) fn find_network(&self, name: &str) -> DockerResult<&Network> {
        let by_id = || self.networks.values().find(|network| !name.is_empty() && network.id.starts_with(name));
        let found = self.networks.get(name).or_else(by_id);
        found.ok_or_else(|| DockerError::NotFound(format!("network `{name}`")))
    }

    /// A network and who runs on it.
    pub(super) fn inspect_network(&self, name: &str) -> Option<Network> {
        let network = self.find_network(name).ok()?.clone();
        let up = self.containers.values().filter(|one| one.state.is_up());
        let member = |one: &super::container::FakeContainer| {
            let address = one.networks.get(&network.name)?.address;
            Some(NetworkMember { id: one.id.clone(), name: one.name.clone(), address })
        };
        let mut containers: Vec<NetworkMember> = up.filter_map(member).collect();
        containers.sort();
        Some(Network { containers, ..network })
    }

    pub(super) fn remove_network(&mut self, name: &str) -> DockerResult<()> {
        let name = self.find_network(name)?.name.clone();
        let thing = format!("network `{name}`");
        if PREDEFINED.contains(&name.as_str()) {
            let message = format!("{name} is a pre-defined network and cannot be removed");
            return Err(DockerError::Refused { operation: "remove", thing, message });
        }
        // As in Docker, only running containers hold a network.
        let held = self.containers.values().any(|one| one.state.is_up() && one.networks.contains_key(&name));
        if held {
            return Err(conflict("remove", thing, format!("network {name} has active endpoints")));
        }
        self.calls.push(format!("remove_network {name}"));
        self.networks.remove(&name);
        self.chosen.remove(&name);
        Ok(())
    }

    pub(super) fn connect(
        &mut self,
        network: &str,
        container: &str,
        aliases: &[String],
        fixed: Option<IpAddr>,
    ) -> DockerResult<()> {
        let id = self.find(container)?;
        let network = self.find_network(network)?.name.clone();
        if let Some(address) = fixed {
            self.can_give(&network, container, address)?;
        }
        let address = fixed.or_else(|| self.free_address(&network));
        let Some(one) = self.containers.get_mut(&id) else { return Ok(()) };
        if one.networks.contains_key(&network) {
            let message = format!("endpoint with name {} already exists in network {network}", one.name);
            return Err(conflict("connect", format!("container `{container}` to network `{network}`"), message));
        }
        let address = address.filter(|_| one.state.is_up());
        self.calls.push(format!("connect {network} {}", one.name));
        one.networks.insert(network, Attachment { address, aliases: aliases.to_vec(), fixed, ..Attachment::default() });
        Ok(())
    }

    /// Whether an address of somebody's choice can be had, as the engine decides.
    fn can_give(&self, network: &str, container: &str, address: IpAddr) -> DockerResult<()> {
        let refused = |message: &str| {
            let thing = format!("container `{container}` to network `{network}`");
            Err(DockerError::Refused { operation: "connect", thing, message: message.to_owned() })
        };
        if !self.chosen.contains(network) {
            return refused(
                "user specified IP address is supported only when connecting to networks with user configured subnets",
            );
        }
        let is_given = |at: &Attachment| at.address == Some(address);
        if self.containers.values().any(|one| one.networks.get(network).is_some_and(is_given)) {
            return refused("Address already in use");
        }
        Ok(())
    }

    pub(super) fn disconnect(&mut self, network: &str, container: &str) -> DockerResult<()> {
        let id = self.find(container)?;
        let network = self.find_network(network)?.name.clone();
        let Some(one) = self.containers.get_mut(&id) else { return Ok(()) };
        if one.networks.remove(&network).is_none() {
            let message = format!("container {} is not connected to network {network}", one.name);
            return Err(conflict("disconnect", format!("container `{container}` from network `{network}`"), message));
        }
        self.calls.push(format!("disconnect {network} {}", one.name));
        Ok(())
    }

    /// The lowest address that no container has, as Docker's own allocator gives.
    pub(super) fn free_address(&self, network: &str) -> Option<IpAddr> {
        let gateway = self.networks.get(network)?.gateway?;
        let pool = self.pools.get(network)?;
        let lowest = base(&pool.subnet)?;
        let first = pool.range.as_deref().and_then(base).unwrap_or(lowest);
        let taken = |address: IpAddr| {
            let is_reserved = pool.reserved.values().any(|reserved| reserved.parse() == Ok(address));
            let is_given = |at: &Attachment| at.address == Some(address);
            let has_it = self.containers.values().any(|one| one.networks.get(network).is_some_and(is_given));
            is_reserved || has_it || address == gateway || address == IpAddr::V4(lowest)
        };
        (0..=253).map(|step| IpAddr::V4(Ipv4Addr::from(u32::from(first) + step))).find(|address| !taken(*address))
    }

    pub(super) fn create_volume(&mut self, spec: &VolumeSpec) -> Volume {
        if let Some(found) = self.volumes.get(&spec.name) {
            return found.clone();
        }
        self.calls.push(format!("create_volume {}", spec.name));
        self.ensure_volume(&spec.name, &spec.labels, &spec.options)
    }

    /// What a new container sees: what it asks for, and a volume for each other path that its image declares.
    pub(super) fn mount(&mut self, spec: &ContainerSpec, declared: &[String]) -> Vec<MountPoint> {
        let mut mounts = Vec::new();
        for mount in &spec.mounts {
            let seen = MountPoint { target: mount.target.clone(), writable: !mount.read_only, ..MountPoint::default() };
            mounts.push(if mount.source.starts_with('/') {
                MountPoint { kind: MountKind::Bind, source: mount.source.clone(), ..seen }
            } else {
                of_volume(self.ensure_volume(&mount.source, &Labels::new(), &BTreeMap::new()), seen)
            });
        }
        for path in declared.iter().filter(|path| spec.mounts.iter().all(|mount| mount.target != **path)) {
            let (name, labels) = (self.new_id(), Labels::from([(ANONYMOUS.to_owned(), String::new())]));
            let seen = MountPoint { target: path.clone(), writable: true, ..MountPoint::default() };
            mounts.push(of_volume(self.ensure_volume(&name, &labels, &BTreeMap::new()), seen));
        }
        mounts.sort_by(|one, other| one.target.cmp(&other.target));
        mounts
    }

    fn ensure_volume(&mut self, name: &str, labels: &Labels, options: &BTreeMap<String, String>) -> Volume {
        let created_ms = Some(self.clock.now_ms());
        let made = || Volume {
            name: name.to_owned(),
            driver: "local".to_owned(),
            mountpoint: format!("/var/lib/docker/volumes/{name}/_data"),
            labels: labels.clone(),
            options: options.clone(),
            created_ms,
        };
        self.volumes.entry(name.to_owned()).or_insert_with(made).clone()
    }

    pub(super) fn remove_volume(&mut self, name: &str) -> DockerResult<()> {
        let thing = format!("volume `{name}`");
        if !self.volumes.contains_key(name) {
            return Err(DockerError::NotFound(thing));
        }
        // Unlike networks, volumes are held by stopped containers too.
        if self.containers.values().any(|one| one.uses_volume(name)) {
            return Err(conflict("remove", thing, "volume is in use".to_owned()));
        }
        self.calls.push(format!("remove_volume {name}"));
        self.volumes.remove(name);
        self.sizes.remove(name);
        Ok(())
    }
}

fn of_volume(volume: Volume, seen: MountPoint) -> MountPoint {
    MountPoint {
        kind: MountKind::Volume,
        name: Some(volume.name),
        source: volume.mountpoint,
        driver: Some(volume.driver),
        ..seen
    }
}

pub(super) fn conflict(operation: &'static str, thing: String, message: String) -> DockerError {
    DockerError::Conflict { operation, thing, message }
}

fn first_address(subnet: &str) -> Option<IpAddr> {
    Some(IpAddr::V4(Ipv4Addr::from(u32::from(base(subnet)?) + 1)))
}

fn base(subnet: &str) -> Option<Ipv4Addr> {
    subnet.split('/').next()?.parse().ok()
}
