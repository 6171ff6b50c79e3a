//! Public ports: each leads to one place.

use machine::docker::Container;
use spec::platform::Bind;
use spec::{EdgePlan, Route};

use crate::error::DeployError;
use crate::identity;
use crate::load::Loaded;
use crate::store::Platform;
use crate::world::World;

/// A port that leads to one service of another environment or platform is refused before anything is touched.
/// Where both tell requests apart by their host they share a port.
pub fn refuse_taken(world: &World, loaded: &Loaded) -> Result<(), DeployError> {
    let mine = &loaded.platform;
    for other in world.platforms()?.iter().filter(|other| other.scope != loaded.scope) {
        let (ours, theirs) = (alone(&mine.edge), alone(&other.edge));
        let shared = |http: &[String], https: &[String]| binds(http.iter().chain(https)).collect::<Vec<_>>();
        let clashes = [
            meeting(&ours, &theirs),
            meeting(&ours, &shared(&other.http, &other.https)),
            meeting(&shared(&mine.http, &mine.https), &theirs),
        ];
        if let Some(bind) = clashes.into_iter().flatten().next() {
            return Err(DeployError::Refused(format!(
                "{bind} is taken: {} has it on this machine; give {} another port (a variable in `ports` of the Compose file can differ between environments), or take the other away with `mainstay down`",
                other.scope, loaded.scope
            )));
        }
    }
    Ok(())
}

/// Requests that the edge already takes to a service of another environment or platform would never reach this one's,
/// or no longer that one's.
pub fn refuse_shadowed(world: &World, loaded: &Loaded) -> Result<(), DeployError> {
    let mine = &loaded.platform;
    let wanted = mine.services.iter().flat_map(|plan| plan.routes.iter().map(|route| (&plan.name, route)));
    let wanted: Vec<_> = wanted.map(|(service, route)| (service, hosted(route, mine.domain.as_deref()))).collect();
    let doors = |http: &[String], https: &[String]| binds(http.iter().chain(https)).collect::<Vec<_>>();
    let serving = world.all_serving()?;
    for other in world.platforms()?.iter().filter(|other| other.scope != loaded.scope) {
        let shared = meeting(&doors(&mine.http, &mine.https), &doors(&other.http, &other.https));
        let Some(bind) = shared else { continue };
        for release in serving.iter().filter(|release| release.scope == other.scope) {
            for route in release.plan.routes.iter().map(|route| hosted(route, other.domain.as_deref())) {
                let Some((service, _)) = wanted.iter().find(|(_, mine)| mine.meets(&route)) else { continue };
                return Err(DeployError::Refused(format!(
                    "route {route} on {bind} already leads to `{}` of {}, and requests cannot go to `{service}` of {} as well; give {2} a `domain` of its own or another port under `edge`, or take the other away with `mainstay down`",
                    release.service, other.scope, loaded.scope
                )));
            }
        }
    }
    Ok(())
}

/// A route with the host that it is asked for.
fn hosted(route: &Route, domain: Option<&str>) -> Route {
    let host = route.host.as_deref().or(domain).map(str::to_ascii_lowercase);
    Route { host, ..route.clone() }
}

/// Those that lead to one service, whatever is asked for.
fn alone(edge: &EdgePlan) -> Vec<Bind> {
    let own = edge.ports.iter().map(|port| &port.listen);
    binds(edge.tcp.iter().map(|tcp| &tcp.listen).chain(own)).collect()
}

fn meeting(ours: &[Bind], theirs: &[Bind]) -> Option<Bind> {
    ours.iter().find(|bind| theirs.iter().any(|other| other.meets(bind))).copied()
}

fn binds<'a>(written: impl Iterator<Item = &'a String>) -> impl Iterator<Item = Bind> {
    // Port 0 is whichever is free.
    written.filter_map(|bind| Bind::parse(bind).ok()).filter(|bind| bind.0.port() != 0)
}

/// A public port that another program holds is found out now, not after everything has started.
pub async fn open(world: &World, platform: &Platform) -> Result<(), DeployError> {
    let status = world.edge.status().await;
    let status = status.map_err(|source| DeployError::Edge { operation: "ask for its listeners".into(), source })?;
    let tcp = platform.edge.tcp.iter().map(|tcp| &tcp.listen);
    let own = platform.edge.ports.iter().map(|port| &port.listen);
    let doors: Vec<_> = platform.http.iter().chain(&platform.https).chain(tcp).chain(own).collect();
    let ours = |listener: &edge::ListenerState| doors.iter().any(|bind| bind.parse() == Ok(listener.bind));
    let closed = status.listeners.iter().find(|listener| listener.error.is_some() && ours(listener));
    let Some(listener) = closed else { return Ok(()) };
    let port = listener.bind.port();
    let (who, way) = match holder(world, port).await {
        Some(holder) => (format!("; {holder} holds it"), "stop that".to_owned()),
        None => (String::new(), format!("see who holds it with `ss -ltnp 'sport = :{port}'`, stop that")),
    };
    let is_shared = platform.http.iter().chain(&platform.https).any(|bind| bind.parse() == Ok(listener.bind));
    let place = if is_shared { "under `edge`" } else { "in `ports` of the Compose file" };
    Err(DeployError::Refused(format!(
        "the edge cannot listen on {}: {}{who}; {way}, or write another address {place}",
        listener.bind,
        listener.error.as_deref().unwrap_or_default(),
    )))
}

/// The container for which Docker itself listens on a port.
async fn holder(world: &World, port: u16) -> Option<String> {
    let containers = world.docker.list(&[], false).await.ok()?;
    let holds = |container: &&Container| {
        container.published.iter().any(|published| published.protocol == "tcp" && published.host_port == port)
    };
    let container = containers.iter().find(holds)?;
    let project = container.labels.get(identity::COMPOSE_PROJECT);
    let of = project.map(|project| format!(" of Compose project `{project}`")).unwrap_or_default();
    Some(format!("Docker's container `{}`{of}", container.name))
}
