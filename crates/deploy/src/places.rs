//! Who writes where: no data has more writers than plain Compose would give it.
//!
//! Within one `up` what leaves and what comes are put in an order where they share data, a port that Docker publishes
//! or a fixed address; a service of another environment or platform that writes the same data is a reason to refuse,
//! and so is a container that nobody here has made, where a database's files are at stake.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use machine::docker::{Container, MountKind, MountPoint};
use serde_json::Value;
use spec::data::single_file::{self, FileFacts};
use spec::facts::{PathFacts, PathKind};
use spec::{DataMount, Place, ServiceName, ServicePlan};

use crate::error::DeployError;
use crate::facts;
use crate::leaving::Leaving;
use crate::load::Loaded;
use crate::names::{self, Scope};
use crate::plan::{Action, Change};
use crate::release::{Release, State};
use crate::world::World;

/// What only one of two services can have beside data: ports that Docker publishes, fixed addresses.
pub type Claims = BTreeSet<String>;

/// Those of a service's part of a definition.
pub fn claims(service: &Value) -> Claims {
    let listed = |key: &str| service.get(key).and_then(Value::as_array).into_iter().flatten();
    let port = |port: &Value| {
        let published = port.get("published")?;
        let published = published.as_str().map_or_else(|| published.to_string(), str::to_owned);
        let protocol = port.get("protocol").and_then(Value::as_str).unwrap_or("tcp");
        (!published.is_empty()).then(|| format!("port {published}/{protocol}"))
    };
    let networks = service.get("networks").and_then(Value::as_object).into_iter().flatten();
    let address = |(_, network): (&String, &Value)| {
        ["ipv4_address", "ipv6_address", "mac_address"]
            .into_iter()
            .find_map(|key| Some(format!("address {}", network.get(key)?.as_str()?)))
    };
    listed("ports").filter_map(port).chain(networks.filter_map(address)).collect()
}

/// Those of a release, by its stored definition.
pub fn claims_of(world: &World, release: &Release) -> Result<Claims, DeployError> {
    Ok(definition(world, release)?
        .as_ref()
        .and_then(|document| document.get("services")?.get(&release.definition.service))
        .map(claims)
        .unwrap_or_default())
}

/// The stored definition of a release, where it can be read.
pub fn definition(world: &World, release: &Release) -> Result<Option<Value>, DeployError> {
    let read = world.root.read(&release.definition.file);
    let failed = |source| DeployError::State { operation: format!("read the definition of {}", release.id), source };
    Ok(read.map_err(failed)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// What two services cannot both have, in words.
fn contested(one: (&ServicePlan, &Claims), other: (&ServicePlan, &Claims)) -> Option<String> {
    let data = one.0.shared_with(other.0).map(|(mine, _)| mine.what.clone());
    data.or_else(|| one.1.intersection(other.1).next().cloned())
}

/// What the changes of one `up` do to each other.
#[derive(Debug, Clone, Default)]
pub struct Arranged {
    /// What makes way for a service that comes.
    pub leaving: BTreeMap<ServiceName, Vec<Leaving>>,
    /// Which changes have to be over before a service's own begins.
    pub after: Turns,
}

/// Puts what leaves and what comes in an order; what cannot be put in one is refused.
pub fn arrange(
    world: &World,
    loaded: &Loaded,
    serving: &BTreeMap<ServiceName, Release>,
    changes: &mut [Change],
) -> Result<Arranged, DeployError> {
    let mut arranged = Arranged::default();
    let mut there = BTreeMap::new();
    for (service, release) in serving {
        there.insert(service.clone(), claims_of(world, release)?);
    }
    let none = Claims::new();
    let actions: BTreeMap<ServiceName, Action> =
        changes.iter().map(|change| (change.service.clone(), change.action)).collect();
    let mut claimed: BTreeMap<ServiceName, ServiceName> = BTreeMap::new();
    let coming = |change: &&mut Change| matches!(change.action, Action::Create | Action::Update) && !change.as_it_was;
    for change in changes.iter_mut().filter(coming) {
        let Some(new) = loaded.platform.service(change.service.as_ref()) else { continue };
        let new_claims = loaded.source(new).claims();
        for (other, release) in serving.iter().filter(|(other, _)| **other != change.service) {
            let clash = contested((new, &new_claims), (&release.plan, there.get(other).unwrap_or(&none)));
            let is_removed = actions.get(other) == Some(&Action::Remove);
            let routes = || new.routes.iter().any(|one| release.plan.routes.iter().any(|two| one.meets(two)));
            let Some(clash) = clash else {
                if is_removed && routes() && !claimed.contains_key(other) {
                    claimed.insert(other.clone(), change.service.clone());
                    leave(&mut arranged, change, release, false);
                }
                continue;
            };
            // The file itself lets both have it.
            let wanted = loaded.platform.service(other.as_ref());
            let is_meant = wanted.is_some_and(|wanted| {
                contested((new, &new_claims), (wanted, &loaded.source(wanted).claims())).is_some()
            });
            if is_meant {
                continue;
            }
            match actions.get(other) {
                Some(Action::Remove) => match claimed.get(other) {
                    Some(first) => {
                        arranged.after.entry(change.service.clone()).or_default().insert(first.clone());
                    }
                    None => {
                        claimed.insert(other.clone(), change.service.clone());
                        change.reasons.push(format!("takes over {clash} from `{other}`, which is stopped first"));
                        leave(&mut arranged, change, release, true);
                    }
                },
                Some(Action::Update) => {
                    change.reasons.push(format!("takes over {clash} from `{other}`, which changes first"));
                    arranged.after.entry(change.service.clone()).or_default().insert(other.clone());
                }
                _ => return Err(still_there(change, other, release, &clash, wanted.is_some())),
            }
        }
    }
    for change in changes.iter_mut().filter(|change| change.action == Action::Remove) {
        if let Some(next) = claimed.get(&change.service) {
            change.reasons.push(format!("`{next}` takes its place, and it comes back if that fails"));
            change.replaced_by = Some(next.clone());
        }
    }
    let needs: Turns = loaded.platform.services.iter().map(turn_of).collect();
    refuse_circles(&arranged.after, needs)?;
    Ok(arranged)
}

fn leave(arranged: &mut Arranged, change: &Change, release: &Release, first: bool) {
    let leaving = Leaving::Service { service: release.service.clone(), release: release.id.clone(), first };
    arranged.leaving.entry(change.service.clone()).or_default().push(leaving);
}

fn still_there(change: &Change, other: &ServiceName, release: &Release, clash: &str, is_in_file: bool) -> DeployError {
    let way = match is_in_file {
        true => format!(
            "change both with one command (`mainstay up --service {other} --service {}`)",
            change.service
        ),
        false => "bring the whole platform up with `mainstay up`; `--remove-orphans` takes away what a profile or a file that is off has left running".to_owned(),
    };
    DeployError::Refused(format!(
        "`{}` would have {clash}, which `{other}` ({}) still has and would keep; {way}",
        change.service, release.id
    ))
}

/// Who has to be done before whom.
pub type Turns = BTreeMap<ServiceName, BTreeSet<ServiceName>>;

fn turn_of(plan: &ServicePlan) -> (ServiceName, BTreeSet<ServiceName>) {
    (plan.name.clone(), plan.depends_on.iter().cloned().collect())
}

/// A service cannot take over what another gives up only after it: as when two exchange their data, or when the one that
/// gives up depends on the one that takes. `needs` comes with what the files say, and gets what the data says beside it.
fn refuse_circles(after: &Turns, mut needs: Turns) -> Result<(), DeployError> {
    for (service, firsts) in after {
        needs.entry(service.clone()).or_default().extend(firsts.iter().cloned());
    }
    for (service, firsts) in after {
        if let Some(first) = firsts.iter().find(|first| leads(&needs, first, service)) {
            return Err(DeployError::Refused(format!(
                "`{service}` takes over what `{first}` has, and `{first}` can only change after `{service}`: neither can go first; do it in two steps: take `{first}` out of the file, `mainstay up`, and put it back"
            )));
        }
    }
    Ok(())
}

/// Whether one service waits for another, however far away.
fn leads(turns: &Turns, from: &ServiceName, to: &ServiceName) -> bool {
    let mut seen = BTreeSet::new();
    let mut next = vec![from];
    while let Some(here) = next.pop() {
        if here == to {
            return true;
        }
        if seen.insert(here) {
            next.extend(turns.get(here).into_iter().flatten());
        }
    }
    false
}

/// Data that a release of another service, environment or platform writes already is nobody else's.
pub fn refuse_taken(world: &World, scope: &Scope, comes: &ServicePlan) -> Result<(), DeployError> {
    let living = |release: &&Release| matches!(release.state, State::Serving | State::Parked | State::Starting);
    for release in world.all_releases()?.iter().filter(living).filter(|release| release.scope != *scope) {
        let Some((mine, _)) = comes.shared_with(&release.plan) else { continue };
        let is_database = comes.database.is_some() || release.plan.database.is_some();
        if !is_database && comes.shared_data {
            continue;
        }
        let key = match is_database {
            true => String::new(),
            false => {
                format!(", write `shared_data: safe` under `services.{}` where both may write at once", comes.name)
            }
        };
        return Err(DeployError::Refused(format!(
            "`{}` of {scope} would write to {}, to which `{}` of {} writes; give it data of its own (a volume without a fixed `name`, another folder){key}, or take the other away with `mainstay down`",
            comes.name, mine.what, release.service, release.scope
        )));
    }
    Ok(())
}

/// Whether an earlier release may come back: what it wrote may be somebody else's by now.
pub fn refuse_return(world: &World, release: &Release) -> Result<(), DeployError> {
    refuse_taken(world, &release.scope, &release.plan)?;
    let serving = world.serving(&release.scope)?;
    let now = serving.get(&release.service);
    for (other, theirs) in serving.iter().filter(|(other, _)| **other != release.service) {
        let Some((mine, _)) = release.plan.shared_with(&theirs.plan) else { continue };
        let is_meant = now.is_some_and(|now| now.plan.shared_with(&theirs.plan).is_some());
        if !is_meant || (release.plan.database.is_some() && theirs.plan.database.is_some()) {
            return Err(DeployError::Refused(format!(
                "{} of `{}` writes to {}, to which `{other}` ({}) writes now; take `{other}` out of the Compose file and bring it up first",
                release.id, release.service, mine.what, theirs.id
            )));
        }
    }
    Ok(())
}

/// What a container writes, by its mounts.
pub async fn of_mounts(world: &World, mounts: &[MountPoint]) -> Result<Vec<DataMount>, DeployError> {
    let mut data = Vec::new();
    for mount in mounts.iter().filter(|mount| mount.writable) {
        let (places, what, database) = match mount.kind {
            MountKind::Volume => {
                let Some(name) = &mount.name else { continue };
                let mut places = vec![Place::Volume(name.clone())];
                let found = world.docker.volume(name).await;
                let failed = |source| DeployError::Docker { operation: format!("look for volume `{name}`"), source };
                let device = found.map_err(failed)?.and_then(|volume| volume.options.get("device").cloned());
                if let Some(path) = device.filter(|device| device.starts_with('/')) {
                    places.push(Place::Path(facts::path_facts(Path::new(&path)).canonical));
                }
                let content = facts::path_facts(Path::new(&mount.source)).database;
                (places, format!("volume `{name}`"), content)
            }
            MountKind::Bind => {
                let found = facts::path_facts(Path::new(&mount.source));
                let places = match &found.kind {
                    PathKind::Other => continue,
                    PathKind::File if !is_data_file(world, mount, &found)? => continue,
                    PathKind::Disk(number) => vec![Place::Device(number.clone())],
                    _ if found.canonical == "/" => continue,
                    _ => vec![Place::Path(found.canonical.clone())],
                };
                (places, format!("folder `{}`", mount.source), found.database)
            }
            _ => continue,
        };
        let database = database.map(|found| found.name);
        data.push(DataMount { target: mount.target.clone(), what, places, own: false, database });
    }
    Ok(data)
}

fn is_data_file(world: &World, mount: &MountPoint, found: &PathFacts) -> Result<bool, DeployError> {
    let was_data = facts::was_data(&facts::kept(world)?, found);
    let file = FileFacts { was_data, ..found.file };
    Ok(found.database.is_some() || single_file::is_data(&mount.source, &mount.target, file))
}

/// A container that writes data of a release, and is not one of its own.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stranger {
    pub id: String,
    pub container: String,
    /// The Compose project that it belongs to, where it does.
    pub project: Option<String>,
    pub service: ServiceName,
    /// What both write.
    pub what: String,
    /// The place is a database's.
    pub database: bool,
}

/// Running containers that write what this service writes, of those that are given.
pub async fn strangers(
    world: &World,
    plan: &ServicePlan,
    containers: &[Container],
) -> Result<Vec<Stranger>, DeployError> {
    let mut strangers = Vec::new();
    let Some(mine) = plan.data.as_ref().filter(|data| !data.is_empty()) else { return Ok(strangers) };
    for container in containers.iter().filter(|container| container.state.is_up()) {
        let theirs = of_mounts(world, &container.mounts).await?;
        let Some((mount, other)) =
            mine.iter().find_map(|mount| Some((mount, theirs.iter().find(|other| mount.meets(other))?)))
        else {
            continue;
        };
        strangers.push(Stranger {
            id: container.id.clone(),
            container: container.name.clone(),
            project: container.labels.get(crate::identity::COMPOSE_PROJECT).cloned(),
            service: plan.name.clone(),
            what: mount.what.clone(),
            database: plan.database.is_some() || mount.database.is_some() || other.database.is_some(),
        });
    }
    Ok(strangers)
}

/// Whether a container belongs to a release that may run: it serves, is warm, or is being rolled out.
pub fn is_living(releases: &[Release], container: &Container) -> bool {
    if !container.labels.contains_key(names::PLATFORM) {
        return false;
    }
    if container.labels.contains_key(names::ONE_OFF) {
        return true;
    }
    let living = |release: &&Release| !matches!(release.state, State::Retired | State::Failed { .. });
    releases.iter().filter(living).any(|release| names::is_copy(&release.container, &container.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ports_of_docker_and_fixed_addresses_are_claimed() {
        let service = json!({
            "ports": [{ "target": 53, "published": "5353", "protocol": "udp" }, { "target": 80, "protocol": "tcp" }],
            "networks": { "back": { "ipv4_address": "10.1.2.3" }, "other": null },
        });
        let claims: Vec<String> = claims(&service).into_iter().collect();
        assert_eq!(claims, ["address 10.1.2.3", "port 5353/udp"]);
    }

    fn turns(pairs: &[(&str, &[&str])]) -> Turns {
        let name = |text: &&str| ServiceName::parse(text).unwrap();
        pairs.iter().map(|(service, firsts)| (name(service), firsts.iter().map(name).collect())).collect()
    }

    #[test]
    fn who_takes_over_from_one_that_waits_for_it_is_refused_however_long_the_way() {
        let goes = |after: &[(&str, &[&str])], needs: &[(&str, &[&str])]| refuse_circles(&turns(after), turns(needs));
        goes(&[("b", &["a"]), ("c", &["b"])], &[("c", &["a"])]).unwrap();
        let exchange = goes(&[("a", &["b"]), ("b", &["a"])], &[]).unwrap_err().to_string();
        assert!(exchange.contains("`a` takes over what `b` has"), "{exchange}");
        goes(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"])], &[]).unwrap_err();
        let split = goes(&[("db", &["app"])], &[("app", &["db"])]).unwrap_err().to_string();
        assert!(split.contains("take `app` out of the file"), "{split}");
        goes(&[("db", &["app"])], &[("app", &["cache"]), ("cache", &["db"])]).unwrap_err();
    }
}
