//! The health gate: a release takes traffic only after it has proved itself.
//!
//! It fails fast on what can never become healthy (the container ended, ran out of memory, keeps
//! restarting), and otherwise gives each service its own budget.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use machine::docker::{ContainerDetail, Health as HealthState, Restart, State as ContainerState};
use machine::net::{GrpcHealth, NetError};
use spec::{Check, Health, ServiceName};

use crate::ends;
use crate::error::DeployError;
use crate::world::World;

/// What the gate found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    Healthy {
        address: Option<IpAddr>,
        after: Duration,
    },
    /// It has done its work: its end is the end, and its code is 0.
    Ended {
        after: Duration,
    },
    Unhealthy {
        cause: String,
    },
    Aborted,
}

/// One look at the container.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Look {
    Good,
    Ended,
    NotYet(String),
    Hopeless(String),
}

/// How long a service without any health check must listen without falling over.
const STABLE: Duration = Duration::from_secs(5);
/// How long a restarted container may take to show how it falls.
const SECOND_FALL: Duration = Duration::from_secs(3);
/// Pause before the success is confirmed; shorter than the interval, since the first success is in, and longer than
/// the first looks': what falls over right after its first answer shall have fallen.
const CONFIRM: Duration = Duration::from_millis(80);
/// The first looks come quickly, since many services are ready in a fraction of a second; the pause
/// then grows past the service's own interval to its longest.
const EAGER: Duration = Duration::from_millis(20);
const EAGER_FOR: Duration = Duration::from_secs(1);

pub async fn gate(world: &World, service: &ServiceName, container: &str, health: &Health) -> Result<Gate, DeployError> {
    let began = world.clock.monotonic();
    let mut successes = 0;
    let mut interval = health.interval.min(EAGER);
    let mut last = "it has not answered yet".to_owned();
    loop {
        if world.abort.is_requested() {
            return Ok(Gate::Aborted);
        }
        let detail = inspect(world, container).await?;
        let since = world.clock.monotonic().saturating_sub(began);
        match look(detail.as_ref(), health, since, world.clock.now_ms()).await {
            Look::Good => successes += 1,
            Look::Ended => return Ok(Gate::Ended { after: since }),
            Look::Hopeless(cause) => return Ok(Gate::Unhealthy { cause }),
            Look::NotYet(why) => {
                if why != last {
                    world.talk.passing(Some(service), format!("not ready yet: {why}"));
                }
                (successes, last) = (0, why);
            }
        }
        if successes >= health.successes || (successes > 0 && !probed(&health.check)) {
            let address = detail.as_ref().and_then(address);
            return Ok(Gate::Healthy { address, after: world.clock.monotonic().saturating_sub(began) });
        }
        if since >= health.budget {
            let budget = spec::units::human_duration(health.budget);
            return Ok(Gate::Unhealthy {
                cause: format!("not healthy within {budget}: {last}{}", elsewhere(detail.as_ref(), health)),
            });
        }
        let pause = if successes > 0 { CONFIRM.min(health.interval) } else { interval };
        tokio::time::sleep(pause).await;
        if since >= EAGER_FOR {
            interval = (interval + interval / 4).min(health.max_interval);
        }
    }
}

pub async fn inspect(world: &World, container: &str) -> Result<Option<ContainerDetail>, DeployError> {
    let detail = world.docker.inspect(container).await;
    detail.map_err(|source| DeployError::Docker { operation: format!("inspect container `{container}`"), source })
}

/// The container's address on any of its networks; the edge is on the host and reaches all of them.
pub fn address(detail: &ContainerDetail) -> Option<IpAddr> {
    let own = detail.networks.values().find_map(|network| network.address);
    // A container in the host's network is reached where the host itself is.
    own.or_else(|| detail.networks.contains_key("host").then_some(IpAddr::V4(Ipv4Addr::LOCALHOST)))
}

/// Checks that ask the service itself are confirmed; Docker's own verdict already is a series.
fn probed(check: &Check) -> bool {
    matches!(check, Check::Http { .. } | Check::Grpc { .. })
}

async fn look(detail: Option<&ContainerDetail>, health: &Health, since: Duration, now_ms: i64) -> Look {
    let Some(detail) = detail else { return Look::Hopeless("the container is gone".into()) };
    if let Some(look) = down(detail) {
        return look;
    }
    let tries = matches!(detail.restart, Restart::OnFailure(_));
    if detail.restart_count > 0 && !tries {
        return restarted(since);
    }
    // What is tried again has to stay up from its last start on.
    let up = detail.started_ms.and_then(|started| u64::try_from(now_ms - started).ok()).map(Duration::from_millis);
    let since = if detail.restart_count > 0 { since.min(up.unwrap_or_default()) } else { since };
    if detail.state != ContainerState::Running {
        return Look::NotYet(format!("the container is {}", format!("{:?}", detail.state).to_lowercase()));
    }
    match &health.check {
        Check::Http { path, port, status } => http(detail, path, *port, status, health.timeout).await,
        Check::Grpc { port, service, must_answer } => {
            let Some(ip) = address(detail) else { return Look::NotYet("it has no address yet".into()) };
            let addr = SocketAddr::new(ip, *port);
            grpc(machine::net::grpc_health(addr, service, health.timeout).await, *port, *must_answer, since)
        }
        Check::Tcp { port } => match tcp(detail, *port, health.timeout).await {
            Ok(()) => stays(detail, health, since),
            Err(why) => Look::NotYet(why),
        },
        Check::Docker => docker(detail),
        Check::Stable => stays(detail, health, since),
    }
}

/// It fell over and runs again, so its exit code is not to be seen now. One that falls over again soon tells it then.
fn restarted(since: Duration) -> Look {
    let text = "it crashed and was restarted".to_owned();
    if since < SECOND_FALL { Look::NotYet(text) } else { Look::Hopeless(text) }
}

/// How what was killed is called. Docker does not always notice in time that memory was the cause.
pub(crate) fn killed(detail: &ContainerDetail) -> Option<&'static str> {
    if detail.oom_killed {
        return Some("out of memory: the kernel killed it at its memory limit");
    }
    (detail.exit_code == Some(137) && detail.state != ContainerState::Running)
        .then_some("it was killed (exit code 137); running out of memory is the usual cause")
}

/// What does not run: it has ended well, is tried again, or can never become healthy.
fn down(detail: &ContainerDetail) -> Option<Look> {
    if let Some(cause) = killed(detail) {
        return Some(Look::Hopeless(cause.into()));
    }
    let code = detail.exit_code.unwrap_or_default();
    match (detail.state, detail.restart) {
        (ContainerState::Exited, _) if ends::code(detail) == Some(0) => Some(Look::Ended),
        (ContainerState::Exited | ContainerState::Dead, _) => {
            let said = detail.error.as_deref().filter(|text| !text.is_empty());
            let said = said.map(|text| format!(": {text}")).unwrap_or_default();
            Some(Look::Hopeless(format!("it exited with code {code}{said}")))
        }
        (ContainerState::Restarting, Restart::OnFailure(_)) => {
            Some(Look::NotYet(format!("it exited with code {code}, and Docker tries it again (`restart: on-failure`)")))
        }
        (ContainerState::Restarting, policy) if code == 0 => {
            let policy = if policy == Restart::Always { "always" } else { "unless-stopped" };
            Some(Look::Hopeless(format!(
                "it exited with code 0 and is restarted, because its `restart` policy is `{policy}`; if it is meant to end, write `restart: on-failure`, or `strategy: job` in mainstay.yaml"
            )))
        }
        (ContainerState::Restarting, _) => Some(Look::Hopeless(format!("it exited with code {code} and is restarted"))),
        _ => None,
    }
}

async fn http(
    detail: &ContainerDetail,
    path: &str,
    port: u16,
    status: &spec::platform::StatusRange,
    timeout: Duration,
) -> Look {
    let Some(ip) = address(detail) else { return Look::NotYet("it has no address yet".into()) };
    match machine::net::http_get(SocketAddr::new(ip, port), "localhost", path, timeout).await {
        Ok((code, _)) if (status.from..=status.to).contains(&code) => Look::Good,
        Ok((code, body)) => {
            let text: String = String::from_utf8_lossy(&body).chars().take(120).collect();
            Look::NotYet(format!("{path} on port {port} answers {code} {}", text.trim()))
        }
        Err(error) => Look::NotYet(format!("{path} on port {port}: {error}")),
    }
}

/// What a gRPC server said of itself. One without the health protocol has at least answered; where that is not enough
/// to be sure, it has to stay up for as long as one that was only connected to.
fn grpc(said: Result<GrpcHealth, NetError>, port: u16, must_answer: bool, since: Duration) -> Look {
    match said {
        Ok(GrpcHealth::Serving) => Look::Good,
        Ok(GrpcHealth::NoHealthService) if !must_answer => stable(since),
        Ok(GrpcHealth::NoHealthService) => Look::NotYet(format!(
            "the gRPC server on port {port} has no health service (grpc.health.v1); add it, or write `check: tcp`"
        )),
        Ok(GrpcHealth::NotServing) => Look::NotYet(format!("the gRPC server on port {port} says NOT_SERVING")),
        Ok(GrpcHealth::UnknownService) => {
            Look::NotYet(format!("the gRPC server on port {port} knows no such service in its health"))
        }
        Ok(GrpcHealth::Failed(code)) => {
            Look::NotYet(format!("the gRPC health check on port {port} failed with code {code}"))
        }
        Err(error) => Look::NotYet(format!("gRPC health on port {port}: {error}")),
    }
}

async fn tcp(detail: &ContainerDetail, port: u16, timeout: Duration) -> Result<(), String> {
    let ip = address(detail).ok_or("it has no address yet")?;
    let connected = machine::net::tcp_connect(SocketAddr::new(ip, port), timeout).await;
    connected.map_err(|error| format!("port {port}: {error}"))
}

/// A health check that the image brings along knows more than time does, and counts where the files say nothing.
fn stays(detail: &ContainerDetail, health: &Health, since: Duration) -> Look {
    if !health.with_images_own || detail.health.is_none() {
        return stable(since);
    }
    match docker(detail) {
        Look::NotYet(why) => Look::NotYet(format!(
            "{why} (the image brings it along; `health` in mainstay.yaml proves the service another way)"
        )),
        look => look,
    }
}

fn docker(detail: &ContainerDetail) -> Look {
    match detail.health {
        Some(HealthState::Healthy) => Look::Good,
        Some(HealthState::Unhealthy) => Look::NotYet("its own health check fails".into()),
        Some(HealthState::Starting) => Look::NotYet("its own health check is still starting".into()),
        None => Look::NotYet("it has no health check of its own".into()),
    }
}

fn stable(since: Duration) -> Look {
    match since >= STABLE {
        true => Look::Good,
        false => Look::NotYet("it has to stay up for 5 s".into()),
    }
}

/// A wrong port is the commonest mistake: say where the service does listen.
fn elsewhere(detail: Option<&ContainerDetail>, health: &Health) -> String {
    let port = match &health.check {
        Check::Http { port, .. } | Check::Grpc { port, .. } | Check::Tcp { port } => *port,
        _ => return String::new(),
    };
    let Some(pid) = detail.and_then(|detail| detail.pid) else { return String::new() };
    let listening = machine::net::listening_ports(pid);
    if listening.is_empty() || listening.contains(&port) {
        return String::new();
    }
    let ports: Vec<String> = listening.iter().map(u16::to_string).collect();
    format!("; it listens on port {} instead", ports.join(", "))
}

/// The last lines a container wrote, for the report of a failure.
pub async fn last_lines(world: &World, container: &str, count: usize) -> Vec<String> {
    world.docker.logs(container, count).await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked(said: GrpcHealth, must_answer: bool, seconds: u64) -> Look {
        grpc(Ok(said), 50051, must_answer, Duration::from_secs(seconds))
    }

    #[test]
    fn a_grpc_server_that_serves_is_good_at_once_and_one_that_does_not_never_is() {
        assert_eq!(looked(GrpcHealth::Serving, true, 0), Look::Good);
        for said in [GrpcHealth::NotServing, GrpcHealth::UnknownService, GrpcHealth::Failed(14)] {
            assert!(matches!(looked(said, false, 60), Look::NotYet(_)), "{said:?}");
        }
    }

    #[test]
    fn a_grpc_server_without_health_has_to_stay_up_unless_its_health_was_asked_for() {
        assert!(matches!(looked(GrpcHealth::NoHealthService, false, 4), Look::NotYet(_)));
        assert_eq!(looked(GrpcHealth::NoHealthService, false, 5), Look::Good);
        let Look::NotYet(why) = looked(GrpcHealth::NoHealthService, true, 60) else { panic!("not good") };
        assert!(why.contains("write `check: tcp`"), "{why}");
    }
}
