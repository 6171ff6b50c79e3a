//! A platform in a fake world: a fake Docker and Compose, a real edge and a real ledger.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test program uses the part that it needs")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deploy::release::{Definition, ImagePin, Release, State};
use deploy::roll_out::{Found, Params};
use deploy::store::Platform;
use deploy::{Parts, Scope, Talk, World};
use futures_util::FutureExt;
use machine::clock::{Clock, SystemClock, TestClock};
use machine::docker::{Behaviour, ContainerSpec, Docker, FakeDocker, Restart};
use machine::files::Root;
use machine::process::{Command, FakeProcesses, Output};
use saga::Outcome;
use serde_json::{Value, json};
use spec::{Check, EnvironmentName, Finish, PlatformName, ReleaseId, ServiceName, ServicePlan, Strategy};
use tokio_util::sync::CancellationToken;

/// How the service is replaced, and how many copies the old and the new release have.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub strategy: Strategy,
    pub old: u32,
    pub new: u32,
}

impl From<Strategy> for Case {
    fn from(strategy: Strategy) -> Case {
        Case { strategy, old: 1, new: 1 }
    }
}

/// A platform with one service, whose first release serves.
pub struct Site {
    pub world: World,
    pub docker: FakeDocker,
    processes: Arc<FakeProcesses>,
    stop: CancellationToken,
    _root: tempfile::TempDir,
}

impl Site {
    /// What was run inside containers.
    pub fn execs(&self) -> Vec<String> {
        self.processes.lines().into_iter().filter(|line| line.contains("docker exec")).collect()
    }

    /// How often a migration was begun.
    pub fn migrations(&self) -> usize {
        self.processes.lines().iter().filter(|line| line.contains(" run ")).count()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub fn scope() -> Scope {
    Scope { platform: PlatformName::parse("shop").unwrap(), environment: EnvironmentName::parse("production").unwrap() }
}

pub fn release(number: u64, case: impl Into<Case>) -> Release {
    release_of("web", number, case.into())
}

pub fn release_of(service: &str, number: u64, case: Case) -> Release {
    let (id, service) = (ReleaseId::new(number), ServiceName::parse(service).unwrap());
    let mut plan = ServicePlan::new(service.clone(), case.strategy);
    plan.port = Some(8080);
    plan.health.check = Check::Docker;
    plan.health.interval = Duration::from_millis(5);
    plan.health.budget = Duration::from_secs(5);
    let container = scope().container(&service, &id);
    Release {
        image: ImagePin { reference: format!("shop/web:{number}"), id: format!("shop/web:{number}"), instead_of: None },
        definition: Definition {
            file: format!("releases/{container}.json"),
            service: service.to_string(),
            hash: "h".into(),
        },
        state: State::Starting,
        scope: scope(),
        targets: vec![],
        copies: if number == 1 { case.old } else { case.new },
        addresses: vec![],
        listens: Default::default(),
        making_way_for: None,
        guests: None,
        gateway_names: true,
        origin: Default::default(),
        by: "test".into(),
        why: "test".into(),
        created_ms: 0,
        switched_ms: None,
        parked_until_ms: None,
        healthy_after_ms: None,
        id,
        service,
        plan,
        container,
    }
}

pub fn params(case: impl Into<Case>) -> Params {
    let case = case.into();
    Params {
        operation: "op1".into(),
        release: release(2, case),
        previous: Some(ReleaseId::new(1)),
        previous_copies: case.old,
        start: true,
        migrate: false,
        soak: false,
        canary: None,
        alone: false,
        leaving: Vec::new(),
    }
}

/// What `docker compose up` does: the containers of the services it names, as the file describes them.
/// And `run`: a container that ends well at once.
fn compose(docker: FakeDocker, root: Root) -> FakeProcesses {
    FakeProcesses::new().when("docker exec", move |command: &Command| told(&root, command)).when(
        "docker compose",
        move |command: &Command| {
            let words = command.words();
            if words.contains(&"run") {
                let name = words.iter().skip_while(|word| **word != "--name").nth(1).copied().unwrap_or_default();
                let _ = docker.run_now(&container(name, "migration"));
                return Output::default();
            }
            let file = words.iter().skip_while(|word| **word != "--file").nth(1).copied().unwrap_or_default();
            let document: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
            for key in words.iter().skip_while(|word| **word != "never").skip(1) {
                let service = &document["services"][*key];
                let text =
                    |field: &str| service[field].as_str().unwrap_or_else(|| panic!("{key} has no {field}")).to_owned();
                let spec = ContainerSpec {
                    name: text("container_name"),
                    image: text("image"),
                    labels: labels(&text("container_name")),
                    restart: restart(service["restart"].as_str()),
                    ..ContainerSpec::default()
                };
                if docker.run_now(&spec).is_err() {
                    let _ = docker.start(&spec.name).now_or_never();
                }
            }
            Output::default()
        },
    )
}

fn restart(word: Option<&str>) -> Restart {
    match word {
        Some("always") => Restart::Always,
        Some("unless-stopped") => Restart::UnlessStopped,
        Some("on-failure:2") => Restart::OnFailure(2),
        _ => Restart::No,
    }
}

/// What a worker does with a word: it remembers that it takes nothing new, and forgets it again.
fn told(root: &Root, command: &Command) -> Output {
    let words = command.words();
    let [.., container, word] = words.as_slice() else { panic!("{words:?}") };
    let file = format!("deaf/{container}");
    match *word {
        "stop-taking" => root.write_atomic(&file, b"", 0o600).unwrap(),
        "take-again" => drop(root.remove(&file).unwrap()),
        _ => {}
    }
    Output::default()
}

/// Those of its release, which its name tells; one of a migration has the scope's only.
fn labels(name: &str) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<String, String> = scope().selector().into_iter().collect();
    let own = name.strip_prefix(&format!("{}-", scope().project())).and_then(|rest| rest.rsplit_once("-r"));
    if let Some((service, number)) = own.filter(|(_, number)| !number.ends_with("-migrate")) {
        let number = number.split('-').next().unwrap_or_default();
        labels.insert(deploy::names::SERVICE.into(), service.into());
        labels.insert(deploy::names::RELEASE.into(), format!("r{number}"));
    }
    labels
}

pub fn container(name: &str, number: &str) -> ContainerSpec {
    ContainerSpec {
        name: name.into(),
        image: format!("shop/web:{number}"),
        labels: labels(name),
        ..ContainerSpec::default()
    }
}

pub async fn site(case: impl Into<Case>, new: Behaviour) -> Site {
    site_of(case.into(), Behaviour::healthy_after(1), new).await
}

pub async fn site_of(case: Case, old: Behaviour, new: Behaviour) -> Site {
    // It stands still: what waits for time would wait for ever, and nothing here may.
    site_by(Arc::new(TestClock::default()), case, old, new).await
}

pub async fn site_by(clock: Arc<dyn Clock>, case: Case, old: Behaviour, new: Behaviour) -> Site {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::open(folder.path()).unwrap();
    let docker = FakeDocker::new(clock.clone());
    docker.add_image("shop/web:1", old);
    docker.add_image("shop/web:2", new);
    docker.add_image("shop/web:migration", Behaviour::exits(0, Duration::ZERO));
    let processes = Arc::new(compose(docker.clone(), root.clone()));
    let socket = folder.path().join("edge.sock");
    let stop = CancellationToken::new();
    let config = edge::EdgeConfig { control_socket: socket.clone(), state_dir: folder.path().join("edge") };
    tokio::spawn(edge::serve(config, stop.clone()));
    let parts = Parts {
        docker: Arc::new(docker.clone()),
        processes: processes.clone(),
        ledger: ledger::Ledger::in_memory(clock.clone()).unwrap(),
        edge: edge::Control::new(socket),
        clock,
        root,
        environment: vec![],
        salt: vec![7; 32],
        switching: tokio::sync::Mutex::new(()),
        holding: tokio::sync::Mutex::new(()),
        lent: Default::default(),
        faults: None,
    };
    let world = World::new(Arc::new(parts), Talk::silent(), saga::Abort::new());
    while world.edge.status().await.is_err() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    serve_first(&world, &docker, case).await;
    Site { world, docker, processes, stop, _root: folder }
}

async fn serve_first(world: &World, docker: &FakeDocker, case: Case) {
    world.save_platform(&Platform::new(scope(), "/")).unwrap();
    serve(world, docker, "web", case).await;
}

/// The first release of a service serves, and the second is to come.
pub async fn serve(world: &World, docker: &FakeDocker, name: &str, case: Case) {
    let (mut first, second) = (release_of(name, 1, case), release_of(name, 2, case));
    for name in first.containers() {
        docker.run_now(&container(&name, "1")).unwrap();
        let running = docker.inspect(&name).await.unwrap().unwrap();
        first.addresses.extend(deploy::health::address(&running));
    }
    first.targets = first.targets_at(&first.addresses);
    let (repository, tag) = first.scope.keep_tag(&first.service, &first.id);
    docker.tag(&first.image.id, &repository, &tag).await.unwrap();
    for release in [&first, &second] {
        let service = json!({ "image": release.image.id, "container_name": release.container });
        let document = json!({ "services": { name: service } });
        world.root.save_json(&release.definition.file, &document, 0o600).unwrap();
    }
    world.save_release(&first).unwrap();
    world.move_serving(&first, None, None).unwrap();
    world.save_release(&second).unwrap();
    world.push_routes().await.unwrap();
}

/// What users and operators can see: what runs, what serves, what the edge routes to, which tags keep images.
#[derive(Debug, PartialEq)]
pub struct Seen {
    pub running: Vec<String>,
    pub serving: Option<String>,
    pub routed: Vec<String>,
    /// Whether requests wait at the edge.
    pub held: bool,
    /// How many copies the edge sends requests to.
    pub targets: usize,
    pub kept: Vec<String>,
    /// Workers that were told to take nothing new.
    pub deaf: Vec<String>,
}

pub async fn seen(world: &World) -> Seen {
    let containers = world.docker.list(&[], true).await.unwrap();
    let running = containers.into_iter().filter(|c| c.state.is_up()).map(|c| c.name);
    let images = world.docker.images(&[], Some("mainstay/")).await.unwrap();
    let serving = world.serving_of(&scope(), &ServiceName::parse("web").unwrap()).unwrap();
    let pools = world.edge.status().await.unwrap().pools;
    let mut seen = Seen {
        deaf: world.root.list("deaf").unwrap_or_default(),
        targets: pools.iter().map(|pool| pool.targets.len()).sum(),
        held: pools.iter().any(|pool| pool.is_held),
        running: running.collect(),
        serving: serving.map(|release| release.id.to_string()),
        routed: pools.into_iter().map(|pool| pool.release).collect(),
        kept: images.into_iter().flat_map(|image| image.tags).filter(|tag| tag.starts_with("mainstay/")).collect(),
    };
    seen.running.sort();
    seen
}

/// A worker of two copies that is told to finish before it is replaced.
pub fn finishing() -> Params {
    let mut params = params(Case { strategy: Strategy::DrainFirst, old: 2, new: 2 });
    let words = |word: &str| vec![word.to_owned()];
    params.release.plan.finish = Some(Finish {
        stop_taking: words("stop-taking"),
        idle: Some(words("idle")),
        take_again: Some(words("take-again")),
        within: Duration::from_secs(5),
    });
    params
}

/// The saga tests want worlds; the sites behind them live as long as the test.
pub struct Sites {
    case: Case,
    made: std::sync::Mutex<Vec<Site>>,
}

impl Sites {
    pub fn new(case: impl Into<Case>) -> Sites {
        Sites { case: case.into(), made: std::sync::Mutex::new(Vec::new()) }
    }

    pub async fn world(&self) -> World {
        self.keep(site(self.case, Behaviour::healthy_after(1)).await)
    }

    /// One in which time passes.
    pub async fn living_world(&self) -> World {
        let clock = Arc::new(SystemClock::new());
        let (old, new) = (Behaviour::healthy_after(1), Behaviour::healthy_after(1));
        self.keep(site_by(clock, self.case, old, new).await)
    }

    pub fn keep(&self, site: Site) -> World {
        let world = site.world.clone();
        self.made.lock().unwrap().push(site);
        world
    }
}

/// One of the legal ends: all the old one or all the new one, never both, never neither.
pub async fn legal(world: &World, outcome: &Outcome<Found>) {
    let number = match outcome {
        Outcome::Done(_) => 2,
        Outcome::Undone { .. } => 1,
        other => panic!("not a legal end: {other:?}"),
    };
    serves(world, number).await;
}

/// This release serves alone, with every copy of it.
pub async fn serves(world: &World, number: u64) {
    let seen = seen(world).await;
    let serving = world.serving_of(&scope(), &ServiceName::parse("web").unwrap()).unwrap().unwrap();
    assert_eq!(serving.id, ReleaseId::new(number), "{seen:?}");
    assert_eq!(seen.routed, [serving.id.to_string()], "{seen:?}");
    assert_eq!(seen.targets, serving.copies as usize, "{seen:?}");
    assert!(!seen.held, "nobody waits after the end: {seen:?}");
    for container in serving.containers() {
        assert!(seen.running.contains(&container), "{container} of {seen:?}");
    }
}
