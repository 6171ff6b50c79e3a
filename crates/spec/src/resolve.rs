//! From what is written to what is meant: platform file and compose project become one resolved platform.
//! Whatever the platform file leaves open is derived from the compose project, and the reason is kept beside the value.

mod data;
mod edge;
mod foreign;
mod health;
mod known;
mod order;
mod plan;
mod pool;
mod port;
mod probe;
mod published;
mod readers;
mod replace;
mod resources;
mod routes;
mod rule;
mod scene;
mod service;
mod strategy;
mod trust;

use crate::compose::{Port, Project};
use crate::data::DataMount;
use crate::defaults;
use crate::facts::Facts;
use crate::ids::{EnvironmentName, PlatformName, ServiceName};
use crate::platform::{Bind, Hook, Hooks, PlatformFile};
use crate::problem::{Problem, Problems, nearest};

pub use foreign::{REFUSED, Refusal};
pub use known::speaks_http;
pub use plan::{
    AccessLog, Canary, CertificateFiles, Check, Detect, EdgeHealth, EdgePlan, Finish, Health, Hold, HookJob, HookPlan,
    HostSize, HttpPort, Job, Limits, Migration, Outlier, Platform, Redirect, ResourceReport, Rolling, Route,
    ServicePlan, Shedding, SoakLimits, Sticky, TcpPort,
};
pub use readers::{is_read, is_read_variable, reader, speaks_to};
use routes::Origin;
use scene::Scene;

/// The same where nobody has looked at the machine: what the files alone say.
pub fn resolve(
    file: &PlatformFile,
    project: &Project,
    env: &EnvironmentName,
    host: &HostSize,
) -> Result<Platform, Problems> {
    resolve_with(file, project, env, host, &Facts::default())
}

/// Fills in everything that the platform file leaves open, and reports everything that cannot be.
/// The project is to be read with all profiles on; those of the environment decide here.
pub fn resolve_with(
    file: &PlatformFile,
    project: &Project,
    env: &EnvironmentName,
    host: &HostSize,
    facts: &Facts,
) -> Result<Platform, Problems> {
    let mut problems = Problems::default();
    let Some(scene) = Scene::open(file, project, env, facts, &mut problems) else { return Err(problems) };
    scene.check_names(&mut problems);
    let name = platform_name(file, project, &mut problems);
    let order = order::order(&scene, &mut problems);
    let mut services: Vec<ServicePlan> =
        order.into_iter().filter_map(|name| service::plan(&scene, name, &mut problems)).collect();
    service::check_databases(&services, &mut problems);
    published::check(&scene, &mut problems);
    let origin = routes::assign(&scene, &mut services, &mut problems);
    let environment = &scene.environment;
    pool::name_hosts(&mut services, environment.domain.as_deref(), !https(&scene).is_empty());
    let http: Vec<Bind> = match environment.edge.as_ref().and_then(|edge| edge.http.clone()) {
        Some(written) => written.iter().flat_map(Bind::each).collect(),
        None => shared_binds(&scene, &services, origin),
    };
    let edge = edge::resolve(&scene, &mut services, &http, origin, &mut problems);
    trust::check(&scene, &edge.ports, &mut services, &mut problems);
    let mode = environment.resources.or(file.resources).unwrap_or_default();
    let resources = resources::fit(&mut services, mode, environment.limits, host);
    let platform = name.map(|name| Platform {
        name,
        environment: env.clone(),
        domain: environment.domain.clone(),
        services,
        http: http.iter().map(Bind::to_string).collect(),
        https: https(&scene),
        edge,
        compose: compose_files(&scene),
        env_file: environment.env_file.clone().unwrap_or_default(),
        profiles: environment.profiles.clone().unwrap_or_default(),
        confirm: environment.confirm.unwrap_or(false),
        hooks: hooks(&file.hooks),
        promises: file.promises.clone(),
        all_or_nothing: file.all_or_nothing.unwrap_or(false),
        intruders: file.intruders.unwrap_or_default(),
        keep_releases: file.keep_releases.unwrap_or(defaults::KEEP_RELEASES),
        resources,
    });
    problems.or(platform)
}

/// Whether the platform file names only what there is; nothing of the machine is needed for that.
pub fn check_names(file: &PlatformFile, project: &Project, env: &EnvironmentName) -> Result<(), Problems> {
    let mut problems = Problems::default();
    let facts = Facts::default();
    if let Some(scene) = Scene::open(file, project, env, &facts, &mut problems) {
        scene.check_names(&mut problems);
    }
    problems.or(Some(()))
}

/// What a service of a project writes, and why it is a database, where it is one; whatever is written about it.
pub fn data_of(project: &Project, service: &ServiceName, facts: &Facts) -> (Vec<DataMount>, Option<String>) {
    let file = PlatformFile::default();
    let Ok(name) = EnvironmentName::parse(defaults::ENVIRONMENT) else { return (Vec::new(), None) };
    let Some(scene) = Scene::open(&file, project, &name, facts, &mut Problems::default()) else {
        return (Vec::new(), None);
    };
    let Some(found) = project.services.get(service) else { return (Vec::new(), None) };
    let data = data::of(&scene, service, found);
    let database = scene.database(service, found, &data);
    (data, database)
}

/// The environment that a command means: the one it names, or the file's default, or the only one, or `production`.
pub fn environment(file: &PlatformFile, asked: Option<&EnvironmentName>) -> Result<EnvironmentName, Problems> {
    let known: Vec<&str> = file.environments.keys().map(AsRef::as_ref).collect();
    let refused = |found: &str, message: &str| {
        let nearest = nearest(found, known.iter().copied());
        let problem = scene::written_problem(file, "environments", message);
        Err(Problems::from(Problem { found: found.to_owned(), allowed: known.join(", "), nearest, ..problem }))
    };
    if let Some(asked) = asked {
        let exists = known.is_empty() || file.environments.contains_key(asked);
        return if exists {
            Ok(asked.clone())
        } else {
            refused(asked.as_ref(), "this environment is not in the platform file")
        };
    }
    if file.require_environment == Some(true) {
        return refused("", "every command must name its environment here (`require_environment: true`)");
    }
    let only = file.environments.keys().next().filter(|_| known.len() == 1);
    let fallback = EnvironmentName::parse(defaults::ENVIRONMENT)
        .ok()
        .filter(|name| known.is_empty() || known.contains(&name.as_str()));
    match file.default_environment.as_ref().or(only).cloned().or(fallback) {
        Some(name) => Ok(name),
        None => refused("", "no environment is named, and the platform file has no `default_environment`"),
    }
}

fn platform_name(file: &PlatformFile, project: &Project, problems: &mut Problems) -> Option<PlatformName> {
    if let Some(name) = &file.platform {
        return Some(name.clone());
    }
    PlatformName::parse(&project.name)
        .map_err(|invalid| {
            problems.0.push(Problem {
                found: invalid.found,
                allowed: invalid.allowed.to_owned(),
                ..scene::compose_problem(
                    "name",
                    "",
                    "the name of the Compose project cannot name a platform; write `platform` in mainstay.yaml",
                )
            });
        })
        .ok()
}

/// Where routes are shown when no address is written: where routes are written, on the published ports of the service
/// that has `/`, so that the product stays where its compose file put it; otherwise on port 80. Without a route there is
/// nothing to show, and nothing is opened.
fn shared_binds(scene: &Scene<'_>, services: &[ServicePlan], origin: Origin) -> Vec<Bind> {
    if services.iter().all(|plan| plan.routes.is_empty()) {
        return Vec::new();
    }
    let is_face = |plan: &&ServicePlan| plan.routes.iter().any(|route| route.host.is_none() && route.path == "/");
    let face = services.iter().find(is_face).and_then(|plan| Some((plan, scene.active.get(&plan.name)?)));
    let ports =
        face.into_iter().flat_map(|(plan, service)| service.ports.iter().filter(|port| Some(port.target) == plan.port));
    let published = ports.filter(|port| port.protocol == "tcp").flat_map(Port::binds);
    let binds: Vec<Bind> = published.filter(|_| origin == Origin::Written).collect();
    match binds.is_empty() {
        true => Bind::any(defaults::HTTP_PORT).each().collect(),
        false => binds,
    }
}

fn https(scene: &Scene<'_>) -> Vec<String> {
    let written = scene.environment.edge.as_ref().and_then(|edge| edge.https.as_ref());
    written.map(|binds| binds.iter().flat_map(Bind::each).map(|bind| bind.to_string()).collect()).unwrap_or_default()
}

fn compose_files(scene: &Scene<'_>) -> Vec<String> {
    let own = scene.file.compose.clone().unwrap_or_else(|| vec![defaults::COMPOSE_FILE.to_owned()]);
    own.into_iter().chain(scene.environment.compose.clone().unwrap_or_default()).collect()
}

fn hooks(written: &Hooks) -> HookPlan {
    let plan = |hooks: &[Hook]| -> Vec<HookJob> {
        let job = |hook: &Hook| HookJob {
            job: Job { command: hook.command.clone(), timeout: hook.timeout.unwrap_or(defaults::JOB_TIMEOUT) },
            service: hook.service.clone(),
        };
        hooks.iter().map(job).collect()
    };
    HookPlan {
        pre_build: plan(&written.pre_build),
        pre_deploy: plan(&written.pre_deploy),
        post_deploy: plan(&written.post_deploy),
        deploy_failed: plan(&written.deploy_failed),
        post_rollback: plan(&written.post_rollback),
    }
}
