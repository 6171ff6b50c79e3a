//! The health gate: a release takes traffic only after it has proved itself.
//!
//! A check that the compose file or the image declares is run as Docker runs it: see [`declared`]. The gate
//! fails fast on what can never become healthy (the container ended, ran out of memory, keeps
//! restarting), and otherwise gives each service its own budget.

mod declared;
mod turned;
mod wording;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use machine::docker::{ContainerDetail, Health as HealthState, Restart, State as ContainerState};
use machine::net::{GrpcHealth, HttpQuestion, NetError};
use spec::{Check, Health};

use crate::ends;
use crate::error::DeployError;
use crate::release::Release;
use crate::world::World;

use declared::Declared;
pub use turned::turned;
pub(crate) use wording::Wording;

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
    /// Docker itself has called it healthy, and does so after a series of its own.
    Proved,
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
/// Passing lines about what is not ready yet.
const TELL_EVERY: Duration = Duration::from_secs(1);

pub async fn gate(world: &World, release: &Release, container: &str) -> Result<Gate, DeployError> {
    let health = &release.plan.health;
    let began = world.clock.monotonic();
    let (mut successes, mut interval) = (0, health.interval.min(EAGER));
    let (mut declared, mut told, mut wording) = (Declared::default(), Told::default(), None);
    loop {
        if world.abort.is_requested() {
            return Ok(Gate::Aborted);
        }
        let detail = inspect(world, container).await?;
        let wording: &Wording = match &detail {
            Some(detail) => wording.get_or_insert_with(|| Wording::of(world, release, detail)),
            None => &Wording::default(),
        };
        let since = world.clock.monotonic().saturating_sub(began);
        let looking = Looking { world, health, wording, since };
        match looking.look(detail.as_ref(), &mut declared).await {
            Look::Good => successes += 1,
            Look::Proved => successes = successes.max(health.successes),
            Look::Ended => return Ok(Gate::Ended { after: since }),
            Look::Hopeless(cause) => return Ok(Gate::Unhealthy { cause }),
            Look::NotYet(why) => {
                told.not_ready(world, release, since, &why);
                (successes, told.last) = (0, why);
            }
        }
        let is_enough = successes >= health.successes || (successes > 0 && !probed(&health.check));
        if is_enough && (!runs_inside(health, detail.as_ref()) || stays_up(world, container, detail.as_ref()).await?) {
            let address = detail.as_ref().and_then(address);
            told.overridden(world, release, detail.as_ref(), wording);
            return Ok(Gate::Healthy { address, after: world.clock.monotonic().saturating_sub(began) });
        }
        if since >= health.budget {
            let budget = spec::units::human_duration(health.budget);
            let more = elsewhere(detail.as_ref(), health).unwrap_or_else(|| also(detail.as_ref(), health, wording));
            return Ok(Gate::Unhealthy { cause: format!("not healthy within {budget}: {}{more}", told.last) });
        }
        let pause = if successes > 0 { CONFIRM.min(health.interval) } else { interval };
        declared.pause(pause).await;
        if since >= EAGER_FOR {
            interval = (interval + interval / 4).min(health.max_interval);
        }
    }
}

/// What the gate has told so far.
struct Told {
    last: String,
    at: Option<Duration>,
}

impl Default for Told {
    fn default() -> Told {
        Told { last: "it has not answered yet".to_owned(), at: None }
    }
}

impl Told {
    /// What a command writes may be another text each time, so a second lies between two lines.
    fn not_ready(&mut self, world: &World, release: &Release, since: Duration, why: &str) {
        if why != self.last && self.at.is_none_or(|at| since >= at + TELL_EVERY) {
            self.at = Some(since);
            world.talk.passing(Some(&release.service), format!("not ready yet: {why}"));
        }
    }

    /// The platform file's word counts, but Docker's is not kept from anybody.
    fn overridden(&self, world: &World, release: &Release, detail: Option<&ContainerDetail>, wording: &Wording) {
        let unhealthy = detail.filter(|detail| detail.health == Some(HealthState::Unhealthy));
        if let Some(detail) = unhealthy {
            let text = format!(
                "warning: {} is healthy by the platform file's `health`, but {}",
                release.id,
                wording.unhealthy(detail)
            );
            world.talk.say(Some(&release.service), text);
        }
    }
}

/// Whether the check that the compose file or the image declares is the one that counts.
pub(crate) fn counts_dockers(health: &Health) -> bool {
    health.check == Check::Docker || health.with_images_own
}

/// Whether the proof came from a command inside: it says nothing of the moment after.
fn runs_inside(health: &Health, detail: Option<&ContainerDetail>) -> bool {
    counts_dockers(health) && detail.is_some_and(|detail| detail.health != Some(HealthState::Healthy))
}

/// What falls over right after its check has passed shall have fallen.
async fn stays_up(world: &World, container: &str, before: Option<&ContainerDetail>) -> Result<bool, DeployError> {
    let Some(before) = before.filter(|before| before.health_check.is_some()) else { return Ok(true) };
    tokio::time::sleep(CONFIRM).await;
    let now = inspect(world, container).await?;
    Ok(now.is_some_and(|now| {
        let is_same = now.started_ms == before.started_ms && now.restart_count == before.restart_count;
        is_same && now.state == ContainerState::Running && now.health != Some(HealthState::Unhealthy)
    }))
}

pub async fn inspect(world: &World, container: &str) -> Result<Option<ContainerDetail>, DeployError> {
    let detail = world.docker.inspect(container).await;
    detail.map_err(|source| DeployError::Docker { operation: format!("inspect container `{container}`"), source })
}

/// The container's address on a network on which the host reaches it; where there is none, on any.
pub fn address(detail: &ContainerDetail) -> Option<IpAddr> {
    let addresses = || detail.networks.values().filter_map(|network| network.address);
    let is_reached = |address: &IpAddr| matches!(address, IpAddr::V4(v4) if machine::net::is_behind_a_bridge(*v4));
    let own = match addresses().nth(1) {
        Some(_) => addresses().find(is_reached).or_else(|| addresses().next()),
        None => addresses().next(),
    };
    // A container in the host's network is reached where the host itself is.
    own.or_else(|| detail.networks.contains_key("host").then_some(IpAddr::V4(Ipv4Addr::LOCALHOST)))
}

/// Checks that ask the service itself may have to pass several times.
fn probed(check: &Check) -> bool {
    matches!(check, Check::Http { .. } | Check::Grpc { .. } | Check::Docker)
}

/// What a look goes by.
struct Looking<'a> {
    world: &'a World,
    health: &'a Health,
    wording: &'a Wording,
    since: Duration,
}

impl Looking<'_> {
    async fn look(&self, detail: Option<&ContainerDetail>, declared: &mut Declared) -> Look {
        let Some(detail) = detail else { return Look::Hopeless("the container is gone".into()) };
        if let Some(look) = down(detail) {
            return look;
        }
        let tries = matches!(detail.restart, Restart::OnFailure(_));
        if detail.restart_count > 0 && !tries {
            return restarted(self.since);
        }
        // What is tried again has to stay up from its last start on.
        let now_ms = self.world.clock.now_ms();
        let up = detail.started_ms.and_then(|started| u64::try_from(now_ms - started).ok()).map(Duration::from_millis);
        let since = if detail.restart_count > 0 { self.since.min(up.unwrap_or_default()) } else { self.since };
        if detail.state != ContainerState::Running {
            return Look::NotYet(format!("the container is {}", format!("{:?}", detail.state).to_lowercase()));
        }
        let timeout = self.health.timeout;
        match &self.health.check {
            Check::Http { path, port, status, host, https } => {
                let host = host.as_deref().unwrap_or("localhost");
                http(detail, *port, &HttpQuestion { host, path, https: *https }, status, timeout).await
            }
            Check::Grpc { port, service, must_answer } => {
                let Some(ip) = address(detail) else { return Look::NotYet("it has no address yet".into()) };
                let addr = SocketAddr::new(ip, *port);
                grpc(machine::net::grpc_health(addr, service, timeout).await, *port, *must_answer, since)
            }
            Check::Tcp { port } => match tcp(detail, *port, timeout).await {
                Ok(()) => self.stays(detail, since, declared).await,
                Err(why) => Look::NotYet(why),
            },
            Check::Docker => declared.look(self.world, detail, self.wording).await,
            Check::Stable => self.stays(detail, since, declared).await,
        }
    }

    /// A health check that the image brings along knows more than time does, and counts where the files say nothing.
    async fn stays(&self, detail: &ContainerDetail, since: Duration, declared: &mut Declared) -> Look {
        if !self.health.with_images_own || (detail.health_check.is_none() && detail.health.is_none()) {
            return stable(since);
        }
        match declared.look(self.world, detail, self.wording).await {
            Look::NotYet(why) => Look::NotYet(format!(
                "{why} (the image brings it along; `health` in mainstay.yaml proves the service another way)"
            )),
            look => look,
        }
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
    port: u16,
    question: &HttpQuestion<'_>,
    status: &spec::platform::StatusRange,
    timeout: Duration,
) -> Look {
    let Some(ip) = address(detail) else { return Look::NotYet("it has no address yet".into()) };
    let HttpQuestion { host, path, .. } = question;
    let host = if *host == "localhost" { String::new() } else { format!(" for host {host}") };
    match machine::net::http_ask(SocketAddr::new(ip, port), question, timeout).await {
        Ok((code, _)) if (status.from..=status.to).contains(&code) => Look::Good,
        Ok((code, body)) => {
            let text: String = String::from_utf8_lossy(&body).chars().take(120).collect();
            Look::NotYet(format!("{path} on port {port}{host} answers {code} {}", text.trim()))
        }
        Err(error) => Look::NotYet(format!("{path} on port {port}{host}: {error}")),
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

fn stable(since: Duration) -> Look {
    match since >= STABLE {
        true => Look::Good,
        false => Look::NotYet("it has to stay up for 5 s".into()),
    }
}

/// A wrong port is the commonest mistake: say where the service does listen.
fn elsewhere(detail: Option<&ContainerDetail>, health: &Health) -> Option<String> {
    let port = match &health.check {
        Check::Http { port, .. } | Check::Grpc { port, .. } | Check::Tcp { port } => *port,
        _ => return None,
    };
    let listening = machine::net::listening_ports(detail?.pid?);
    if listening.is_empty() || listening.contains(&port) {
        return None;
    }
    let ports: Vec<String> = listening.iter().map(u16::to_string).collect();
    Some(format!("; it listens on port {} instead", ports.join(", ")))
}

/// What Docker says beside a check that the platform file has put in the place of the declared one.
fn also(detail: Option<&ContainerDetail>, health: &Health, wording: &Wording) -> String {
    let unhealthy = detail.filter(|detail| detail.health == Some(HealthState::Unhealthy) && !counts_dockers(health));
    unhealthy.map_or_else(String::new, |detail| format!("; {}", wording.unhealthy(detail)))
}

/// The last lines a container of a release wrote, for the report of a failure: what is a secret there is left out, since
/// a report is printed, stored and sent to others.
pub async fn last_lines(world: &World, release: &Release, container: &str, count: usize) -> Vec<String> {
    let detail = inspect(world, container).await.ok().flatten().unwrap_or_default();
    let wording = Wording::of(world, release, &detail);
    let lines = world.docker.logs(container, count).await.unwrap_or_default();
    lines.iter().map(|line| wording.clean(line)).collect()
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
