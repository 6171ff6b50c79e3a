//! From the wire's many optional fields to our types.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};

use bollard::models;

use crate::docker::{
    Attachment, Container, ContainerDetail, ContainerEvent, Environment, Health, Image, Labels, Network, Restart,
    State, Volume,
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
        state: summary_state(from.state),
        created_ms: from.created.unwrap_or_default().saturating_mul(1000),
        addresses: networks.iter().filter_map(|(name, endpoint)| Some((name.clone(), address(endpoint)?))).collect(),
    }
}

pub(super) fn detail(from: models::ContainerInspectResponse) -> ContainerDetail {
    let id = from.id.unwrap_or_default();
    let state = from.state.unwrap_or_default();
    let config = from.config.unwrap_or_default();
    let env = config.env.clone().unwrap_or_default();
    let is = state_of(state.status);
    let started_ms = state.started_at.as_deref().and_then(time_ms);
    let ended = started_ms.is_some() && !is.is_up();
    ContainerDetail {
        name: bare(from.name.as_deref().unwrap_or_default()),
        image: config.image.unwrap_or_default(),
        image_id: from.image.unwrap_or_default(),
        labels: labels(config.labels),
        state: is,
        health: state.health.filter(|_| is.is_up()).and_then(|health| health_of(health.status)),
        exit_code: state.exit_code.filter(|code| ended || (is == State::Created && *code != 0)),
        oom_killed: state.oom_killed.unwrap_or_default(),
        restart_count: from.restart_count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default(),
        restart: from
            .host_config
            .as_ref()
            .and_then(|host| host.restart_policy.as_ref())
            .map(restart)
            .unwrap_or_default(),
        created_ms: from.created.as_deref().and_then(time_ms).unwrap_or_default(),
        started_ms,
        finished_ms: state.finished_at.as_deref().and_then(time_ms),
        networks: attachments(&id, from.network_settings),
        pid: state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
        error: state.error.filter(|error| !error.is_empty()),
        memory: limit(from.host_config.as_ref().and_then(|host| host.memory)),
        nano_cpus: limit(from.host_config.as_ref().and_then(|host| host.nano_cpus)),
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

fn attachments(id: &str, settings: Option<models::NetworkSettings>) -> BTreeMap<String, Attachment> {
    let networks = settings.and_then(|settings| settings.networks).unwrap_or_default();
    let one = |(name, endpoint): (String, models::EndpointSettings)| {
        let address = address(&endpoint);
        let mut aliases = endpoint.aliases.unwrap_or_default();
        // Older engines add the short id by themselves; nobody asked for that name.
        aliases.retain(|alias| !id.starts_with(alias.as_str()) || alias.is_empty());
        (name, Attachment { address, aliases })
    };
    networks.into_iter().map(one).collect()
}

pub(super) fn network(from: models::Network) -> Network {
    let config = from.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
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
        labels: labels(from.labels),
    }
}

/// Inspecting gives the same fields as listing, and more that we do not read.
pub(super) fn network_listed(from: models::NetworkInspect) -> models::Network {
    models::Network {
        name: from.name,
        id: from.id,
        driver: from.driver,
        ipam: from.ipam,
        internal: from.internal,
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
    }
}

pub(super) fn image(from: models::ImageInspect) -> Image {
    let config = from.config.unwrap_or_default();
    Image {
        id: from.id.unwrap_or_default(),
        tags: names(from.repo_tags.unwrap_or_default()),
        digests: names(from.repo_digests.unwrap_or_default()),
        labels: labels(config.labels),
        env: Environment::new(config.env.unwrap_or_default()),
        size: unsigned(from.size.unwrap_or_default()),
        created_ms: from.created.as_deref().and_then(time_ms).unwrap_or_default(),
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
        env: Environment::default(),
    }
}

/// The engine writes 0 for no limit.
fn limit(number: Option<i64>) -> Option<u64> {
    number.and_then(|number| u64::try_from(number).ok()).filter(|number| *number > 0)
}

/// `None` for what happened to something that is not a container.
pub(super) fn event(from: models::EventMessage) -> Option<ContainerEvent> {
    let actor = from.actor?;
    let mut labels = labels(actor.attributes);
    // The engine mixes its own attributes into the labels.
    let name = labels.remove("name").unwrap_or_default();
    let exit_code = labels.remove("exitCode").and_then(|code| code.parse().ok());
    for own in ["image", "signal", "execID", "oldName", "execDuration"] {
        labels.remove(own);
    }
    let at_ms = from.time_nano.map(|nanos| nanos / 1_000_000).or(from.time.map(|seconds| seconds * 1000));
    Some(ContainerEvent {
        id: actor.id?,
        name,
        action: from.action?,
        at_ms: at_ms.unwrap_or_default(),
        exit_code,
        labels,
    })
}

/// The engine writes the year 1 for "never".
pub(super) fn time_ms(text: &str) -> Option<i64> {
    let ms = text.parse::<jiff::Timestamp>().ok()?.as_millisecond();
    (ms > 0).then_some(ms)
}

fn address(endpoint: &models::EndpointSettings) -> Option<IpAddr> {
    let text = |field: &Option<String>| field.as_deref().and_then(|text| text.parse().ok());
    text(&endpoint.ip_address).or_else(|| text(&endpoint.global_ipv6_address))
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

fn health_of(status: Option<models::HealthStatusEnum>) -> Option<Health> {
    use models::HealthStatusEnum as Wire;
    match status? {
        Wire::STARTING => Some(Health::Starting),
        Wire::HEALTHY => Some(Health::Healthy),
        Wire::UNHEALTHY => Some(Health::Unhealthy),
        Wire::EMPTY | Wire::NONE => None,
    }
}
