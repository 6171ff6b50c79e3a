//! Bringing a platform, or some of its services, to what its files say.
//!
//! Draft, fetch the images, lay the ground, then one roll-out per changed service: those that do
//! not depend on each other run side by side, and the first failure stops what would come after it.

mod needs;
mod order;
mod origins;
mod reports;

use std::collections::BTreeMap;
use std::sync::Mutex;

use futures_util::future::{join, join_all};
use ledger::SagaFilter;
use serde::{Deserialize, Serialize};
use spec::platform::NoticeKind;
use spec::{HostSize, ServiceName, ServicePlan};
use tokio::sync::Semaphore;

use crate::draft::Draft;
use crate::error::{DeployError, Ending};
use crate::notify::Notice;
use crate::plan::{Action, Change, Selection};
use crate::promote::Promotion;
use crate::release::{Definition, ImagePin, Release, State};
use crate::report::{Outcome, Report, ServiceReport};
use crate::roll_out::{Params, RollOut, after, can_share, must_be_alone};
use crate::world::World;
use crate::{
    adopt, doors, drift, ground, hooks, images, keeping, load, pulling, removal, restart, scale, shown, takeover, tick,
    together,
};

use reports::{not_reached, still, told_before_the_crash};

/// What was asked for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Request {
    pub source: load::Source,
    #[serde(default)]
    pub selection: Selection,
    /// Images named for this deploy, instead of the Compose file's.
    #[serde(default)]
    pub images: BTreeMap<ServiceName, String>,
    /// Images of another environment, instead of the Compose file's.
    #[serde(default)]
    pub promotion: Option<Promotion>,
    /// Build again what can be built.
    #[serde(default)]
    pub build: bool,
    /// Ask registries again for images that are here: a tag may have moved.
    #[serde(default)]
    pub pull: bool,
    #[serde(default)]
    pub skip_migrations: bool,
    /// Do not watch new releases after the switch.
    #[serde(default)]
    pub skip_soak: bool,
    #[serde(default)]
    pub canary: CanaryWish,
    /// When one service fails, those that have switched go back; the platform file can say so, too.
    #[serde(default)]
    pub all_or_nothing: bool,
    /// Tell the plan before carrying it out: the caller has not asked for it before.
    #[serde(default)]
    pub tell_plan: bool,
    /// Volumes that differ from the file and are made anew.
    #[serde(default)]
    pub recreate_volumes: Vec<String>,
    /// Volumes that are gone and begin empty.
    #[serde(default)]
    pub new_volumes: Vec<String>,
    pub by: String,
    #[serde(default)]
    pub why: String,
}

/// Roll-outs side by side. More of them start no sooner, and fifty applications that boot at once let each
/// other's time to become healthy run out.
const AT_ONCE: usize = 8;

/// Whether new releases begin with a share of the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CanaryWish {
    /// As the platform file says.
    #[default]
    AsWritten,
    /// In the usual steps where it says nothing.
    Yes,
    No,
}

pub async fn up(world: &World, operation: &str, request: &Request, host: &HostSize) -> Result<Report, DeployError> {
    let began = world.clock.monotonic();
    drift::mend_names(world, &load::scope(world, &request.source)?).await?;
    // After a crash the journal knows better than the files what was to be changed together.
    let ended = together::resume(world, operation).await?;
    if let Some(report) = &ended
        && report.ending != Ending::Done
    {
        return Ok(report.clone());
    }
    let mut draft = crate::draft::draft(world, request, host).await?;
    if pulling::refresh(world, &draft.loaded, &draft.images, request).await? {
        draft = crate::draft::draft(world, request, host).await?;
    }
    let world = &world.redacting(&draft.loaded.redactor);
    if request.build {
        draft.mark_for_build();
    }
    if request.tell_plan {
        world.talk.plan(&draft.plan);
    }
    draft.plan.refuse()?;
    let idle = draft.plan.pending().next().is_none();
    let services = draft.plan.pending().map(|change| change.service.to_string()).collect::<Vec<_>>().join(" ");
    let scope = draft.loaded.scope.clone();
    let about = hooks::About { scope: &scope, dir: &request.source.dir, services: &services, by: &request.by };
    let hook_plan = draft.loaded.platform.hooks.clone();
    if !idle {
        world.tell(begun(operation, request, &draft));
    }
    if needs_images(&draft) || request.build {
        hooks::before(world, about, "pre_build", &hook_plan.pre_build).await?;
        images::fetch(world, &draft.loaded, &draft.plan, request.build).await?;
        draft = crate::draft::draft(world, request, host).await?;
    }
    let closed = draft.takeover.held(&takeover::binds(&draft.loaded));
    draft.plan.refuse()?;
    let platform = ground::lay(world, &draft.loaded, &request.source.dir, &closed, request, &draft.ground).await?;
    if !draft.ground.networks.is_empty() {
        tick::follow_addresses(world).await?;
    }
    adopt::adopt(world, &draft)?;
    scale::forget_overtaken(world, &draft.loaded)?;
    world.sync_routes().await?;
    doors::open(world, &platform).await?;
    if !idle {
        hooks::before(world, about, "pre_deploy", &hook_plan.pre_deploy).await?;
    }
    if !idle {
        draft.origins = origins::all(world, request, &draft).await?;
    }
    let before = match ended {
        Some(_) => BTreeMap::new(),
        None => ended_before(world, operation)?,
    };
    let work = Work { world, operation, request, draft: &draft, before, began };
    let mut reports = match request.all_or_nothing || draft.loaded.platform.all_or_nothing {
        true => work.together().await?,
        false => work.one_by_one().await?,
    };
    reports.iter_mut().for_each(|report| told_before_the_crash(report, ended.as_ref()));
    let failed = reports.iter().any(|report| matches!(report.result, Outcome::Failed(_) | Outcome::WentBack { .. }));
    match (idle, failed) {
        (true, _) => {}
        (false, true) => hooks::after(world, about, "deploy_failed", &hook_plan.deploy_failed).await,
        (false, false) => hooks::after(world, about, "post_deploy", &hook_plan.post_deploy).await,
    }
    let took = world.clock.monotonic().saturating_sub(began);
    Ok(Report::new(draft.loaded.scope.clone(), reports, millis(took)))
}

fn begun(operation: &str, request: &Request, draft: &Draft) -> Notice {
    let scope = &draft.loaded.scope;
    Notice {
        operation: Some(operation.to_owned()),
        services: draft.plan.pending().map(|change| change.service.clone()).collect(),
        why: request.why.clone(),
        ..Notice::new(NoticeKind::Started, scope, request.source.dir.clone(), "up", &request.by)
    }
}

fn needs_images(draft: &Draft) -> bool {
    draft.plan.pending().any(|change| change.fetch.is_some())
}

/// What the changes of one operation have in common.
struct Work<'a> {
    world: &'a World,
    operation: &'a str,
    request: &'a Request,
    draft: &'a Draft,
    /// What this operation's roll-outs came to that were begun before the agent's last start.
    before: BTreeMap<ServiceName, ServiceReport>,
    began: std::time::Duration,
}

impl Work<'_> {
    /// Each service by itself, as soon as what it needs has switched: nobody waits for another's drain.
    /// After the first failure nothing more is begun that could not do without it, and what has switched stays.
    async fn one_by_one(&self) -> Result<Vec<ServiceReport>, DeployError> {
        let (removals, changes): (Vec<&Change>, Vec<&Change>) =
            self.draft.plan.changes.iter().partition(|change| change.action == Action::Remove);
        let doors = order::Doors::of(&self.draft.plan.changes);
        let over = order::Doors::of(&self.draft.plan.changes);
        let failed = Mutex::new(Vec::<ServiceName>::new());
        let places = Semaphore::new(AT_ONCE);
        let (doors, over, failed, places) = (&doors, &over, &failed, &places);
        let works = changes.into_iter().map(|change| async move {
            doors.wait(&order::waits(self.draft, &change.service)).await;
            // Who takes over what another service has waits until that one has given it up for good.
            let firsts = order::firsts(self.draft, &change.service);
            over.wait(&firsts.map(|first| (first.clone(), order::Door::Open)).collect::<Vec<_>>()).await;
            // Nobody who holds a place waits for a door, so everybody gets one in the end.
            let place = places.acquire().await;
            let work = async {
                let stops =
                    failed.lock().is_ok_and(|failed| order::is_stopped_by(self.draft, &change.service, &failed));
                let report = match stops {
                    true => Ok(not_reached(change)),
                    false => self.carry_out(&doors.opened_by(self.world, &change.service), change).await,
                };
                let is_good = report.as_ref().is_ok_and(|report| !matches!(report.result, Outcome::Failed(_)));
                if let Ok(mut failed) = failed.lock()
                    && !is_good
                {
                    failed.push(change.service.clone());
                }
                doors.open(&change.service);
                over.open(&change.service);
                report
            };
            // A place is for what starts; what has switched is watched and drains without one.
            let leave = async {
                doors.wait(&[(change.service.clone(), order::Door::Open)]).await;
                drop(place);
            };
            join(work, leave).await.0
        });
        let mut reports = join_all(works).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        reports.extend(self.remove(&removals, &reports).await?);
        Ok(reports)
    }

    /// What the file no longer has goes last, and not at all where something that was to come has failed: it may be what
    /// everybody needs now. What another service took the place of has gone with that one's roll-out.
    async fn remove(&self, removals: &[&Change], done: &[ServiceReport]) -> Result<Vec<ServiceReport>, DeployError> {
        let scope = &self.draft.loaded.scope;
        let is_good = |report: &ServiceReport| {
            !matches!(report.result, Outcome::Failed(_) | Outcome::NotReached | Outcome::WentBack { .. })
        };
        let mut reports = Vec::new();
        let all_good = done.iter().all(is_good);
        let mut going = Vec::new();
        for change in removals {
            let is_there = self.world.serving_of(scope, &change.service)?.is_some();
            if is_there && all_good {
                going.push(change.service.clone());
            }
            let result = if is_there && !all_good { Outcome::NotReached } else { Outcome::Removed };
            reports.push(still(self.draft, change, result));
        }
        if !going.is_empty() {
            removal::remove_services(self.world, scope, &going).await?;
        }
        if all_good {
            let taken: Vec<ServiceName> = self.world.serving(scope)?.into_keys().collect();
            takeover::clear(self.world, &self.draft.takeover, &taken).await?;
        }
        Ok(reports)
    }

    /// All of them, or none. What needs no new release waits until the others have switched.
    async fn together(&self) -> Result<Vec<ServiceReport>, DeployError> {
        // What is only started again needs no way back, and others may need it.
        let mut started = Vec::new();
        for change in self.draft.plan.changes.iter().filter(|change| change.action == Action::Start) {
            started.push(self.carry_out(self.world, change).await?);
        }
        if started.iter().any(|report| matches!(report.result, Outcome::Failed(_))) {
            let others = self.draft.plan.changes.iter().filter(|change| change.action != Action::Start);
            started.extend(others.map(not_reached));
            return Ok(started);
        }
        if let Some(refused) = self.needs_missing().await? {
            started.extend(refused);
            return Ok(started);
        }
        let mut groups = Vec::new();
        for level in order::levels(self.draft) {
            let new = level.iter().filter(|change| matches!(change.action, Action::Create | Action::Update));
            let group = new.map(|change| self.roll_out(change)).collect::<Result<Vec<_>, _>>()?;
            if !group.is_empty() {
                groups.push(group);
            }
        }
        let params =
            together::Params { operation: self.operation.to_owned(), scope: self.draft.loaded.scope.clone(), groups };
        let mut reports = match params.members().next() {
            Some(_) => together::run(self.world, &params, self.began).await?.services,
            None => Vec::new(),
        };
        reports.extend(started);
        let failed = reports.iter().any(|report| report.result != Outcome::Done);
        let removals: Vec<&Change> =
            self.draft.plan.changes.iter().filter(|change| change.action == Action::Remove).collect();
        for change in self.draft.plan.changes.iter().filter(|change| change.action != Action::Remove) {
            if !reports.iter().any(|report| report.service == change.service) {
                reports.push(if failed { not_reached(change) } else { self.carry_out(self.world, change).await? });
            }
        }
        reports.extend(self.remove(&removals, &reports).await?);
        Ok(reports)
    }

    async fn carry_out(&self, world: &World, change: &Change) -> Result<ServiceReport, DeployError> {
        let draft = self.draft;
        // What an earlier agent has brought to its end in this operation is not begun again: a release that was judged
        // bad would be served a second time, and its migration run.
        if let Some(report) = self.before.get(&change.service) {
            return Ok(report.clone());
        }
        match change.action {
            Action::Nothing => Ok(still(draft, change, Outcome::Unchanged)),
            // Removals have their turn when everything else is over.
            Action::Hold | Action::Remove => Ok(still(draft, change, Outcome::Held)),
            Action::Scale => {
                let Some(release) = draft.serving.get(&change.service) else {
                    return Ok(still(draft, change, Outcome::Unchanged));
                };
                let file = change.scaled.unwrap_or(change.copies);
                scale::follow_file(world, self.operation, release.clone(), change.copies, file).await
            }
            Action::Start => keeping::start_again(world, draft, change).await,
            Action::Create | Action::Update => match needs::missing(world, draft, change).await? {
                Some(failure) => Ok(still(draft, change, Outcome::Failed(failure))),
                None => after::run(world, self.roll_out(change)?, self.began).await,
            },
        }
    }

    fn again(&self, change: &Change) -> restart::Request {
        let why = if self.request.why.is_empty() { change.reasons.join("; ") } else { self.request.why.clone() };
        restart::Request {
            scope: self.draft.loaded.scope.clone(),
            service: change.service.clone(),
            by: self.request.by.clone(),
            why,
        }
    }

    fn roll_out(&self, change: &Change) -> Result<Params, DeployError> {
        let serving = self.draft.serving.get(&change.service);
        let release = match serving.filter(|_| change.as_it_was) {
            Some(serving) => restart::again(self.world, serving, &self.again(change))?,
            None => prepare(self.world, self.request, self.draft, change)?,
        };
        Ok(Params {
            alone: must_be_alone(&release, serving),
            leaving: self.draft.arranged.leaving.get(&change.service).cloned().unwrap_or_default(),
            operation: self.operation.to_owned(),
            previous: change.from.clone(),
            previous_copies: self.draft.serving.get(&change.service).map_or(1, |serving| serving.copies),
            start: true,
            migrate: !self.request.skip_migrations && !change.again,
            soak: !self.request.skip_soak && !change.again,
            canary: canary(self.world, self.request, &release).filter(|_| !change.again),
            release,
        })
    }
}

fn canary(world: &World, request: &Request, release: &Release) -> Option<spec::Canary> {
    if request.canary == CanaryWish::Yes && !can_share(release) {
        let text = format!("no canary: {} services share no requests between two releases", release.plan.strategy);
        world.talk.say(Some(&release.service), text);
    }
    match request.canary {
        CanaryWish::AsWritten => release.plan.canary.clone(),
        CanaryWish::Yes => Some(release.plan.canary.clone().unwrap_or_default()),
        CanaryWish::No => None,
    }
}

/// How the roll-outs of this operation ended that were begun before the agent's last start.
pub fn ended_before(world: &World, operation: &str) -> Result<BTreeMap<ServiceName, ServiceReport>, DeployError> {
    let filter = SagaFilter { kind: Some(<RollOut as saga::Saga>::KIND.into()), ..SagaFilter::default() };
    let failed = |source| DeployError::Ledger { operation: "list the operation's roll-outs", source };
    let mut reports = BTreeMap::new();
    let prefix = format!("{operation}.");
    for row in world.ledger.sagas(&filter, RECENT_SAGAS).map_err(failed)? {
        if row.id.as_ref().starts_with(&prefix)
            && let Some(report) = after::ended(world, &row)?
        {
            reports.entry(report.service.clone()).or_insert(report);
        }
    }
    Ok(reports)
}

/// More than one operation has.
const RECENT_SAGAS: usize = 500;

/// Numbers the release, renders its definition into the state folder and records it.
fn prepare(world: &World, request: &Request, draft: &Draft, change: &Change) -> Result<Release, DeployError> {
    let loaded = &draft.loaded;
    let unknown = || DeployError::Unknown { what: format!("service `{}`", change.service), known: String::new() };
    let plan = loaded.platform.services.iter().find(|plan| plan.name == change.service).ok_or_else(unknown)?;
    let image = draft.images.get(&change.service).ok_or_else(unknown)?;
    let Some(image_id) = image.id.clone() else {
        let said = "it is not on this machine after building and pulling".to_owned();
        return Err(DeployError::Image { service: change.service.clone(), image: image.reference.clone(), said });
    };
    let id = world.next_release(&loaded.scope)?;
    let source = loaded.source(plan);
    let hash = source.hash(&image_id, &world.salt);
    let rendered = source.render(&id, &image_id, &hash, world.root.path());
    if let Some(service) = loaded.project.services.get(&plan.name) {
        loaded.attached.keep(world, service)?;
    }
    let container = loaded.scope.container(&plan.name, &id);
    let file = format!("releases/{}/{container}.json", loaded.scope.project());
    let view = shown::of(&rendered.document, &rendered.service, &loaded.known, &world.salt);
    for (file, document) in [(&file, &rendered.document), (&shown::file(&file), &view)] {
        let text = serde_json::to_vec_pretty(document).unwrap_or_default();
        let failed = |source| DeployError::State { operation: format!("write the definition of {container}"), source };
        world.root.write_atomic(file, &text, 0o600).map_err(failed)?;
    }
    let release = Release {
        id,
        scope: loaded.scope.clone(),
        service: plan.name.clone(),
        image: ImagePin { reference: image.reference.clone(), id: image_id, instead_of: image.instead_of.clone() },
        definition: Definition { file, service: rendered.service, hash },
        plan: ServicePlan { replicas: change.scaled.unwrap_or(plan.replicas), ..plan.clone() },
        state: State::Prepared,
        container,
        copies: plan.replicas.max(1),
        targets: Vec::new(),
        addresses: Vec::new(),
        listens: Default::default(),
        making_way_for: None,
        guests: None,
        gateway_names: false,
        origin: draft.origins.get(&change.service).cloned().unwrap_or_default(),
        by: request.by.clone(),
        why: if request.why.is_empty() { change.reasons.join("; ") } else { request.why.clone() },
        created_ms: world.clock.now_ms(),
        switched_ms: None,
        parked_until_ms: None,
        healthy_after_ms: None,
    };
    world.save_release(&release)?;
    Ok(release)
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What a caller exits with when the operation could not even be drafted.
pub fn ending(result: &Result<Report, DeployError>) -> Ending {
    match result {
        Ok(report) => report.ending,
        Err(error) => error.ending(),
    }
}
