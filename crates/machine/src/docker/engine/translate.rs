//! From the wire's many optional fields to our types.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bollard::models;

use super::parts;
use crate::docker::{
    AddressPool, Attachment, Container, ContainerDetail, ContainerEvent, Environment, Health, HealthCheck, Image,
    Labels, Network, NetworkMember, Probe, Restart, State, Volume,
};

pub(super) fn labels(labels: Option<HashMap<String, String>>) -> Labels {
    labels.unwrap_or_default().into_iter().collect()
}

/// The engine's filter words for labels; an empty value asks for the key alone.
pub(super) fn label_filter(labels: &[(String, String)]) -> HashMap<String, Vec<String>> {
    let word = |(key, value): &(String, String)| if value.is_empty() { key.clone() } else { format!("{key}={value}") };
    let words: Vec<String> = labels.iter().map(word).collect();
    if words.is_empty() { HashMap::new() } else { HashMap::from([("label".to_owned(), words)]) }
}

pub(super) fn container(from: models::ContainerSummary) -> Container {
    let networks = from.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let name = from.names.unwrap_or_default().into_iter().next().unwrap_or_default();
    Container {
        id: from.id.unwrap_or_default(),
        name: bare(&name),
        image: from.image.unwrap_or_default(),
        image_id: from.image_id.unwrap_or_default(),
        labels: labels(from.labels),
        health: summary_state(from.state).is_up().then(|| from.status.as_deref().and_then(summary_health)).flatten(),
        state: summary_state(from.state),
        created_ms: from.created.unwrap_or_default().saturating_mul(1000),
        addresses: networks.iter().filter_map(|(name, endpoint)| Some((name.clone(), address(endpoint)?))).collect(),
        mounts: parts::mounts(from.mounts),
        published: parts::published_listed(from.ports),
    }
}

pub(super) fn detail(from: models::ContainerInspectResponse) -> ContainerDetail {
    let id = from.id.unwrap_or_default();
    let state = from.state.unwrap_or_default();
    let config = from.config.unwrap_or_default();
    let env = config.env.clone().unwrap_or_default();
    let host = from.host_config.unwrap_or_default();
    let published = parts::published(from.network_settings.as_ref(), host.port_bindings);
    let is = state_of(state.status);
    let started_ms = state.started_at.as_deref().and_then(time_ms);
    let ended = started_ms.is_some() && !is.is_up();
    ContainerDetail {
        name: bare(from.name.as_deref().unwrap_or_default()),
        image: config.image.unwrap_or_default(),
        image_id: from.image.unwrap_or_default(),
        labels: labels(config.labels),
        state: is,
        health: state.health.as_ref().filter(|_| is.is_up()).and_then(|health| health_of(health.status)),
        health_check: config.healthcheck.and_then(|check| health_check(check, config.shell.unwrap_or_default())),
        last_probe: state.health.filter(|_| is.is_up()).and_then(|health| last_probe(health.log?)),
        exit_code: state.exit_code.filter(|code| ended || (is == State::Created && *code != 0)),
        oom_killed: state.oom_killed.unwrap_or_default(),
        restart_count: from.restart_count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default(),
        restart: host.restart_policy.as_ref().map(restart).unwrap_or_default(),
        created_ms: from.created.as_deref().and_then(time_ms).unwrap_or_default(),
        started_ms,
        finished_ms: state.finished_at.as_deref().and_then(time_ms),
        sandbox: sandbox(from.network_settings.as_ref()).filter(|_| is.is_up()),
        networks: attachments(&id, from.network_settings),
        pid: state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
        error: state.error.filter(|error| !error.is_empty()),
        memory: limit(host.memory),
        nano_cpus: limit(host.nano_cpus),
        mounts: parts::mounts(from.mounts),
        published,
        network_mode: host.network_mode.filter(|mode| !mode.is_empty()),
        stop_signal: config.stop_signal.filter(|signal| !signal.is_empty()),
        stop_timeout: config.stop_timeout.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs),
        command: config.cmd.unwrap_or_default(),
        entrypoint: config.entrypoint.unwrap_or_default(),
        env: Environment::new(env),
        id,
    }
}

fn restart(policy: &models::RestartPolicy) -> Restart {
    match policy.name {
        Some(models::RestartPolicyNameEnum::ALWAYS) => Restart::Always,
        Some(models::RestartPolicyNameEnum::UNLESS_STOPPED) => Restart::UnlessStopped,
        Some(models::RestartPolicyNameEnum::ON_FAILURE) => {
            let times = policy.maximum_retry_count.and_then(|count| u32::try_from(count).ok());
            Restart::OnFailure(times.unwrap_or_default())
        }
        _ => Restart::No,
    }
}

fn sandbox(settings: Option<&models::NetworkSettings>) -> Option<String> {
    settings?.sandbox_key.clone().filter(|path| !path.is_empty())
}

fn attachments(id: &str, settings: Option<models::NetworkSettings>) -> BTreeMap<String, Attachment> {
    let networks = settings.and_then(|settings| settings.networks).unwrap_or_default();
    let one = |(name, endpoint): (String, models::EndpointSettings)| {
        let address = address(&endpoint);
        let mut aliases = endpoint.aliases.unwrap_or_default();
        // Older engines add the short id by themselves; nobody asked for that name.
        aliases.retain(|alias| !id.starts_with(alias.as_str()) || alias.is_empty());
        let fixed = endpoint.ipam_config.unwrap_or_default();
        let fixed = ip(&fixed.ipv4_address).or_else(|| ip(&fixed.ipv6_address));
        let address_v6 = ip(&endpoint.global_ipv6_address).filter(|v6| Some(*v6) != address);
        (name, Attachment { address, address_v6, aliases, fixed })
    };
    networks.into_iter().map(one).collect()
}

pub(super) fn network(from: models::Network) -> Network {
    let config = from.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    let pools = config.iter().cloned().map(pool).collect();
    // Of several pools the one of version 4, by which services are reached.
    let is_v4 = |pool: &&models::IpamConfig| pool.subnet.as_deref().and_then(base).is_some();
    let first = config.iter().find(is_v4).or(config.first()).cloned().unwrap_or_default();
    let subnet = first.subnet.filter(|subnet| !subnet.is_empty());
    let range = first.ip_range.filter(|range| !range.is_empty());
    let told = first.gateway.as_deref().and_then(|text| text.split('/').next()?.parse().ok());
    let bridge = from.driver.as_deref() == Some("bridge");
    Network {
        id: from.id.unwrap_or_default(),
        name: from.name.unwrap_or_default(),
        driver: from.driver.unwrap_or_default(),
        internal: from.internal.unwrap_or_default(),
        // A bridge with a subnet of somebody's choice does not tell its gateway: it is the first address then.
        // The engine takes it out of the range, where there is one.
        gateway: told.or_else(|| {
            let ranged = range.as_deref().filter(|range| base(range) != subnet.as_deref().and_then(base));
            let chosen = ranged.and_then(base).map(IpAddr::V4);
            let chosen = chosen.or_else(|| subnet.as_deref().and_then(first_address));
            chosen.filter(|_| bridge)
        }),
        subnet,
        pools,
        attachable: from.attachable.unwrap_or_default(),
        ipv6: from.enable_ipv6.unwrap_or_default(),
        options: labels(from.options),
        labels: labels(from.labels),
        containers: Vec::new(),
    }
}

fn pool(from: models::IpamConfig) -> AddressPool {
    AddressPool {
        subnet: from.subnet.unwrap_or_default(),
        gateway: from.gateway.filter(|gateway| !gateway.is_empty()),
        range: from.ip_range.filter(|range| !range.is_empty()),
        reserved: labels(from.auxiliary_addresses),
    }
}

/// Inspecting gives the same fields as listing, and the containers.
pub(super) fn network_inspected(mut from: models::NetworkInspect) -> Network {
    let member = |(id, endpoint): (String, models::EndpointResource)| NetworkMember {
        id,
        address: ip(&endpoint.ipv4_address).or_else(|| ip(&endpoint.ipv6_address)),
        name: endpoint.name.unwrap_or_default(),
    };
    let mut containers: Vec<NetworkMember> =
        from.containers.take().unwrap_or_default().into_iter().map(member).collect();
    containers.sort();
    Network { containers, ..network(network_listed(from)) }
}

fn network_listed(from: models::NetworkInspect) -> models::Network {
    models::Network {
        name: from.name,
        id: from.id,
        driver: from.driver,
        ipam: from.ipam,
        internal: from.internal,
        attachable: from.attachable,
        enable_ipv6: from.enable_ipv6,
        options: from.options,
        labels: from.labels,
        ..models::Network::default()
    }
}

pub(super) fn volume(from: models::Volume) -> Volume {
    Volume {
        name: from.name,
        driver: from.driver,
        mountpoint: from.mountpoint,
        labels: from.labels.into_iter().collect(),
        options: from.options.into_iter().collect(),
        created_ms: from.created_at.as_deref().and_then(time_ms),
    }
}

pub(super) fn image(from: models::ImageInspect) -> Image {
    let config = from.config.unwrap_or_default();
    Image {
        id: from.id.unwrap_or_default(),
        tags: names(from.repo_tags.unwrap_or_default()),
        digests: names(from.repo_digests.unwrap_or_default()),
        labels: labels(config.labels),
        volumes: sorted(config.volumes),
        exposed: sorted(config.exposed_ports),
        entrypoint: config.entrypoint.unwrap_or_default(),
        command: config.cmd.unwrap_or_default(),
        stop_signal: config.stop_signal.filter(|signal| !signal.is_empty()),
        env: Environment::new(config.env.unwrap_or_default()),
        size: unsigned(from.size.unwrap_or_default()),
        created_ms: from.created.as_deref().and_then(time_ms).unwrap_or_default(),
        // An image that was never tagged here has the year 1.
        tagged_ms: from.metadata.and_then(|data| data.last_tag_time).as_deref().and_then(time_ms).filter(|ms| *ms > 0),
    }
}

pub(super) fn image_listed(from: models::ImageSummary) -> Image {
    Image {
        id: from.id,
        tags: names(from.repo_tags),
        digests: names(from.repo_digests),
        labels: from.labels.into_iter().collect(),
        size: unsigned(from.size),
        created_ms: from.created.saturating_mul(1000),
        ..Image::default()
    }
}

fn sorted(words: Option<Vec<String>>) -> Vec<String> {
    let mut words = words.unwrap_or_default();
    words.sort();
    words
}

/// The engine writes 0 for no limit.
fn limit(number: Option<i64>) -> Option<u64> {
    number.and_then(|number| u64::try_from(number).ok()).filter(|number| *number > 0)
}

/// `None` for what happened to something that is not a container.
pub(super) fn event(from: models::EventMessage) -> Option<ContainerEvent> {
    if from.typ == Some(models::EventMessageTypeEnum::NETWORK) {
        return network_event(from);
    }
    let actor = from.actor?;
    let mut labels = labels(actor.attributes);
    // The engine mixes its own attributes into the labels.
    let name = labels.remove("name").unwrap_or_default();
    let exit_code = labels.remove("exitCode").and_then(|code| code.parse().ok());
    let action = from.action?;
    // A container may have a label of that name, which the engine then shows with everything else that happens.
    let signal = labels.get("signal").filter(|_| action == "kill").and_then(|number| number.parse().ok());
    for own in ["image", "signal", "execID", "oldName", "execDuration"] {
        labels.remove(own);
    }
    let at_ms = from.time_nano.map(|nanos| nanos / 1_000_000).or(from.time.map(|seconds| seconds * 1000));
    Some(ContainerEvent { id: actor.id?, name, action, at_ms: at_ms.unwrap_or_default(), exit_code, signal, labels })
}

/// A container comes to a network or leaves it; what else happens to networks is no container's matter.
fn network_event(from: models::EventMessage) -> Option<ContainerEvent> {
    let action = from.action.filter(|action| matches!(action.as_str(), "connect" | "disconnect"))?;
    let at_ms = from.time_nano.map(|nanos| nanos / 1_000_000).or(from.time.map(|seconds| seconds * 1000));
    Some(ContainerEvent {
        id: labels(from.actor?.attributes).remove("container")?,
        name: String::new(),
        action: format!("network-{action}"),
        at_ms: at_ms.unwrap_or_default(),
        exit_code: None,
        signal: None,
        labels: Labels::new(),
    })
}

/// The engine writes the year 1 for "never".
pub(super) fn time_ms(text: &str) -> Option<i64> {
    let ms = text.parse::<jiff::Timestamp>().ok()?.as_millisecond();
    (ms > 0).then_some(ms)
}

fn address(endpoint: &models::EndpointSettings) -> Option<IpAddr> {
    ip(&endpoint.ip_address).or_else(|| ip(&endpoint.global_ipv6_address))
}

/// With or without the width of its network.
fn ip(field: &Option<String>) -> Option<IpAddr> {
    field.as_deref().and_then(|text| text.split('/').next()?.parse().ok())
}

fn first_address(subnet: &str) -> Option<IpAddr> {
    Some(IpAddr::V4(Ipv4Addr::from(u32::from(base(subnet)?).checked_add(1)?)))
}

fn base(subnet: &str) -> Option<Ipv4Addr> {
    subnet.split('/').next()?.parse().ok()
}

fn bare(name: &str) -> String {
    name.trim_start_matches('/').to_owned()
}

fn names(mut names: Vec<String>) -> Vec<String> {
    names.retain(|name| !name.contains("<none>"));
    names.sort();
    names
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn state_of(status: Option<models::ContainerStateStatusEnum>) -> State {
    use models::ContainerStateStatusEnum as Wire;
    match status {
        Some(Wire::RUNNING | Wire::STOPPING) => State::Running,
        Some(Wire::PAUSED) => State::Paused,
        Some(Wire::RESTARTING) => State::Restarting,
        Some(Wire::EXITED) => State::Exited,
        Some(Wire::REMOVING | Wire::DEAD) => State::Dead,
        Some(Wire::CREATED | Wire::EMPTY) | None => State::Created,
    }
}

fn summary_state(state: Option<models::ContainerSummaryStateEnum>) -> State {
    use models::ContainerSummaryStateEnum as Wire;
    match state {
        Some(Wire::RUNNING | Wire::STOPPING) => State::Running,
        Some(Wire::PAUSED) => State::Paused,
        Some(Wire::RESTARTING) => State::Restarting,
        Some(Wire::EXITED) => State::Exited,
        Some(Wire::REMOVING | Wire::DEAD) => State::Dead,
        Some(Wire::CREATED | Wire::EMPTY) | None => State::Created,
    }
}

fn health_check(from: models::HealthConfig, shell: Vec<String>) -> Option<HealthCheck> {
    let check = HealthCheck::new(from.test.unwrap_or_default())?;
    // The engine writes 0 for its own value.
    let time = |nanos: Option<i64>, own| limit(nanos).map_or(own, Duration::from_nanos);
    Some(HealthCheck {
        shell,
        interval: time(from.interval, check.interval),
        timeout: time(from.timeout, check.timeout),
        retries: limit(from.retries).and_then(|times| u32::try_from(times).ok()).unwrap_or(check.retries),
        ..check
    })
}

/// The engine writes -1 for a run that took too long, and for one that it could not begin.
fn last_probe(log: Vec<models::HealthcheckResult>) -> Option<Probe> {
    let last = log.into_iter().next_back()?;
    let output = last.output.unwrap_or_default();
    // `Health check exceeded timeout (5s): what it wrote until then`, where the engine keeps that.
    let late = output.strip_prefix("Health check exceeded timeout (").and_then(|rest| rest.split_once(')'));
    Some(match late {
        Some((_, rest)) => Probe { exit_code: None, output: rest.trim_start_matches(':').to_owned() },
        None => Probe { exit_code: last.exit_code, output },
    })
}

/// A listing has the verdict only in words: `Up 7 seconds (unhealthy)`.
fn summary_health(status: &str) -> Option<Health> {
    let words = status.rsplit_once('(')?.1.strip_suffix(')')?;
    match words {
        "healthy" => Some(Health::Healthy),
        "unhealthy" => Some(Health::Unhealthy),
        "health: starting" => Some(Health::Starting),
        _ => None,
    }
}

fn health_of(status: Option<models::HealthStatusEnum>) -> Option<Health> {
    use models::HealthStatusEnum as Wire;
    match status? {
        Wire::STARTING => Some(Health::Starting),
        Wire::HEALTHY => Some(Health::Healthy),
        Wire::UNHEALTHY => Some(Health::Unhealthy),
        Wire::EMPTY | Wire::NONE => None,
    }
}
