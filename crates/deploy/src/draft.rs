//! What is wanted beside what is there: everything a plan is made from.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use machine::docker::{Container, State as ContainerState};
use spec::{HostSize, ServiceName, ServicePlan, Strategy};

use crate::error::{DeployError, stamp};
use crate::load::Loaded;
use crate::names;
use crate::plan::{Action, Change, Plan, Running, Wanted, WantedImage, follow, plan};
use crate::release::{Origin, Release};
use crate::render::definition::Source;
use crate::render::hosts;
use crate::rollback::preflight;
use crate::takeover::{self, Takeover};
use crate::up::Request;
use crate::world::World;
use crate::{
    adopt, doors, drift, ends, env_access, graphics, ground, identity, images, intruders, keeping, learn, leaving,
    load, places,
};

pub struct Draft {
    pub loaded: Loaded,
    pub images: BTreeMap<ServiceName, WantedImage>,
    pub serving: BTreeMap<ServiceName, Release>,
    pub plan: Plan,
    /// What each new release is made from; looked at when something is done.
    pub origins: BTreeMap<ServiceName, Origin>,
    /// What leaves and what comes, in their order.
    pub arranged: places::Arranged,
    /// What plain Compose runs of this platform.
    pub takeover: Takeover,
    /// How networks and volumes stand beside the file.
    pub ground: ground::Found,
}

impl Draft {
    /// A rebuild was asked for: what can be built becomes part of the plan.
    pub fn mark_for_build(&mut self) {
        let loaded = &self.loaded;
        self.plan.mark_for_build(|service| images::builds(loaded, service));
    }
}

impl Loaded {
    /// What a service's definition is rendered from.
    pub fn source<'a>(&'a self, plan: &'a ServicePlan) -> Source<'a> {
        Source { scope: &self.scope, project: &self.project, attached: &self.attached, own: &self.own, plan }
    }
}

pub async fn draft(world: &World, request: &Request, host: &HostSize) -> Result<Draft, DeployError> {
    load::refuse_elsewhere(world, &request.source)?;
    let loaded = load::load_with(world, &request.source, host, &request.images).await?;
    compare(world, request, loaded).await
}

async fn compare(world: &World, request: &Request, loaded: Loaded) -> Result<Draft, DeployError> {
    known_services(request, &loaded)?;
    let serving = world.serving(&loaded.scope)?;
    let mut images = images::wanted(world, &loaded, &request.images, &serving).await?;
    if let Some(promotion) = &request.promotion {
        promotion.apply(world, &loaded, &mut images).await?;
    }
    let takeover = takeover::look(world, &loaded).await?;
    takeover.keep_images(&loaded, request, &serving, &mut images);
    let running = running(world, &loaded, &serving).await?;
    let wanted: Vec<Wanted> =
        loaded.platform.services.iter().map(|plan| wanted(world, &loaded, plan, &images, &serving)).collect();
    let mut changes = plan(&loaded.scope, &wanted, &running, &request.selection);
    let mut ground = ground::look(world, &loaded, request).await?;
    follow_ground(world, &loaded, request, &serving, &ground, &mut changes)?;
    changes = follow::with_restarts(changes, &wanted, &running, |service| {
        loaded.platform.service(service.as_ref()).map(|plan| plan.restart_with.clone()).unwrap_or_default()
    });
    if let Some(promotion) = &request.promotion {
        promotion.explain(&mut changes);
    }
    let stays =
        |change: &&mut Change| matches!(change.action, Action::Nothing | Action::Scale | Action::Start | Action::Hold);
    for change in changes.iter_mut().filter(stays) {
        if let (Some(release), Some(plan)) =
            (serving.get(&change.service), loaded.platform.service(change.service.as_ref()))
        {
            change.at_edge = adopt::lines(release, plan);
        }
    }
    let pending = |change: &&mut Change| matches!(change.action, Action::Create | Action::Update) && !change.again;
    for change in changes.iter_mut().filter(pending).filter(|_| !request.skip_migrations) {
        change.migration = loaded.platform.service(change.service.as_ref()).and_then(|plan| plan.migrate.clone());
    }
    for change in changes.iter_mut().filter(|change| matches!(change.action, Action::Create | Action::Update)) {
        let plan = loaded.platform.service(change.service.as_ref());
        change.notes.extend(plan.into_iter().flat_map(|plan| loaded.platform.edge.ports_in_words(plan)));
        let own = plan.map(|plan| loaded.own.of_service(plan)).unwrap_or_default();
        change.notes.extend(own.iter().map(|own| {
            format!("`{}`, which neither file names, is volume {}, from release to release", own.target, own.name(1))
        }));
    }
    could_be_started(&loaded, &images, &changes)?;
    ground.missing.extend(wrong_names(world, &loaded).await?);
    doors::refuse_taken(world, &loaded)?;
    doors::refuse_shadowed(world, &loaded)?;
    let mut notes: Vec<String> = identity::moved(world, &loaded.scope, &request.source)?.into_iter().collect();
    notes.extend(env_access::lines(&loaded, &request.source.dir));
    let mut arranged = places::arrange(world, &loaded, &serving, &mut changes)?;
    let coming: Vec<takeover::Coming<'_>> =
        changes.iter().filter_map(|change| coming(&loaded, &serving, change)).collect();
    for coming in &coming {
        places::refuse_taken(world, &loaded.scope, coming.plan)?;
    }
    notes.extend(takeover.lines());
    notes.extend(adopted(&loaded));
    notes.extend(takeover::refuse_strangers(world, &takeover, &coming).await?);
    let known = intruders::known(world, &loaded.scope).await?;
    notes.extend(known.iter().map(|intruder| format!("warning: {}", intruder.text())));
    let held = takeover.held(&takeover::binds(&loaded));
    for change in changes.iter_mut().filter(|change| change.action == Action::Create) {
        let leaving = takeover.leaving(&loaded, &change.service, &held);
        if !leaving.is_empty() {
            change.reasons = vec![leaving::told(&leaving)];
            arranged.leaving.entry(change.service.clone()).or_default().extend(leaving);
        }
    }
    let plan = Plan {
        scope: loaded.scope.clone(),
        notes,
        changes,
        ground: ground.missing.clone(),
        remade: ground.remade.clone(),
        kept: ground.kept.clone(),
        refused: ground.refused.clone(),
        resources: loaded.platform.resources.lines.clone(),
    };
    Ok(Draft { loaded, images, serving, plan, origins: BTreeMap::new(), arranged, takeover, ground })
}

/// What starts: a new release as the file has it, or one that serves as it was made.
fn coming<'a>(
    loaded: &'a Loaded,
    serving: &'a BTreeMap<ServiceName, Release>,
    change: &Change,
) -> Option<takeover::Coming<'a>> {
    let plan = match change.action {
        Action::Create | Action::Update => loaded.platform.service(change.service.as_ref()),
        Action::Start => serving.get(&change.service).map(|release| &release.plan),
        Action::Scale | Action::Hold | Action::Nothing | Action::Remove => None,
    };
    plan.map(|plan| takeover::Coming { plan, takes_over: change.action == Action::Create })
}

/// Volumes without a name that are taken over.
fn adopted(loaded: &Loaded) -> impl Iterator<Item = String> + '_ {
    let line = |(key, volume, container): &(String, String, String)| {
        let target = key.splitn(3, '/').nth(2).unwrap_or_default();
        let volume: String = volume.chars().take(12).collect();
        format!("keeps the data of `/{target}` that {container} has in the anonymous volume {volume}")
    };
    loaded.own.adopted.iter().map(line)
}

/// What is known to fail is refused before anything is touched.
fn could_be_started(
    loaded: &Loaded,
    images: &BTreeMap<ServiceName, WantedImage>,
    changes: &[Change],
) -> Result<(), DeployError> {
    let is_new = |change: &&Change| matches!(change.action, Action::Create | Action::Update) && !change.as_it_was;
    for change in changes.iter().filter(is_new) {
        let name = &change.service;
        if let Some(image) = images.get(name) {
            images::refuse_unpullable(name, image)?;
        }
        if let Some(service) = loaded.project.services.get(name) {
            graphics::refuse_missing(name, service)?;
        }
    }
    Ok(())
}

fn known_services(request: &Request, loaded: &Loaded) -> Result<(), DeployError> {
    let known = || loaded.project.services.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let named = request.selection.services.iter().chain(request.images.keys());
    for service in named {
        if !loaded.platform.services.iter().any(|plan| plan.name == *service) {
            return Err(DeployError::Unknown { what: format!("service `{service}`"), known: known() });
        }
    }
    Ok(())
}

fn wanted(
    world: &World,
    loaded: &Loaded,
    plan: &ServicePlan,
    images: &BTreeMap<ServiceName, WantedImage>,
    serving: &BTreeMap<ServiceName, Release>,
) -> Wanted {
    let missing =
        WantedImage { reference: String::new(), id: None, build: false, never_pulled: false, instead_of: None };
    let image = images.get(&plan.name).cloned().unwrap_or(missing);
    let source = loaded.source(plan);
    let runs = serving.get(&plan.name).map(|release| release.definition.hash.as_str());
    let hash = image.id.as_deref().map(|id| {
        let before = source.hashes_before(id, &world.salt).into_iter().find(|before| runs == Some(before.as_str()));
        before.unwrap_or_else(|| source.hash(id, &world.salt))
    });
    Wanted {
        service: plan.name.clone(),
        strategy: plan.strategy,
        strategy_reason: plan.reason.clone(),
        image,
        hash,
        copies: plan.replicas.max(1),
        scaled: loaded.scaled.get(&plan.name).map(|scaled| scaled.instead_of),
        warnings: plan.warnings.clone(),
    }
}

async fn running(
    world: &World,
    loaded: &Loaded,
    serving: &BTreeMap<ServiceName, Release>,
) -> Result<BTreeMap<ServiceName, Running>, DeployError> {
    let mut containers = containers(world, &loaded.scope).await?;
    // One that was renamed gets its name back, and counts under it.
    let renamed = drift::renamed(world, &loaded.scope).await?;
    for container in &mut containers {
        if let Some(then) = renamed.get(&container.name) {
            container.name.clone_from(then);
        }
    }
    let containers = &containers;
    let looks = serving.values().map(|release| async {
        let drift = drift::of_copies(world, release, containers).await?;
        let running = Running {
            release: release.id.clone(),
            hash: release.definition.hash.clone(),
            image_id: release.image.id.clone(),
            image_reference: release.image.reference.clone(),
            copies: release.copies,
            trouble: trouble(world, containers, release).await?,
            drift,
            left_out: left_out(world, loaded, &release.service)?,
            note: strategy_note(loaded, release),
            data: kept_data(release),
        };
        Ok((release.service.clone(), running))
    });
    join_all(looks).await.into_iter().collect()
}

/// Why a service that serves is not wanted now, where the files have it all the same.
fn left_out(world: &World, loaded: &Loaded, service: &ServiceName) -> Result<Option<String>, DeployError> {
    if loaded.platform.services.iter().any(|plan| plan.name == *service) {
        return Ok(None);
    }
    if let Some(found) = loaded.project.services.get(service) {
        // A file that asks for no copies has said what it wants.
        let is_off = found.replicas > 0;
        return Ok(is_off.then(|| format!("its profile ({}) is off here", found.profiles.join(", "))));
    }
    let known = world.platform(&loaded.scope)?.map(|platform| platform.files).unwrap_or_default();
    let missing: Vec<String> = known.into_iter().filter(|file| !loaded.files.contains(file)).collect();
    Ok((!missing.is_empty()).then(|| format!("the file that may have it ({}) was not given", missing.join(", "))))
}

/// An upgrade of Mainstay may have found out that two of its releases must not run.
fn strategy_note(loaded: &Loaded, release: &Release) -> Option<String> {
    let before = release.plan.reasons.get(learn::STRATEGY_BEFORE)?;
    let plan = loaded.platform.service(release.service.as_ref())?;
    (plan.strategy.to_string() != *before).then(|| {
        format!(
            "it was {before} and is {} from its next release on: it {}; `shared_data: safe` in mainstay.yaml makes it {before} again, where two releases may write at once",
            plan.strategy, plan.reason
        )
    })
}

/// The volumes and folders that outlive a service.
fn kept_data(release: &Release) -> Vec<String> {
    let places = release.plan.data.iter().flatten().flat_map(|mount| &mount.places);
    let mut named: Vec<String> = places.map(ToString::to_string).collect();
    named.dedup();
    named
}

/// Containers whose name is wrong.
async fn wrong_names(world: &World, loaded: &Loaded) -> Result<Vec<String>, DeployError> {
    let renamed = drift::renamed(world, &loaded.scope).await?;
    let line = |(now, then): (String, String)| format!("name {then} for the container that is called {now} now");
    Ok(renamed.into_iter().map(line).collect())
}

/// What stands on a network or volume that is made anew gets a new release: its files name the network's old address,
/// or its container is gone. One that is kept as it is stays what it is by that.
fn follow_ground(
    world: &World,
    loaded: &Loaded,
    request: &Request,
    serving: &BTreeMap<ServiceName, Release>,
    found: &ground::Found,
    changes: &mut [Change],
) -> Result<(), DeployError> {
    let internals = ground::internals(loaded);
    let stays = |change: &&mut Change| matches!(change.action, Action::Nothing | Action::Hold | Action::Scale);
    for change in changes.iter_mut().filter(stays) {
        let Some(release) = serving.get(&change.service).filter(|release| release.plan.strategy != Strategy::Job)
        else {
            continue;
        };
        let Some(document) = places::definition(world, release)? else { continue };
        let stands_on = |kind: &str, remade: &std::collections::BTreeSet<String>| {
            preflight::names(&document, kind).into_iter().find(|name| remade.contains(name))
        };
        let network = stands_on("networks", &found.networks).map(|name| format!("network {name} is made anew"));
        let volume = || stands_on("volumes", &found.volumes).map(|name| format!("volume {name} is made anew"));
        let (key, service) = (&release.definition.service, &release.service);
        let hosts = || hosts::refreshed(&document, key, service, &internals, &found.gateways);
        let gateway = || hosts().map(|_| "a network that it is on was made anew".to_owned());
        let wanted = loaded.platform.service(change.service.as_ref());
        let migrates = found.new_database
            && change.action != Action::Hold
            && !request.skip_migrations
            && wanted.is_some_and(|plan| plan.migrate.is_some());
        let Some(reason) = network.or_else(volume).or_else(gateway) else {
            if migrates {
                change.action = Action::Update;
                change.reasons = vec!["the database begins anew, and its migration runs again".to_owned()];
            }
            continue;
        };
        change.as_it_was = change.action == Action::Hold;
        change.again = !migrates;
        if change.as_it_was {
            change.fetch = None;
        }
        change.reasons.insert(0, reason);
        change.action = Action::Update;
    }
    Ok(())
}

/// Every container of the scope that belongs to a release, not one-offs.
pub async fn containers(world: &World, scope: &names::Scope) -> Result<Vec<Container>, DeployError> {
    let all = world.docker.list(&scope.selector(), true).await;
    let all =
        all.map_err(|source| DeployError::Docker { operation: format!("list the containers of {scope}"), source })?;
    Ok(all.into_iter().filter(|container| !container.labels.contains_key(names::ONE_OFF)).collect())
}

/// What is wrong with the first of its containers that is not as it should be.
async fn trouble(world: &World, containers: &[Container], release: &Release) -> Result<Option<String>, DeployError> {
    // A job has ended; what became of its container since does not undo that.
    if release.plan.strategy == Strategy::Job {
        return Ok(None);
    }
    for number in release.numbers() {
        let name = names::copy(&release.container, number);
        let which = if release.copies > 1 { format!("container {number}") } else { "container".into() };
        let found = containers.iter().find(|container| container.name == name);
        let trouble = match (ends::still(world, found).await?, found.map(|container| container.state)) {
            (Some(detail), _) => match keeping::by_hand(world, release, &detail, None)? {
                Some(stopped) => Some(format!("its {which} was stopped by hand at {}", stamp(stopped.at_ms))),
                None => ends::trouble(release, &detail),
            },
            (None, None) => Some(format!("its {which} is gone")),
            (None, Some(ContainerState::Running | ContainerState::Restarting | ContainerState::Paused)) => None,
            (None, Some(state)) => Some(format!("its {which} is {}", format!("{state:?}").to_lowercase())),
        };
        if trouble.is_some() {
            return Ok(trouble);
        }
    }
    Ok(None)
}
