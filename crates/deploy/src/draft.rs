//! What is wanted beside what is there: everything a plan is made from.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use machine::docker::{Container, State as ContainerState};
use spec::{HostSize, ServiceName, ServicePlan, Strategy};

use crate::error::DeployError;
use crate::load::Loaded;
use crate::names;
use crate::plan::{Action, Change, Plan, Running, Wanted, WantedImage, follow, plan};
use crate::release::{Origin, Release};
use crate::render::definition::Source;
use crate::takeover::{self, Takeover};
use crate::up::Request;
use crate::world::World;
use crate::{adopt, doors, drift, ends, graphics, ground, identity, images, learn, leaving, load, places};

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
    changes = follow::with_restarts(changes, &wanted, &running, |service| {
        loaded.platform.service(service.as_ref()).map(|plan| plan.restart_with.clone()).unwrap_or_default()
    });
    if let Some(promotion) = &request.promotion {
        promotion.explain(&mut changes);
    }
    for change in
        changes.iter_mut().filter(|change| matches!(change.action, Action::Nothing | Action::Scale | Action::Hold))
    {
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
    could_be_started(&loaded, &images, &changes)?;
    doors::refuse_taken(world, &loaded)?;
    doors::refuse_shadowed(world, &loaded)?;
    let mut notes = moved(world, &loaded, &request.source.dir)?;
    let mut arranged = places::arrange(world, &loaded, &serving, &mut changes)?;
    let coming: Vec<ServiceName> =
        changes.iter().filter(|change| starts(change.action)).map(|change| change.service.clone()).collect();
    for plan in loaded.platform.services.iter().filter(|plan| coming.contains(&plan.name)) {
        places::refuse_taken(world, &loaded.scope, plan)?;
    }
    notes.extend(takeover.lines(&loaded));
    notes.extend(adopted(&loaded));
    notes.extend(takeover::refuse_strangers(world, &loaded, &takeover, &coming).await?);
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
        ground: ground_lines(world, &loaded).await?,
        resources: loaded.platform.resources.lines.clone(),
    };
    Ok(Draft { loaded, images, serving, plan, origins: BTreeMap::new(), arranged, takeover })
}

/// Whether a container of a new release starts.
fn starts(action: Action) -> bool {
    matches!(action, Action::Create | Action::Update)
}

/// A platform that is known from another folder is not taken over without a word, and not at all where only the folders
/// have the same name.
fn moved(world: &World, loaded: &Loaded, dir: &std::path::Path) -> Result<Vec<String>, DeployError> {
    let Some(known) = world.identity(&loaded.scope)?.map(|known| known.dir) else { return Ok(Vec::new()) };
    if known.as_os_str().is_empty() || identity::same_folder(&known, dir) {
        return Ok(Vec::new());
    }
    let (was, is) = (known.display(), dir.display());
    if !loaded.is_named && known.exists() {
        return Err(DeployError::Refused(format!(
            "{} was brought up from {was}, and {is} only has the same name; write `name: …` into the Compose file here, or `platform: …` into {}",
            loaded.scope,
            load::PLATFORM_FILE
        )));
    }
    Ok(vec![format!("{} was brought up from {was} until now, and is {is} from here on", loaded.scope)])
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
    for change in changes.iter().filter(|change| matches!(change.action, Action::Create | Action::Update)) {
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

/// What is missing, and names that are wrong.
async fn ground_lines(world: &World, loaded: &Loaded) -> Result<Vec<String>, DeployError> {
    let mut lines = ground::missing(world, loaded).await?;
    let renamed = drift::renamed(world, &loaded.scope).await?;
    lines.extend(
        renamed.into_iter().map(|(now, then)| format!("name {then} for the container that is called {now} now")),
    );
    Ok(lines)
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
            (Some(detail), _) => ends::trouble(release, &detail),
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
