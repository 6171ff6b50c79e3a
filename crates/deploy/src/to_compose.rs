//! Giving a platform to plain Compose, with its data.
//!
//! Compose makes its containers while ours still serve, so that the gap is what the programs themselves need to end and
//! to start. Data in volumes that no file names is brought along by a file laid over the project: Compose makes its
//! containers with our volumes first and then, when it makes them anew from the project alone, hands the mounts on.

use machine::compose::{Compose, UpOptions};
use machine::docker::ContainerDetail;
use machine::process::Command;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use spec::platform::Bind;
use spec::{HostSize, ServicePlan};

use crate::error::{DeployError, Ending, is_gone};
use crate::identity;
use crate::load::{self, Loaded};
use crate::names::Scope;
use crate::world::World;
use crate::{images, removal, takeover, up};

/// What was asked for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Request {
    pub source: load::Source,
    pub by: String,
}

/// A platform that is Compose's now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Released {
    pub scope: Scope,
    /// Compose's project.
    pub project: String,
    /// How Compose is called for it, without a verb.
    pub command: String,
    /// Containers of Mainstay's that are gone.
    pub stopped: Vec<String>,
    /// Compose's containers that run.
    pub runs: Vec<String>,
    /// From the first stop until Compose had started everything.
    pub away_ms: u64,
}

/// May be done again at any point: what is there already is left as it is.
pub async fn to_compose(
    world: &World,
    operation: &str,
    request: &Request,
    host: &HostSize,
) -> Result<Released, DeployError> {
    load::refuse_elsewhere(world, &request.source)?;
    let loaded = load::load(world, &request.source, host).await?;
    let scope = &loaded.scope;
    if world.identity(scope)?.is_none() {
        return Err(DeployError::Refused(format!(
            "{scope} was never brought up on this machine, so there is nothing to give to Docker Compose; `docker compose up -d` starts it"
        )));
    }
    refuse_shared_ports(world, &loaded)?;
    tell_other_images(world, &loaded).await?;
    let release = Release { world, loaded: &loaded, compose: plain(&loaded), request };
    let unlabelled = release.unlabelled_networks().await?;
    if unlabelled.is_empty() {
        release.create().await?;
    }
    let began = world.clock.monotonic();
    let stopped = removal::stop_all(world, scope).await?;
    removal::retire(world, scope, None)?;
    if let Err(error) = release.start(&unlabelled).await {
        return Err(release.back(operation, host, &error).await);
    }
    let away_ms = u64::try_from(world.clock.monotonic().saturating_sub(began).as_millis()).unwrap_or(u64::MAX);
    world.change_identity(scope, |identity| identity.with_compose = true)?;
    let found = takeover::look(world, &loaded).await?;
    let runs = found.services.into_values().flatten().filter(|one| one.state.is_up()).map(|one| one.name).collect();
    Ok(Released {
        scope: scope.clone(),
        project: loaded.identity.project.clone(),
        command: command(&loaded),
        stopped,
        runs,
        away_ms,
    })
}

/// The project as plain Compose would read it in this folder.
fn plain(loaded: &Loaded) -> Compose {
    let profiles = profiles(loaded).unwrap_or_default();
    Compose { profiles, ..loaded.compose.clone() }
}

/// Those that the platform file names; what `COMPOSE_PROFILES` says Compose finds itself.
fn profiles(loaded: &Loaded) -> Option<Vec<String>> {
    loaded.file.environments.get(&loaded.scope.environment)?.profiles.clone()
}

/// What a person types in the folder for this project.
fn command(loaded: &Loaded) -> String {
    let settings = loaded.file.environments.get(&loaded.scope.environment).cloned().unwrap_or_default();
    let mut words = vec!["docker compose".to_owned()];
    let dir = loaded.compose.dir.clone().unwrap_or_default();
    if identity::compose_name(&dir, &loaded.files, &|_| None).name != loaded.identity.project {
        words.push(format!("-p {}", loaded.identity.project));
    }
    if load::compose_files_in(&dir).ok().as_ref() != Some(&loaded.files) {
        words.extend(loaded.files.iter().map(|file| format!("-f {file}")));
    }
    words.extend(settings.env_file.iter().flatten().map(|file| format!("--env-file {file}")));
    words.extend(profiles(loaded).into_iter().flatten().map(|profile| format!("--profile {profile}")));
    words.join(" ")
}

/// Docker cannot publish a port on which the edge goes on listening for another platform.
fn refuse_shared_ports(world: &World, loaded: &Loaded) -> Result<(), DeployError> {
    let services = loaded.platform.services.iter().filter_map(|plan| loaded.project.services.get(&plan.name));
    let published: Vec<u16> = services
        .flat_map(|service| &service.ports)
        .filter(|port| port.protocol == "tcp")
        .filter_map(|port| port.published)
        .collect();
    for other in world.platforms()?.iter().filter(|other| other.scope != loaded.scope) {
        let own = other.edge.tcp.iter().map(|tcp| &tcp.listen).chain(other.edge.ports.iter().map(|port| &port.listen));
        let mut binds = other.http.iter().chain(&other.https).chain(own).filter_map(|bind| Bind::parse(bind).ok());
        if let Some(bind) = binds.find(|bind| published.contains(&bind.0.port())) {
            return Err(DeployError::Refused(format!(
                "port {} stays the edge's for {}, and Docker cannot publish it for {}; give one of the two another port, or take the other away with `mainstay down`",
                bind.0.port(),
                other.scope,
                loaded.scope
            )));
        }
    }
    Ok(())
}

/// Compose runs what a name means now.
async fn tell_other_images(world: &World, loaded: &Loaded) -> Result<(), DeployError> {
    for (service, release) in world.serving(&loaded.scope)? {
        let Some(written) = loaded.project.services.get(&service) else { continue };
        let reference = images::written(&loaded.identity, &service, written);
        let now = images::find(world, &reference).await?.map(|image| image.id);
        if now.as_ref() != Some(&release.image.id) {
            let text =
                format!("Compose runs `{reference}` as it is now, which is another image than {} runs", release.id);
            world.talk.say(Some(&service), text);
        }
    }
    Ok(())
}

struct Release<'a> {
    world: &'a World,
    loaded: &'a Loaded,
    compose: Compose,
    request: &'a Request,
}

impl Release<'_> {
    /// Compose refuses a network of its name that does not have its labels, as those of the version before.
    async fn unlabelled_networks(&self) -> Result<Vec<String>, DeployError> {
        let mut names = Vec::new();
        let ours = self.world.docker.networks(&self.loaded.scope.selector()).await.map_err(docker("list networks"))?;
        for network in ours.into_iter().filter(|network| !network.labels.contains_key(identity::COMPOSE_PROJECT)) {
            names.push(network.name);
        }
        Ok(names)
    }

    /// Makes Compose's containers, with the volumes that no file names, and starts none.
    async fn create(&self) -> Result<(), DeployError> {
        let found = takeover::look(self.world, self.loaded).await?;
        let with_own: Vec<&ServicePlan> =
            self.loaded.platform.services.iter().filter(|plan| !self.loaded.own.of_service(plan).is_empty()).collect();
        // What an attempt before this one has left has perhaps other volumes; what runs has the right ones.
        let mut waiting = Vec::new();
        for plan in with_own {
            let there = found.services.get(&plan.name).map_or(&[][..], Vec::as_slice);
            if !there.iter().any(|one| one.state.is_up()) {
                self.remove(there).await?;
                waiting.push(plan);
            }
        }
        let most = waiting.iter().map(|plan| plan.replicas.max(1)).max().unwrap_or_default();
        for copy in 1..=most {
            self.create_copy(&waiting, copy).await?;
        }
        self.run(self.compose.create()).await
    }

    /// Each copy has volumes of its own, so they are made one after the other.
    async fn create_copy(&self, plans: &[&ServicePlan], copy: u32) -> Result<(), DeployError> {
        let (root, folder) = (&self.world.root, self.loaded.scope.project());
        let name = format!("releases/{folder}/to-compose.json");
        let failed = |source| DeployError::State { operation: "write what is laid over the project".into(), source };
        let text = serde_json::to_vec_pretty(&self.over(plans, copy)).unwrap_or_default();
        root.write_atomic(&name, &text, 0o600).map_err(failed)?;
        let mut compose = self.compose.clone();
        compose.files.push(root.join(&name).map_err(failed)?);
        let copies = |plan: &&ServicePlan| (plan.name.to_string(), copy.min(plan.replicas.max(1)));
        let made = self.run(compose.create_missing(&plans.iter().map(copies).collect::<Vec<_>>())).await;
        root.remove(&name).map_err(failed)?;
        made
    }

    /// The file that mounts them.
    fn over(&self, plans: &[&ServicePlan], copy: u32) -> Value {
        let (mut services, mut volumes) = (Map::new(), Map::new());
        for plan in plans.iter().filter(|plan| copy <= plan.replicas.max(1)) {
            let mut mounts = Vec::new();
            for (number, own) in self.loaded.own.of_service(plan).into_iter().enumerate() {
                let key = format!("own-{}-{number}", plan.name);
                mounts.push(json!({ "type": "volume", "source": key, "target": own.target }));
                volumes.insert(key, json!({ "external": true, "name": own.name(copy) }));
            }
            services.insert(plan.name.to_string(), json!({ "volumes": mounts }));
        }
        json!({ "services": services, "volumes": volumes })
    }

    async fn remove(&self, containers: &[ContainerDetail]) -> Result<(), DeployError> {
        for container in containers {
            match self.world.docker.remove(&container.id, false).await {
                Err(error) if !is_gone(&error) => return Err(docker("remove a container of Compose")(error)),
                _ => {}
            }
        }
        Ok(())
    }

    async fn start(&self, unlabelled: &[String]) -> Result<(), DeployError> {
        for network in unlabelled {
            match self.world.docker.remove_network(network).await {
                Err(error) if !is_gone(&error) => return Err(docker("remove a network")(error)),
                _ => {}
            }
        }
        if !unlabelled.is_empty() {
            self.create().await?;
        }
        self.world.talk.say(None, format!("Docker Compose starts project `{}`", self.compose.project));
        let all = UpOptions { no_deps: false, no_build: false, pull_never: false, ..UpOptions::default() };
        self.run(self.compose.up(&all)).await
    }

    /// Compose could not: ours come back, and take over what it has begun.
    async fn back(&self, operation: &str, host: &HostSize, error: &DeployError) -> DeployError {
        let said = match error {
            DeployError::Compose { said } => said.clone(),
            other => other.to_string(),
        };
        self.world.talk.say(None, "Docker Compose could not start it; Mainstay brings it up again");
        let request = up::Request {
            source: self.request.source.clone(),
            by: self.request.by.clone(),
            why: "Docker Compose could not take it over".into(),
            ..up::Request::default()
        };
        let back = up::up(self.world, operation, &request, host).await;
        let is_back = back.is_ok_and(|report| report.ending == Ending::Done);
        DeployError::ToCompose { scope: self.loaded.scope.clone(), said, is_back }
    }

    async fn run(&self, command: Command) -> Result<(), DeployError> {
        let command = load::with_shell(command, &self.loaded.shell).dir(&self.request.source.dir);
        let output = self.world.run(command).await?;
        if output.status == 0 {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = said.trim().lines().collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
        Err(DeployError::Compose { said: self.loaded.redactor.redact(&last).into_owned() })
    }
}

const LAST_LINES: usize = 4;

fn docker(operation: &'static str) -> impl Fn(machine::docker::DockerError) -> DeployError {
    move |source| DeployError::Docker { operation: operation.into(), source }
}
