//! Containers of the real engine.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HostConfig, NetworkingConfig, PortBinding, PortMap,
    RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, KillContainerOptionsBuilder, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder, StatsOptionsBuilder, StopContainerOptionsBuilder,
};
use futures_util::TryStreamExt;

use super::{Engine, LONG_PATIENCE, PATIENCE, plain, translate};
use crate::docker::{
    Container, ContainerDetail, ContainerSpec, DockerResult, HealthSpec, PublishedPort, Restart, Stats,
};

pub(super) async fn list(engine: &Engine, labels: &[(String, String)], all: bool) -> DockerResult<Vec<Container>> {
    let options = ListContainersOptionsBuilder::new().all(all).filters(&translate::label_filter(labels)).build();
    let found = engine.ask("list", "containers", PATIENCE, engine.client.list_containers(Some(options))).await?;
    Ok(found.into_iter().map(translate::container).collect())
}

pub(super) async fn inspect(engine: &Engine, id: &str) -> DockerResult<ContainerDetail> {
    let thing = plain("container", id)?;
    let found = engine.ask("inspect", thing, PATIENCE, engine.client.inspect_container(id, None)).await?;
    Ok(translate::detail(found))
}

pub(super) async fn create(engine: &Engine, spec: &ContainerSpec) -> DockerResult<String> {
    let thing = plain("container", &spec.name)?;
    let options = CreateContainerOptionsBuilder::new().name(&spec.name).build();
    let question = engine.client.create_container(Some(options), body(spec));
    Ok(engine.ask("create", thing, LONG_PATIENCE, question).await?.id)
}

pub(super) async fn stop(engine: &Engine, id: &str, grace: Duration) -> DockerResult<()> {
    let thing = plain("container", id)?;
    let seconds = grace.as_secs() + u64::from(grace.subsec_nanos() > 0);
    let options = StopContainerOptionsBuilder::new().t(i32::try_from(seconds).unwrap_or(i32::MAX)).build();
    let limit = grace.saturating_add(LONG_PATIENCE);
    engine.ask("stop", thing, limit, engine.client.stop_container(id, Some(options))).await
}

pub(super) async fn kill(engine: &Engine, id: &str, signal: &str) -> DockerResult<()> {
    let thing = plain("container", id)?;
    let options = KillContainerOptionsBuilder::new().signal(signal).build();
    engine.ask("send a signal to", thing, PATIENCE, engine.client.kill_container(id, Some(options))).await
}

pub(super) async fn remove(engine: &Engine, id: &str, force: bool) -> DockerResult<()> {
    let thing = plain("container", id)?;
    let options = RemoveContainerOptionsBuilder::new().v(false).force(force).build();
    engine.ask("remove", thing, LONG_PATIENCE, engine.client.remove_container(id, Some(options))).await
}

pub(super) async fn rename(engine: &Engine, id: &str, name: &str) -> DockerResult<()> {
    let thing = plain("container", id)?;
    let options = RenameContainerOptionsBuilder::new().name(name).build();
    engine.ask("rename", thing, PATIENCE, engine.client.rename_container(id, options)).await
}

pub(super) async fn stats(engine: &Engine, id: &str) -> DockerResult<Stats> {
    let thing = plain("container", id)?;
    let options = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
    let mut stream = Box::pin(engine.client.stats(id, Some(options)));
    let answer = engine.ask("measure", thing, PATIENCE, stream.try_next()).await?.unwrap_or_default();
    let memory = answer.memory_stats.unwrap_or_default();
    let parts = memory.stats.unwrap_or_default();
    // The name differs between cgroup versions 1 and 2.
    let cache = parts.get("total_inactive_file").or_else(|| parts.get("inactive_file")).copied().unwrap_or(0);
    Ok(Stats {
        cpu_ns: answer.cpu_stats.and_then(|cpu| cpu.cpu_usage?.total_usage).unwrap_or(0),
        memory_bytes: memory.usage.unwrap_or(0).saturating_sub(cache),
    })
}

fn body(spec: &ContainerSpec) -> ContainerCreateBody {
    let endpoint = EndpointSettings {
        aliases: Some(spec.aliases.clone()),
        ipam_config: spec.address.map(super::networks::fixed),
        ..EndpointSettings::default()
    };
    let endpoints = spec.network.iter().map(|network| (network.clone(), endpoint.clone())).collect();
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        cmd: (!spec.command.is_empty()).then(|| spec.command.clone()),
        env: Some(spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        labels: Some(spec.labels.clone().into_iter().collect::<HashMap<_, _>>()),
        healthcheck: spec.health.as_ref().map(health),
        exposed_ports: (!spec.published.is_empty()).then(|| spec.published.iter().map(port).collect()),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: spec.stop_timeout.and_then(|limit| i64::try_from(limit.as_secs()).ok()),
        host_config: Some(host(spec)),
        networking_config: Some(NetworkingConfig { endpoints_config: Some(endpoints) }),
        ..ContainerCreateBody::default()
    }
}

fn host(spec: &ContainerSpec) -> HostConfig {
    let memory = spec.memory.and_then(|bytes| i64::try_from(bytes).ok());
    let bind = |mount: &crate::docker::Mount| {
        format!("{}:{}:{}", mount.source, mount.target, if mount.read_only { "ro" } else { "rw" })
    };
    let (name, retries) = match spec.restart {
        Restart::No => (RestartPolicyNameEnum::NO, None),
        Restart::OnFailure(times) => (RestartPolicyNameEnum::ON_FAILURE, Some(i64::from(times))),
        Restart::Always => (RestartPolicyNameEnum::ALWAYS, None),
        Restart::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
    };
    HostConfig {
        network_mode: spec.network.clone(),
        binds: Some(spec.mounts.iter().map(bind).collect()),
        memory,
        memory_swap: memory,
        init: Some(spec.init),
        cap_drop: spec.confined.then(|| vec!["ALL".to_owned()]),
        security_opt: spec.confined.then(|| vec!["no-new-privileges".to_owned()]),
        readonly_rootfs: Some(spec.confined),
        port_bindings: (!spec.published.is_empty()).then(|| bindings(spec)),
        restart_policy: Some(RestartPolicy { name: Some(name), maximum_retry_count: retries }),
        ..HostConfig::default()
    }
}

fn port(port: &PublishedPort) -> String {
    let protocol = if port.protocol.is_empty() { "tcp" } else { &port.protocol };
    format!("{}/{protocol}", port.container_port)
}

fn bindings(spec: &ContainerSpec) -> PortMap {
    let mut bindings = PortMap::new();
    for one in &spec.published {
        let binding = PortBinding { host_ip: Some(one.host_ip.clone()), host_port: Some(one.host_port.to_string()) };
        bindings.entry(port(one)).or_default().get_or_insert_with(Vec::new).push(binding);
    }
    bindings
}

fn health(spec: &HealthSpec) -> HealthConfig {
    let nanos = |duration: Duration| i64::try_from(duration.as_nanos()).ok();
    HealthConfig {
        test: Some(std::iter::once("CMD".to_owned()).chain(spec.command.iter().cloned()).collect()),
        interval: nanos(spec.interval),
        timeout: nanos(spec.timeout),
        retries: Some(i64::from(spec.retries)),
        start_period: nanos(spec.start_period),
        start_interval: None,
    }
}
