//! Networks of the real engine.

use std::net::IpAddr;

use bollard::models::{
    EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, NetworkConnectRequest, NetworkCreateRequest,
    NetworkDisconnectRequest,
};
use bollard::query_parameters::ListNetworksOptionsBuilder;

use super::{Engine, LONG_PATIENCE, PATIENCE, plain, translate};
use crate::docker::{AddressPool, DockerError, DockerResult, Network, NetworkSpec};

pub(super) async fn list(engine: &Engine, labels: &[(String, String)]) -> DockerResult<Vec<Network>> {
    let options = ListNetworksOptionsBuilder::new().filters(&translate::label_filter(labels)).build();
    let found = engine.ask("list", "networks", PATIENCE, engine.client.list_networks(Some(options))).await?;
    Ok(found.into_iter().map(translate::network).collect())
}

pub(super) async fn inspect(engine: &Engine, name: &str) -> DockerResult<Network> {
    let thing = plain("network", name)?;
    let found = engine.ask("inspect", thing, PATIENCE, engine.client.inspect_network(name, None)).await?;
    Ok(translate::network_inspected(found))
}

pub(super) async fn create(engine: &Engine, spec: &NetworkSpec) -> DockerResult<Network> {
    let thing = plain("network", &spec.name)?;
    // Older engines allow two networks of one name unless they are asked to look, and newer ones have no such
    // question any more: so we look ourselves.
    if super::absent_is_none(inspect(engine, &spec.name).await)?.is_some_and(|found| found.name == spec.name) {
        let message = format!("network with name {} already exists", spec.name);
        return Err(DockerError::Conflict { operation: "create", thing, message });
    }
    let pools: Vec<IpamConfig> = spec.pools.iter().map(pool).collect();
    let request = NetworkCreateRequest {
        name: spec.name.clone(),
        driver: Some(spec.driver.clone()),
        internal: Some(spec.internal),
        attachable: Some(spec.attachable),
        enable_ipv6: Some(spec.ipv6),
        options: (!spec.options.is_empty()).then(|| spec.options.clone().into_iter().collect()),
        ipam: (!pools.is_empty()).then(|| Ipam { config: Some(pools), ..Ipam::default() }),
        labels: Some(spec.labels.clone().into_iter().collect()),
        ..NetworkCreateRequest::default()
    };
    let made = engine.ask("create", thing, LONG_PATIENCE, engine.client.create_network(request)).await?;
    inspect(engine, &made.id).await
}

fn pool(pool: &AddressPool) -> IpamConfig {
    IpamConfig {
        subnet: Some(pool.subnet.clone()),
        gateway: pool.gateway.clone(),
        ip_range: pool.range.clone(),
        auxiliary_addresses: (!pool.reserved.is_empty()).then(|| pool.reserved.clone().into_iter().collect()),
    }
}

/// The network is looked up first: for a container that does not run, the engine takes any name and says yes.
pub(super) async fn connect(
    engine: &Engine,
    network: &str,
    container: &str,
    aliases: &[String],
    address: Option<IpAddr>,
) -> DockerResult<()> {
    inspect(engine, network).await?;
    let thing = format!("container `{container}` to network `{network}`");
    let endpoint = EndpointSettings {
        aliases: Some(aliases.to_vec()),
        ipam_config: address.map(fixed),
        ..EndpointSettings::default()
    };
    let request = NetworkConnectRequest { container: container.to_owned(), endpoint_config: Some(endpoint) };
    engine.ask("connect", thing, PATIENCE, engine.client.connect_network(network, request)).await
}

pub(super) fn fixed(address: IpAddr) -> EndpointIpamConfig {
    let text = Some(address.to_string());
    match address {
        IpAddr::V4(_) => EndpointIpamConfig { ipv4_address: text, ..EndpointIpamConfig::default() },
        IpAddr::V6(_) => EndpointIpamConfig { ipv6_address: text, ..EndpointIpamConfig::default() },
    }
}

pub(super) async fn disconnect(engine: &Engine, network: &str, container: &str) -> DockerResult<()> {
    inspect(engine, network).await?;
    let thing = format!("container `{container}` from network `{network}`");
    let request = NetworkDisconnectRequest { container: container.to_owned(), force: Some(false) };
    engine.ask("disconnect", thing, PATIENCE, engine.client.disconnect_network(network, request)).await
}
