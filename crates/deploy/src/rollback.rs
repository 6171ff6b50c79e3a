//! Back to an earlier release: a routing change when its container is still warm, the ordinary
//! roll-out with the stored definition when it is not. One code path for both.

pub mod preflight;

use machine::docker::State as ContainerState;
use serde::{Deserialize, Serialize};
use spec::{ReleaseId, ServiceName, Strategy};

use crate::error::DeployError;
use crate::names::Scope;
use crate::release::{Release, State};
use crate::report::{Report, ServiceReport};
use crate::roll_out::{Params, after, must_be_alone};
use crate::world::World;
use crate::{health, hooks, places};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    pub scope: Scope,
    pub service: ServiceName,
    /// The previous good release when not said.
    pub to: Option<ReleaseId>,
    pub by: String,
    #[serde(default)]
    pub why: String,
    /// Go back although a later release's migration has changed what this one uses.
    #[serde(default)]
    pub past_migration: bool,
}

/// What a rollback would do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Way {
    pub service: ServiceName,
    pub from: Option<ReleaseId>,
    pub to: ReleaseId,
    pub image: String,
    /// Its container still runs, so that traffic can go back at once.
    pub warm: bool,
    pub why: String,
    /// What would break, because migrations of later releases have run.
    #[serde(default)]
    pub breaks: Vec<String>,
}

/// Chooses the release and proves that it can be had, before anything is touched.
pub async fn way(world: &World, request: &Request) -> Result<Way, DeployError> {
    let releases = world.releases(&request.scope, Some(&request.service))?;
    let serving = world.serving_of(&request.scope, &request.service)?;
    let to = choose(&releases, serving.as_ref(), request)?;
    let breaks = world.migrations_past(&request.scope, &request.service, &to.id)?;
    if !breaks.is_empty() && !request.past_migration {
        return Err(DeployError::PastMigration {
            service: request.service.clone(),
            release: to.id.clone(),
            breaks: breaks.join("; "),
        });
    }
    places::refuse_return(world, to)?;
    let copies = wanted_copies(serving.as_ref(), to);
    let warm = is_warm(world, to, copies).await?;
    if !warm {
        preflight::check(world, to).await?;
    }
    let schema = schema_note(serving.as_ref(), to);
    Ok(Way {
        service: request.service.clone(),
        from: serving.map(|serving| serving.id),
        to: to.id.clone(),
        image: to.image.reference.clone(),
        warm,
        why: match warm {
            true => format!("{} is still warm: traffic goes back with one routing change{schema}", to.id),
            false => format!("{} is started again from its stored definition{schema}", to.id),
        },
        breaks,
    })
}

/// Migrations only go forward, so a release may meet a schema that is newer than the one it was made for.
fn schema_note(serving: Option<&Release>, to: &Release) -> String {
    let now = serving.and_then(|serving| serving.origin.schema.as_deref());
    match (now, to.origin.schema.as_deref()) {
        (Some(now), Some(then)) if now != then => {
            format!("; it was made for schema {then}, and the database is at {now}")
        }
        _ => String::new(),
    }
}

pub async fn rollback(world: &World, operation: &str, request: &Request) -> Result<Report, DeployError> {
    let began = world.clock.monotonic();
    let way = way(world, request).await?;
    let stored = world.release(&request.scope, &request.service, &way.to)?;
    let unknown = || DeployError::Unknown { what: format!("release {}", way.to), known: String::new() };
    let mut release = stored.ok_or_else(unknown)?;
    release.by.clone_from(&request.by);
    let serving = world.serving_of(&request.scope, &request.service)?;
    release.copies = wanted_copies(serving.as_ref(), &release);
    // What serves must not meet another release, however that one was deployed.
    release.plan.strategy = strategy(serving.as_ref(), &release);
    let operation = format!("{operation}.rollback");
    let alone = must_be_alone(&release, serving.as_ref());
    let previous_copies = serving.map_or(1, |serving| serving.copies);
    let params = Params {
        operation,
        release,
        previous: way.from,
        previous_copies,
        start: !way.warm,
        migrate: false,
        // Whoever goes back knows why, and the way forward again is no rescue.
        soak: false,
        canary: None,
        alone,
        leaving: Vec::new(),
    };
    let report: ServiceReport = after::run(world, params, began).await?;
    if let Some(platform) = world.platform(&request.scope)? {
        let services = request.service.to_string();
        let about = hooks::About { scope: &request.scope, dir: &platform.dir, services: &services, by: &request.by };
        hooks::after(world, about, "post_rollback", &platform.hooks.post_rollback).await;
    }
    let took = world.clock.monotonic().saturating_sub(began);
    Ok(Report::new(request.scope.clone(), vec![report], u64::try_from(took.as_millis()).unwrap_or(u64::MAX)))
}

/// Among the releases older than the serving one, the one that served last.
fn choose<'a>(
    releases: &'a [Release],
    serving: Option<&Release>,
    request: &Request,
) -> Result<&'a Release, DeployError> {
    let known = || releases.iter().map(|release| release.id.to_string()).collect::<Vec<_>>().join(", ");
    if let Some(wanted) = &request.to {
        let found = releases.iter().find(|release| release.id == *wanted);
        let found = found.ok_or_else(|| DeployError::Unknown {
            what: format!("release {wanted} of `{}`", request.service),
            known: known(),
        })?;
        if serving.is_some_and(|serving| serving.id == found.id) {
            return Err(DeployError::Refused(format!("{wanted} serves already")));
        }
        return Ok(found);
    }
    let limit = serving.map_or(u64::MAX, |serving| serving.id.number());
    let good = |release: &&Release| {
        release.id.number() < limit && release.switched_ms.is_some() && !matches!(release.state, State::Failed { .. })
    };
    // The one that served last before this one: after a rollback from a bad release and a newer deploy, that is not
    // the bad one, though its number is higher.
    releases.iter().filter(good).max_by_key(|release| release.switched_ms).ok_or_else(|| {
        DeployError::Refused(format!(
            "`{}` has no earlier good release to go back to (known: {})",
            request.service,
            known()
        ))
    })
}

fn strategy(serving: Option<&Release>, to: &Release) -> Strategy {
    let is_alone = serving.is_some_and(|serving| serving.plan.strategy == Strategy::Exclusive);
    if is_alone && to.side_by_side() { Strategy::Exclusive } else { to.plan.strategy }
}

/// As many as serve now: how many are needed does not depend on the release.
fn wanted_copies(serving: Option<&Release>, to: &Release) -> u32 {
    match to.plan.strategy {
        Strategy::Job => 1,
        Strategy::Exclusive if to.plan.replicas < 2 => 1,
        _ => serving.map_or(to.copies, |serving| serving.copies),
    }
}

pub(crate) async fn is_warm(world: &World, release: &Release, copies: u32) -> Result<bool, DeployError> {
    if release.state != State::Parked || release.copies != copies {
        return Ok(false);
    }
    for container in release.containers() {
        let detail = health::inspect(world, &container).await?;
        if detail.is_none_or(|detail| detail.state != ContainerState::Running) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::{Definition, ImagePin};
    use spec::{EnvironmentName, PlatformName, ServicePlan};

    fn scope() -> Scope {
        Scope { platform: PlatformName::parse("p").unwrap(), environment: EnvironmentName::parse("e").unwrap() }
    }

    fn web() -> ServiceName {
        ServiceName::parse("web").unwrap()
    }

    fn release(number: u64, state: State, switched_ms: Option<i64>) -> Release {
        Release {
            id: ReleaseId::new(number),
            scope: scope(),
            service: web(),
            image: ImagePin { reference: String::new(), id: String::new(), instead_of: None },
            definition: Definition { file: String::new(), service: String::new(), hash: String::new() },
            plan: ServicePlan::new(web(), Strategy::BlueGreen),
            state,
            container: String::new(),
            targets: vec![],
            copies: 1,
            addresses: vec![],
            listens: Default::default(),
            making_way_for: None,
            guests: None,
            gateway_names: true,
            origin: Default::default(),
            by: String::new(),
            why: String::new(),
            created_ms: 0,
            switched_ms,
            parked_until_ms: None,
            healthy_after_ms: None,
        }
    }

    #[test]
    fn the_way_back_from_an_exclusive_release_stops_it_first() {
        let (to, mut serving) = (release(1, State::Retired, Some(1)), release(2, State::Serving, Some(2)));
        assert_eq!(strategy(Some(&serving), &to), Strategy::BlueGreen);
        serving.plan.strategy = Strategy::Exclusive;
        assert_eq!(strategy(Some(&serving), &to), Strategy::Exclusive);
        serving.plan.strategy = Strategy::BlueGreen;
        let mut alone = release(1, State::Retired, Some(1));
        (alone.plan.strategy, alone.plan.replicas, serving.copies) = (Strategy::Exclusive, 1, 3);
        assert_eq!((strategy(Some(&serving), &alone), wanted_copies(Some(&serving), &alone)), (Strategy::Exclusive, 1));
        alone.plan.replicas = 2;
        assert_eq!(wanted_copies(Some(&serving), &alone), 3);
    }

    fn back_from(releases: &[Release], to: Option<u64>) -> Result<u64, DeployError> {
        let serving = releases.iter().find(|release| release.state == State::Serving);
        let request = Request {
            scope: scope(),
            service: web(),
            to: to.map(ReleaseId::new),
            by: String::new(),
            why: String::new(),
            past_migration: false,
        };
        choose(releases, serving, &request).map(|release| release.id.number())
    }

    #[test]
    fn the_way_back_skips_a_release_that_was_itself_rolled_back_from() {
        // r2 was bad, r1 came back, then r3 was deployed.
        let releases = [
            release(1, State::Parked, Some(30)),
            release(2, State::Retired, Some(20)),
            release(3, State::Serving, Some(40)),
        ];
        assert_eq!(back_from(&releases, None).unwrap(), 1);
    }

    #[test]
    fn the_way_back_skips_releases_that_never_served_or_failed() {
        let failed = State::Failed { reason: String::new() };
        let releases =
            [release(1, State::Retired, Some(10)), release(2, failed, None), release(3, State::Serving, Some(30))];
        assert_eq!(back_from(&releases, None).unwrap(), 1);
    }

    #[test]
    fn without_an_earlier_release_going_back_is_refused_and_never_goes_forward() {
        let releases = [release(1, State::Serving, Some(30)), release(2, State::Parked, Some(20))];
        assert!(matches!(back_from(&releases, None), Err(DeployError::Refused(_))));
        assert_eq!(back_from(&releases, Some(2)).unwrap(), 2, "unless it is named");
    }
}
