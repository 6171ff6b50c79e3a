//! A stack that plain Compose runs, or has run: what of it becomes this platform's.
//!
//! Its volumes and networks are found by the names that both give them. Its containers make way service by service: a
//! container that writes data or publishes a port through Docker is stopped before the release that takes over starts,
//! any other only when that release has proved itself, since the edge then gets its port.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::join_all;
use machine::docker::ContainerDetail;
use spec::{ServiceName, Strategy};

use crate::error::{DeployError, is_gone};
use crate::health;
use crate::identity::{COMPOSE_DIR, COMPOSE_ONE_OFF, COMPOSE_PROJECT, COMPOSE_SERVICE, is_home, same_folder};
use crate::leaving::Leaving;
use crate::load::Loaded;
use crate::names;
use crate::places;
use crate::plan::WantedImage;
use crate::release::Release;
use crate::up::Request;
use crate::world::World;

/// Containers of Compose's project of the same name, by service.
#[derive(Debug, Clone, Default)]
pub struct Takeover {
    pub project: String,
    /// Where Compose brought it up from.
    pub dir: Option<PathBuf>,
    pub services: BTreeMap<ServiceName, Vec<ContainerDetail>>,
    /// Containers of services that the file does not have, and of single runs: they are left alone.
    pub others: Vec<String>,
}

impl Takeover {
    pub fn is_empty(&self) -> bool {
        self.services.is_empty() && self.others.is_empty()
    }

    /// Public ports over TCP that its running containers hold.
    pub fn held(&self, binds: &[String]) -> Vec<String> {
        let ports = self.services.values().flatten().filter(|one| one.state.is_up()).flat_map(ports_of);
        let ports: Vec<u16> = ports.collect();
        binds.iter().filter(|bind| port_of(bind).is_some_and(|port| ports.contains(&port))).cloned().collect()
    }

    /// What makes way for a service, where Compose runs it.
    pub fn leaving(&self, loaded: &Loaded, service: &ServiceName, binds: &[String]) -> Vec<Leaving> {
        let Some(containers) = self.services.get(service) else { return Vec::new() };
        let Some(plan) = loaded.platform.service(service.as_ref()) else { return Vec::new() };
        let source = loaded.source(plan);
        // Ports that stay Docker's cannot be published twice.
        let stays_dockers = !source.routed() || !source.claims().is_empty();
        let is_host_wide = |one: &ContainerDetail| one.network_mode.as_deref() == Some("host");
        let one = |one: &ContainerDetail| Leaving::Compose {
            id: one.id.clone(),
            name: one.name.clone(),
            grace_ms: millis(one.stop_timeout.unwrap_or(plan.stop_grace)),
            ran: one.state.is_up(),
            first: !plan.guarded().is_empty()
                || !plan.strategy.runs_two()
                || (stays_dockers && !one.published.is_empty())
                || is_host_wide(one),
            binds: binds
                .iter()
                .filter(|bind| port_of(bind).is_some_and(|port| ports_of(one).any(|held| held == port)))
                .cloned()
                .collect(),
        };
        containers.iter().map(one).collect()
    }

    /// A service that is kept as it is keeps the very image that Compose runs, whatever its name means by now.
    pub fn keep_images(
        &self,
        loaded: &Loaded,
        request: &Request,
        serving: &BTreeMap<ServiceName, Release>,
        images: &mut BTreeMap<ServiceName, WantedImage>,
    ) {
        let kept = loaded.platform.services.iter().filter(|plan| plan.strategy == Strategy::Keep);
        for name in kept.map(|plan| &plan.name).filter(|name| !serving.contains_key(*name)) {
            let Some(container) = self.services.get(name).and_then(|all| all.first()) else { continue };
            let Some(image) = images.get_mut(name).filter(|_| !request.images.contains_key(name)) else { continue };
            if container.image == image.reference {
                image.id = Some(container.image_id.clone());
            }
        }
    }

    /// What is taken over, in words for the plan.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.services.is_empty() {
            let running = self.services.values().flatten().filter(|one| one.state.is_up()).count();
            let from = self.dir.as_ref().map(|dir| format!(" from {}", dir.display())).unwrap_or_default();
            lines.push(format!(
                "takes over what Docker Compose runs{from} as project `{}`: {} ({running} running); its volumes and networks stay as they are",
                self.project,
                names::list(self.services.keys())
            ));
        }
        if !self.others.is_empty() {
            lines.push(format!("leaves alone, since the Compose file has no such service: {}", self.others.join(", ")));
        }
        lines
    }
}

fn ports_of(container: &ContainerDetail) -> impl Iterator<Item = u16> + '_ {
    container.published.iter().filter(|port| port.protocol == "tcp").map(|port| port.host_port).filter(|port| *port > 0)
}

fn port_of(bind: &str) -> Option<u16> {
    bind.rsplit_once(':')?.1.parse().ok()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Every public port of a platform's edge.
pub fn binds(loaded: &Loaded) -> Vec<String> {
    let platform = &loaded.platform;
    let edge = &platform.edge;
    let more = edge.tcp.iter().map(|tcp| &tcp.listen).chain(edge.ports.iter().map(|port| &port.listen));
    platform.http.iter().chain(&platform.https).chain(more).cloned().collect()
}

/// Looks for the Compose project that has this platform's names.
pub async fn look(world: &World, loaded: &Loaded) -> Result<Takeover, DeployError> {
    let project = loaded.identity.project.clone();
    let found = world.docker.list(&[(COMPOSE_PROJECT.into(), project.clone())], true).await;
    let failed = |source| DeployError::Docker { operation: "list the containers of Compose".into(), source };
    let foreign =
        found.map_err(failed)?.into_iter().filter(|container| !container.labels.contains_key(names::PLATFORM));
    let ids: Vec<String> = foreign.map(|container| container.id).collect();
    let mut takeover = Takeover { project, ..Takeover::default() };
    for detail in join_all(ids.iter().map(|id| health::inspect(world, id))).await {
        let Some(detail) = detail? else { continue };
        takeover.dir = takeover.dir.or_else(|| detail.labels.get(COMPOSE_DIR).map(PathBuf::from));
        let service = detail.labels.get(COMPOSE_SERVICE).and_then(|name| ServiceName::parse(name).ok());
        let is_one_off = detail.labels.get(COMPOSE_ONE_OFF).is_some_and(|word| word.eq_ignore_ascii_case("true"));
        match service.filter(|name| !is_one_off && loaded.project.services.contains_key(name)) {
            Some(service) => takeover.services.entry(service).or_default().push(detail),
            None => takeover.others.push(detail.name),
        }
    }
    refuse_anothers(loaded, &takeover)?;
    Ok(takeover)
}

/// A project of the same name that comes from another folder is somebody else's, unless this folder takes its place.
fn refuse_anothers(loaded: &Loaded, takeover: &Takeover) -> Result<(), DeployError> {
    let Some(dir) = &takeover.dir else { return Ok(()) };
    let here = loaded.compose.dir.clone().unwrap_or_default();
    match loaded.move_here || same_folder(dir, &here) || !is_home(dir) {
        true => Ok(()),
        false => Err(DeployError::OthersProject { project: takeover.project.clone(), known: dir.clone(), dir: here }),
    }
}

/// Removes what Compose has left of services that serve here now. Their volumes stay.
pub async fn clear(world: &World, takeover: &Takeover, taken: &[ServiceName]) -> Result<(), DeployError> {
    for (_, container) in takeover
        .services
        .iter()
        .filter(|(service, _)| taken.contains(service))
        .flat_map(|(service, all)| all.iter().map(move |one| (service, one)))
        .collect::<Vec<_>>()
    {
        let now = health::inspect(world, &container.id).await?;
        let Some(now) = now.filter(|now| !now.state.is_up()) else { continue };
        world.talk.say(None, format!("removes Compose's container {}", now.name));
        match world.docker.remove(&now.id, false).await {
            Err(error) if !is_gone(&error) => {
                return Err(DeployError::Docker {
                    operation: format!("remove container `{}`", now.name),
                    source: error,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Containers of the project that are meant to be there beside a release of this platform.
pub fn is_of(takeover: &Takeover, id: &str) -> bool {
    takeover.services.values().flatten().any(|one| one.id == id)
}

/// What starts, and whether what plain Compose runs of it makes way.
pub struct Coming<'a> {
    pub plan: &'a spec::ServicePlan,
    pub takes_over: bool,
}

/// Running containers that nobody here has made and that write what a service of this platform writes.
pub async fn refuse_strangers(
    world: &World,
    takeover: &Takeover,
    coming: &[Coming<'_>],
) -> Result<Vec<String>, DeployError> {
    let containers = world.docker.list(&[], false).await;
    let containers =
        containers.map_err(|source| DeployError::Docker { operation: "list containers".into(), source })?;
    let releases = world.all_releases()?;
    let mut lines = Vec::new();
    let foreign: Vec<_> = containers.into_iter().filter(|container| !places::is_living(&releases, container)).collect();
    for Coming { plan, takes_over } in coming {
        for stranger in places::strangers(world, plan, &foreign).await? {
            if *takes_over && is_of(takeover, &stranger.id) {
                continue;
            }
            let whose = stranger.project.map(|project| format!(" of Compose project `{project}`")).unwrap_or_default();
            let text = format!(
                "container `{}`{whose} writes to {}, as `{}` does",
                stranger.container, stranger.what, plan.name
            );
            if stranger.database {
                return Err(DeployError::Refused(format!(
                    "{text}, and two programs on a database's files destroy them; stop it with `docker stop {}`, or mount the data there with `:ro`",
                    stranger.container
                )));
            }
            lines.push(format!("warning: {text}"));
        }
    }
    Ok(lines)
}
