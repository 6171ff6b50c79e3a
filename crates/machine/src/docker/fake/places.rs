//! Networks and volumes of the fake.

use std::net::{IpAddr, Ipv4Addr};

use super::world::World;
use crate::docker::{
    AddressPool, Attachment, DockerError, DockerResult, Labels, Network, NetworkSpec, Volume, VolumeSpec,
};

/// The networks that every engine has from the start.
const PREDEFINED: [&str; 3] = ["bridge", "host", "none"];

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
        let network = Network {
            id: self.new_id(),
            name: spec.name.clone(),
            driver: spec.driver.clone(),
            internal: spec.internal,
            gateway: chosen.or_else(|| first_address(&subnet)).filter(|_| addressed),
            subnet: Some(subnet).filter(|_| addressed),
            labels: spec.labels.clone(),
        };
        self.networks.insert(spec.name.clone(), network.clone());
        self.pools.insert(spec.name.clone(), pool);
        network
    }

    pub(super) fn find_network(&self, name: &str) -> DockerResult<&Network> {
        let by_id = || self.networks.values().find(|network| !name.is_empty() && network.id.starts_with(name));
        let found = self.networks.get(name).or_else(by_id);
        found.ok_or_else(|| DockerError::NotFound(format!("network `{name}`")))
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
        Ok(())
    }

    pub(super) fn connect(&mut self, network: &str, container: &str, aliases: &[String]) -> DockerResult<()> {
        let id = self.find(container)?;
        let network = self.find_network(network)?.name.clone();
        let address = self.free_address(&network);
        let Some(one) = self.containers.get_mut(&id) else { return Ok(()) };
        if one.networks.contains_key(&network) {
            let message = format!("endpoint with name {} already exists in network {network}", one.name);
            return Err(conflict("connect", format!("container `{container}` to network `{network}`"), message));
        }
        let address = address.filter(|_| one.state.is_up());
        self.calls.push(format!("connect {network} {}", one.name));
        one.networks.insert(network, Attachment { address, aliases: aliases.to_vec() });
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
        self.ensure_volume(&spec.name, &spec.labels)
    }

    pub(super) fn ensure_volume(&mut self, name: &str, labels: &Labels) -> Volume {
        let made = || Volume {
            name: name.to_owned(),
            driver: "local".to_owned(),
            mountpoint: format!("/var/lib/docker/volumes/{name}/_data"),
            labels: labels.clone(),
        };
        self.volumes.entry(name.to_owned()).or_insert_with(made).clone()
    }

    pub(super) fn remove_volume(&mut self, name: &str) -> DockerResult<()> {
        let thing = format!("volume `{name}`");
        if !self.volumes.contains_key(name) {
            return Err(DockerError::NotFound(thing));
        }
        // Unlike networks, volumes are held by stopped containers too.
        if self.containers.values().any(|one| one.spec.mounts.iter().any(|mount| mount.source == name)) {
            return Err(conflict("remove", thing, "volume is in use".to_owned()));
        }
        self.calls.push(format!("remove_volume {name}"));
        self.volumes.remove(name);
        Ok(())
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
