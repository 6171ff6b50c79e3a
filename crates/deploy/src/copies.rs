//! The containers of one release: starting some of them, judging them, stopping and removing them.
//!
//! A copy is found by its name, which follows from the release and the copy's number, so everything here may be done
//! twice. Copies are handled side by side: three that take ten seconds to start take ten seconds together.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use machine::compose::{Compose, UpOptions};
use machine::docker::State as ContainerState;
use saga::{Abort, StepError};
use serde_json::{Value, json};

use crate::ends;
use crate::error::DeployError;
use crate::health::{self, Gate};
use crate::holders;
use crate::names;
use crate::own;
use crate::release::Release;
use crate::render::definition::{copy_key, unread, with_copies};
use crate::roll_out::steps::{LAST_LINES, gone, succeeded, wrap};
use crate::stopping::{self, StopPlan};
use crate::world::World;

/// Copies that have proved themselves.
#[derive(Debug, Clone)]
pub struct Proved {
    /// In the order of the copies' numbers; one that is on no network has none.
    pub addresses: Vec<IpAddr>,
    /// How long the slowest took.
    pub after: Duration,
    /// Every one of them has ended well.
    pub ended: bool,
}

/// Starts these copies with one run of Compose; one that runs is left as it is.
pub async fn start(world: &World, release: &Release, numbers: &[u32]) -> Result<(), StepError> {
    let Some(highest) = numbers.iter().max() else { return Ok(()) };
    let document = describe(world, release, *highest)?;
    own::create(world, release, &document, numbers).await?;
    // As in plain Compose, names are there as soon as anything runs: nginx does not start without its upstreams' names.
    holders::hold(world, &release.scope).await.map_err(wrap("give services their names"))?;
    let keys = numbers.iter().map(|number| copy_key(&release.definition.service, *number));
    let output = world.run(compose(world, release)?.up(&UpOptions::of(keys))).await;
    succeeded(&output.map_err(wrap("start the container"))?, "Docker could not start the container")
}

/// The Compose project of a release.
pub fn compose(world: &World, release: &Release) -> Result<Compose, StepError> {
    let file = world.root.join(&release.definition.file).map_err(wrap("find the release's definition"))?;
    Ok(Compose { dir: Some(world.root.path().to_owned()), ..Compose::new(&release.container, file) })
}

/// The Compose project of a container that runs once beside the release that serves: what it carries must not bring it
/// requests or jobs from programs that read the Docker socket. The file is there until `forget_once`.
pub fn compose_once(world: &World, release: &Release) -> Result<Compose, StepError> {
    let compose = compose(world, release)?;
    let read = world.root.read(&release.definition.file).map_err(wrap("read the release's definition"))?;
    let known = read.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let Some(known) = known else { return Ok(compose) };
    let wanted = unread(known.clone(), &release.definition.service);
    if wanted == known {
        return Ok(compose);
    }
    let file = once(release);
    let text = serde_json::to_vec_pretty(&wanted).map_err(wrap("write a definition"))?;
    world.root.write_atomic(&file, &text, 0o600).map_err(wrap("write a definition"))?;
    let path = world.root.join(&file).map_err(wrap("find a definition"))?;
    Ok(Compose { files: vec![path], ..compose })
}

/// Takes the file of `compose_once` away.
pub fn forget_once(world: &World, release: &Release) -> Result<(), StepError> {
    world.root.remove(once(release)).map(drop).map_err(wrap("remove a definition"))
}

fn once(release: &Release) -> String {
    let file = &release.definition.file;
    format!("{}.once.json", file.strip_suffix(".json").unwrap_or(file))
}

/// The release's definition gets what it takes to start so many copies.
fn describe(world: &World, release: &Release, copies: u32) -> Result<Value, StepError> {
    let file = &release.definition.file;
    let read = world.root.read(file).map_err(wrap("read the release's definition"))?;
    let gone = || StepError::because(format!("the definition of {} is gone", release.id));
    let known: Value =
        serde_json::from_slice(&read.ok_or_else(gone)?).map_err(wrap("read the release's definition"))?;
    let wanted = with_copies(known.clone(), &release.definition.service, &release.container, copies);
    if wanted == known {
        return Ok(known);
    }
    let text = serde_json::to_vec_pretty(&wanted).map_err(wrap("write the release's definition"))?;
    world.root.write_atomic(file, &text, 0o600).map_err(wrap("write the release's definition"))?;
    Ok(wanted)
}

/// Lets these copies prove themselves, each with the whole budget; the first that cannot decides.
pub async fn judge(world: &World, release: &Release, numbers: &[u32]) -> Result<Proved, StepError> {
    let gates = numbers.iter().map(|number| async {
        let container = names::copy(&release.container, *number);
        let gate = health::gate(world, release, &container).await;
        proved(world, release, &container, gate.map_err(wrap("judge the container's health"))?).await
    });
    let proved = try_join_all(gates).await?;
    let after = proved.iter().map(|one| one.after).max().unwrap_or_default();
    let ended = !proved.is_empty() && proved.iter().all(|one| one.ended);
    Ok(Proved { addresses: proved.into_iter().filter_map(|one| one.address).collect(), after, ended })
}

/// One copy that has proved itself.
struct One {
    address: Option<IpAddr>,
    after: Duration,
    ended: bool,
}

async fn proved(world: &World, release: &Release, container: &str, gate: Gate) -> Result<One, StepError> {
    let failed = match gate {
        Gate::Healthy { address, after } => return Ok(One { address, after, ended: false }),
        Gate::Ended { after } => match release.plan.port {
            None => return Ok(One { address: None, after, ended: true }),
            // An end is no answer, and traffic would be switched on nobody.
            Some(port) => {
                Gate::Unhealthy { cause: format!("it ended (exit 0) before it could be sent anything on port {port}") }
            }
        },
        other => other,
    };
    match failed {
        Gate::Healthy { .. } | Gate::Ended { .. } | Gate::Aborted => {
            Err(StepError::aborted("given up while waiting for health"))
        }
        Gate::Unhealthy { cause } => {
            let logs = health::last_lines(world, release, container, LAST_LINES).await;
            let detail = json!({ "cause": cause, "container": container, "logs": logs });
            Err(StepError::because(cause).with_detail(detail))
        }
    }
}

/// The addresses of these copies as they are now; an error when one of them does not run.
pub async fn addresses(world: &World, release: &Release, numbers: &[u32]) -> Result<Vec<IpAddr>, StepError> {
    let mut addresses = Vec::new();
    for number in numbers {
        let container = names::copy(&release.container, *number);
        let detail = health::inspect(world, &container).await.map_err(wrap("find the container"))?;
        let Some(detail) = detail.filter(|detail| detail.state == ContainerState::Running) else {
            return Err(StepError::because(format!("container `{container}` of {} does not run any more", release.id)));
        };
        addresses.extend(health::address(&detail));
    }
    Ok(addresses)
}

/// The same where a copy that has ended well is as good as one that runs; it has no address.
pub async fn in_order(world: &World, release: &Release, numbers: &[u32]) -> Result<Vec<IpAddr>, StepError> {
    let mut running = Vec::new();
    for number in numbers {
        let container = names::copy(&release.container, *number);
        let detail = health::inspect(world, &container).await.map_err(wrap("find the container"))?;
        if release.plan.port.is_some() || detail.as_ref().and_then(ends::code) != Some(0) {
            running.push(*number);
        }
    }
    addresses(world, release, &running).await
}

/// The addresses of those of the first so many copies that run.
pub async fn reachable(world: &World, release: &Release, copies: u32) -> Result<Vec<IpAddr>, StepError> {
    let mut addresses = Vec::new();
    for number in 1..=copies {
        let container = names::copy(&release.container, number);
        let detail = health::inspect(world, &container).await.map_err(wrap("find the container"))?;
        addresses
            .extend(detail.filter(|detail| detail.state == ContainerState::Running).as_ref().and_then(health::address));
    }
    Ok(addresses)
}

/// Those of the first so many copies that lie still or are gone, though they have not ended well.
pub async fn still(world: &World, release: &Release, copies: u32) -> Result<Vec<u32>, DeployError> {
    let mut still = Vec::new();
    for number in 1..=copies {
        let detail = health::inspect(world, &names::copy(&release.container, number)).await?;
        let is_missed = match detail {
            None => true,
            Some(detail) if matches!(detail.state, ContainerState::Exited | ContainerState::Dead) => {
                ends::trouble(release, &detail).is_some()
                    || crate::keeping::by_hand(world, release, &detail, None)?.is_some()
            }
            Some(detail) => detail.state == ContainerState::Created,
        };
        if is_missed {
            still.push(number);
        }
    }
    Ok(still)
}

/// Stops these copies, each within the service's grace, and keeps their containers.
pub async fn stop(world: &World, release: &Release, numbers: &[u32]) -> Result<(), StepError> {
    let plan = &StopPlan::of(world, release);
    each(numbers, |number| async move {
        let container = names::copy(&release.container, number);
        stopping::stop(world, &container, plan).await.map_err(wrap("stop a container"))
    })
    .await
}

/// Starts the containers of these copies again, and lets them prove themselves.
pub async fn bring_back(world: &World, release: &Release, numbers: &[u32]) -> Result<Vec<IpAddr>, StepError> {
    each(numbers, |number| async move {
        let container = names::copy(&release.container, number);
        stopping::settled(world, &container).await.map_err(wrap("wait for a stop that was begun"))?;
        match health::inspect(world, &container).await.map_err(wrap("find the container"))? {
            Some(_) => gone(world.docker.start(&container).await, "start the previous container again"),
            // It was removed meanwhile: its definition makes it again.
            None => start(world, release, &[number]).await,
        }
    })
    .await?;
    // Whoever asked to stop asked for this, so it does not stop for them.
    let world = &World::new(world.parts().clone(), world.talk.clone(), Abort::new());
    let back = judge(world, release, numbers).await;
    back.map(|proved| proved.addresses).map_err(|error| {
        StepError::failed(format!("the previous release {} did not become healthy again", release.id), error)
    })
}

/// Stops and removes these copies.
pub async fn clear(world: &World, release: &Release, numbers: &[u32]) -> Result<(), StepError> {
    let plan = &StopPlan::of(world, release);
    each(numbers, |number| async move {
        let container = names::copy(&release.container, number);
        stopping::remove(world, &container, plan).await.map_err(wrap("remove a container"))
    })
    .await
}

/// A copy that failed is stopped and kept, so that a person can look into it.
/// One that was never started, or that was given up by the operator, is cleared away.
pub async fn keep_failed(world: &World, release: &Release, numbers: &[u32]) -> Result<(), StepError> {
    let plan = &StopPlan::of(world, release);
    each(numbers, |number| async move {
        let container = names::copy(&release.container, number);
        let detail = health::inspect(world, &container).await.map_err(wrap("find the container"))?;
        let Some(detail) = detail else { return Ok(()) };
        if world.abort.is_requested() || detail.state == ContainerState::Created {
            return stopping::remove(world, &container, plan).await.map_err(wrap("remove the container"));
        }
        stopping::stop(world, &container, plan).await.map_err(wrap("stop the container"))
    })
    .await
}

/// Removes every container of a release, for whoever is not a step of a saga.
pub async fn remove(world: &World, release: &Release) -> Result<(), DeployError> {
    let plan = &StopPlan::of(world, release);
    let removals = release
        .containers()
        .into_iter()
        .map(|container| async move { stopping::remove(world, &container, plan).await });
    join_all(removals).await.into_iter().collect()
}

/// Does it for all of them side by side, and tells the first trouble when each has had its turn.
async fn each<F: Future<Output = Result<(), StepError>>>(
    numbers: &[u32],
    work: impl Fn(u32) -> F,
) -> Result<(), StepError> {
    join_all(numbers.iter().map(|number| work(*number))).await.into_iter().collect()
}
