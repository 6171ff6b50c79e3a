//! The roll-out saga passes the four tests of every saga: on a fake Docker, with a real edge and a real ledger.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deploy::release::{Definition, Event, ImagePin, Release, State};
use deploy::roll_out::{Found, Params, RollOut};
use deploy::store::Platform;
use deploy::{Parts, Scope, Talk, World};
use futures_util::FutureExt;
use machine::clock::TestClock;
use machine::docker::{Behaviour, ContainerSpec, Docker, FakeDocker};
use machine::files::Root;
use machine::process::{Command, FakeProcesses, Output};
use saga::{Inject, LogEvent, Outcome, Runner};
use spec::{Check, EnvironmentName, PlatformName, ReleaseId, ServiceName, ServicePlan, Strategy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

/// A platform with one service, whose first release serves.
struct Site {
    world: World,
    docker: FakeDocker,
    stop: CancellationToken,
    _root: tempfile::TempDir,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn scope() -> Scope {
    Scope { platform: PlatformName::parse("shop").unwrap(), environment: EnvironmentName::parse("production").unwrap() }
}

fn release(number: u64, strategy: Strategy) -> Release {
    let (id, service) = (ReleaseId::new(number), ServiceName::parse("web").unwrap());
    let mut plan = ServicePlan::new(service.clone(), strategy);
    plan.port = Some(8080);
    plan.health.check = Check::Docker;
    plan.health.interval = Duration::from_millis(5);
    plan.health.budget = Duration::from_secs(5);
    let container = scope().container(&service, &id);
    Release {
        image: ImagePin { reference: format!("shop/web:{number}"), id: format!("shop/web:{number}"), instead_of: None },
        definition: Definition { file: format!("releases/{container}.json"), service: "web".into(), hash: "h".into() },
        state: State::Starting,
        scope: scope(),
        targets: vec![],
        address: None,
        making_way_for: None,
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

fn params(strategy: Strategy) -> Params {
    Params {
        operation: "op1".into(),
        release: release(2, strategy),
        previous: Some(ReleaseId::new(1)),
        start: true,
        migrate: false,
    }
}

/// What `docker compose up` does: one container, named as the project.
fn compose(docker: FakeDocker) -> FakeProcesses {
    FakeProcesses::new().when("docker compose", move |command: &Command| {
        let words = command.words();
        let project = words.iter().skip_while(|word| **word != "--project-name").nth(1).copied().unwrap_or_default();
        let number = project.rsplit_once("-r").map(|(_, number)| number).unwrap_or_default();
        let made = docker.run_now(&container(project, number));
        if made.is_err() {
            let _ = docker.start(project).now_or_never();
        }
        Output::default()
    })
}

fn container(name: &str, number: &str) -> ContainerSpec {
    ContainerSpec { name: name.into(), image: format!("shop/web:{number}"), ..ContainerSpec::default() }
}

async fn site(strategy: Strategy, new: Behaviour) -> Site {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::open(folder.path()).unwrap();
    let clock = Arc::new(TestClock::default());
    let docker = FakeDocker::new(clock.clone());
    docker.add_image("shop/web:1", Behaviour::healthy_after(1));
    docker.add_image("shop/web:2", new);
    let socket = folder.path().join("edge.sock");
    let stop = CancellationToken::new();
    let config = edge::EdgeConfig { control_socket: socket.clone(), state_dir: folder.path().join("edge") };
    tokio::spawn(edge::serve(config, stop.clone()));
    let parts = Parts {
        docker: Arc::new(docker.clone()),
        processes: Arc::new(compose(docker.clone())),
        ledger: ledger::Ledger::in_memory(clock.clone()).unwrap(),
        edge: edge::Control::new(socket),
        clock,
        root,
        environment: vec![],
        salt: vec![7; 32],
        switching: tokio::sync::Mutex::new(()),
        faults: None,
    };
    let world = World::new(Arc::new(parts), Talk::silent(), saga::Abort::new());
    while world.edge.status().await.is_err() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    serve_first(&world, &docker, strategy).await;
    Site { world, docker, stop, _root: folder }
}

async fn serve_first(world: &World, docker: &FakeDocker, strategy: Strategy) {
    world
        .save_platform(&Platform {
            scope: scope(),
            dir: "/".into(),
            domain: None,
            http: vec![],
            https: vec![],
            edge: spec::EdgePlan::default(),
            certificates: vec![],
            maintenance: None,
            splits: BTreeMap::new(),
            internals: vec![],
            gateways: BTreeMap::new(),
            networks: vec![],
            volumes: vec![],
            keep_releases: 5,
            hooks: spec::HookPlan::default(),
        })
        .unwrap();
    let mut first = release(1, strategy);
    docker.run_now(&container(&first.container, "1")).unwrap();
    first.targets = vec![([127, 0, 0, 9], 8080).into()];
    world.save_release(&first).unwrap();
    world.move_serving(&first, None, None).unwrap();
    world.save_release(&release(2, strategy)).unwrap();
    world.push_routes().await.unwrap();
}

/// What users and operators can see: what runs, what serves, what the edge routes to, which tags keep images.
#[derive(Debug, PartialEq)]
struct Seen {
    running: Vec<String>,
    serving: Option<String>,
    routed: Vec<String>,
    /// Whether requests wait at the edge.
    held: bool,
    kept: Vec<String>,
}

async fn seen(world: &World) -> Seen {
    let containers = world.docker.list(&[], true).await.unwrap();
    let running = containers.into_iter().filter(|c| c.state.is_up()).map(|c| c.name);
    let images = world.docker.images(&[], Some("mainstay/")).await.unwrap();
    let serving = world.serving_of(&scope(), &ServiceName::parse("web").unwrap()).unwrap();
    let pools = world.edge.status().await.unwrap().pools;
    let mut seen = Seen {
        held: pools.iter().any(|pool| pool.is_held),
        running: running.collect(),
        serving: serving.map(|release| release.id.to_string()),
        routed: pools.into_iter().map(|pool| pool.release).collect(),
        kept: images.into_iter().flat_map(|image| image.tags).filter(|tag| tag.starts_with("mainstay/")).collect(),
    };
    seen.running.sort();
    seen
}

/// The saga tests want worlds; the sites behind them live as long as the test.
struct Sites {
    strategy: Strategy,
    made: std::sync::Mutex<Vec<Site>>,
}

impl Sites {
    fn new(strategy: Strategy) -> Sites {
        Sites { strategy, made: std::sync::Mutex::new(Vec::new()) }
    }

    async fn world(&self) -> World {
        let site = site(self.strategy, Behaviour::healthy_after(1)).await;
        let world = site.world.clone();
        self.made.lock().unwrap().push(site);
        world
    }
}

/// One of the legal ends: all the old one or all the new one, never both, never neither.
async fn legal(world: &World, outcome: &Outcome<Found>) {
    let seen = seen(world).await;
    let serving = match outcome {
        Outcome::Done(_) => "r2",
        Outcome::Undone { .. } => "r1",
        other => panic!("not a legal end: {other:?}"),
    };
    assert_eq!(seen.serving.as_deref(), Some(serving), "{seen:?}");
    assert_eq!(seen.routed, [serving], "{seen:?}");
    assert!(!seen.held, "nobody waits after the end: {seen:?}");
    assert!(seen.running.contains(&format!("shop-production-web-{serving}")), "{seen:?}");
}

const STRATEGIES: [Strategy; 2] = [Strategy::BlueGreen, Strategy::Exclusive];

#[tokio::test]
async fn a_roll_out_ends_with_the_new_release_serving() {
    for strategy in STRATEGIES {
        let site = site(strategy, Behaviour::healthy_after(2)).await;
        let found = saga::testing::runs_to_the_end::<RollOut>(&site.world, &params(strategy)).await;
        let seen = seen(&site.world).await;
        assert_eq!((seen.serving.as_deref(), seen.routed.as_slice()), (Some("r2"), ["r2".to_owned()].as_slice()));
        assert!(found.epoch.is_some() && found.healthy_after_ms.is_some());
        let warm = seen.running.contains(&"shop-production-web-r1".to_owned());
        assert_eq!(warm, strategy == Strategy::BlueGreen, "only a side-by-side release stays warm: {seen:?}");
    }
}

#[tokio::test]
async fn each_step_of_a_roll_out_may_run_twice() {
    for strategy in STRATEGIES {
        let sites = Sites::new(strategy);
        saga::testing::each_step_twice::<RollOut, _>(
            async || sites.world().await,
            &params(strategy),
            async |w| seen(w).await,
        )
        .await;
    }
}

#[tokio::test]
async fn a_failure_at_any_step_leaves_the_old_release_serving_alone() {
    for strategy in STRATEGIES {
        let sites = Sites::new(strategy);
        let make = async || sites.world().await;
        saga::testing::fail_at_each_step_leaves_world_as_before::<RollOut, _>(make, &params(strategy), async |w| {
            seen(w).await
        })
        .await;
    }
}

#[tokio::test]
async fn a_crash_after_any_entry_of_the_journal_is_finished_or_undone() {
    for strategy in STRATEGIES {
        let sites = Sites::new(strategy);
        let make = async || sites.world().await;
        saga::testing::crash_after_each_event_and_recover::<RollOut>(make, &params(strategy), async |w, o| {
            legal(w, o).await
        })
        .await;
    }
}

#[tokio::test]
async fn a_release_that_never_becomes_healthy_is_kept_stopped_and_the_old_one_serves() {
    for strategy in STRATEGIES {
        let site = site(strategy, Behaviour::exits(3, Duration::ZERO).saying(&["no database"])).await;
        let runner = Runner::new(site.world.ledger.clone(), site.world.clock.clone());
        let id = spec::SagaId::parse("op1.web.r2").unwrap();
        runner.create::<RollOut>(&id, &params(strategy)).unwrap();
        let outcome = runner.run::<RollOut>(&site.world, &id, &saga::Abort::new()).await;
        let Outcome::Undone { failed_step, error, .. } = &outcome else { panic!("{outcome:?}") };
        assert_eq!(failed_step, "healthy");
        assert!(error.message.contains("exited with code 3"), "{error:?}");
        assert_eq!(error.detail["logs"], serde_json::json!(["no database"]));
        legal(&site.world, &outcome).await;
        let kept = site.docker.inspect("shop-production-web-r2").await.unwrap();
        assert!(kept.is_some_and(|kept| !kept.state.is_up()), "the failed container is kept for inspection");
    }
}

/// Runs the roll-out of a service that never runs twice until the process dies at the chosen entry of its journal.
async fn dies(site: &Site, at: impl Fn(&LogEvent) -> bool + Send + Sync + 'static) -> spec::SagaId {
    let faults = move |_: u64, event: &LogEvent| if at(event) { Inject::Crash } else { Inject::None };
    let runner = Runner::new(site.world.ledger.clone(), site.world.clock.clone()).faults(Arc::new(faults));
    let id = spec::SagaId::parse("op1.web.r2").unwrap();
    runner.create::<RollOut>(&id, &params(Strategy::Exclusive)).unwrap();
    let outcome = runner.run::<RollOut>(&site.world, &id, &saga::Abort::new()).await;
    assert!(matches!(outcome, Outcome::Crashed), "{outcome:?}");
    id
}

fn succeeded(event: &LogEvent, wanted: &str) -> bool {
    matches!(event, LogEvent::Succeeded { step, .. } if &**step == wanted)
}

#[tokio::test]
async fn requests_wait_from_before_the_old_container_stops_until_the_new_one_is_routed() {
    let old = "shop-production-web-r1".to_owned();
    for (step, held, runs) in [
        ("pin", false, true),
        ("hold", true, true),
        ("stop-previous", true, false),
        ("healthy", true, false),
        ("switch", false, false),
    ] {
        let site = site(Strategy::Exclusive, Behaviour::healthy_after(1)).await;
        dies(&site, move |event| succeeded(event, step)).await;
        let seen = seen(&site.world).await;
        assert_eq!((seen.held, seen.running.contains(&old)), (held, runs), "after {step}: {seen:?}");
        let targets = site.world.edge.status().await.unwrap().pools.remove(0).targets;
        assert_eq!(targets.is_empty(), held, "after {step}: nobody is sent to a container that stops");
    }
}

#[tokio::test]
async fn after_a_crash_in_the_gap_recovery_lets_the_requests_go_on() {
    for (behaviour, serving) in [(Behaviour::healthy_after(1), "r2"), (Behaviour::exits(3, Duration::ZERO), "r1")] {
        let site = site(Strategy::Exclusive, behaviour).await;
        dies(&site, |event| succeeded(event, "stop-previous")).await;
        assert!(seen(&site.world).await.held);
        deploy::recover::recover(&site.world).await.unwrap();
        let seen = seen(&site.world).await;
        assert_eq!((seen.held, seen.serving.as_deref()), (false, Some(serving)), "{seen:?}");
    }
}

#[tokio::test]
async fn whatever_a_record_says_nobody_waits_for_a_release_that_is_decided() {
    let site = site(Strategy::Exclusive, Behaviour::healthy_after(1)).await;
    dies(&site, |event| succeeded(event, "hold")).await;
    let mut next =
        site.world.release(&scope(), &ServiceName::parse("web").unwrap(), &ReleaseId::new(2)).unwrap().unwrap();
    next.state = State::Failed { reason: "given up".into() };
    site.world.save_release(&next).unwrap();
    let turn = deploy::tick::tick(&site.world).await.unwrap();
    assert!(turn.routes_pushed, "the reconciler brings the edge in step");
    let seen = seen(&site.world).await;
    assert_eq!((seen.held, seen.routed.as_slice()), (false, ["r1".to_owned()].as_slice()), "{seen:?}");
}

#[tokio::test]
async fn a_roll_out_that_is_stuck_in_the_gap_makes_nobody_wait() {
    let site = site(Strategy::Exclusive, Behaviour::exits(3, Duration::ZERO)).await;
    let id = dies(&site, |event| succeeded(event, "stop-previous")).await;
    // Neither the new nor the old container can be brought up.
    site.docker.remove("shop-production-web-r1", true).await.unwrap();
    site.docker.run_now(&container("shop-production-web-r1", "2")).unwrap();
    let resumed = deploy::roll_out::after::resume(&site.world, &id).await.unwrap().1;
    assert!(
        matches!(&resumed.result, deploy::report::Outcome::Failed(failure) if failure.ending == deploy::Ending::Stuck),
        "{resumed:?}"
    );
    assert!(!seen(&site.world).await.held);
}

#[test]
fn a_release_that_was_superseded_can_serve_again() {
    let mut state = State::Serving;
    for event in [Event::Superseded { warm: false }, Event::Started, Event::Switched] {
        state = state.next(&event).unwrap();
    }
    assert_eq!(state, State::Serving);
}

/// Answers each piece with itself.
async fn echo_server() -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (mut reading, mut writing) = stream.split();
            let _ = tokio::io::copy(&mut reading, &mut writing).await;
        }
    });
    address
}

/// Gives the first release a TCP port that leads to a real server; returns where the edge listens for it.
async fn with_tcp_port(world: &World, server: std::net::SocketAddr) -> std::net::SocketAddr {
    let mut platform = world.platform(&scope()).unwrap().unwrap();
    platform.edge.tcp.push(spec::TcpPort {
        listen: "127.0.0.1:0".into(),
        service: ServiceName::parse("web").unwrap(),
        port: server.port(),
        idle: None,
        send_proxy: false,
    });
    world.save_platform(&platform).unwrap();
    let mut first = world.release(&scope(), &ServiceName::parse("web").unwrap(), &ReleaseId::new(1)).unwrap().unwrap();
    first.address = Some(server.ip());
    world.save_release(&first).unwrap();
    world.push_routes().await.unwrap().listeners[0].bind
}

#[tokio::test]
async fn a_tcp_connection_finishes_through_a_roll_out_which_waits_for_it() {
    let site = site(Strategy::BlueGreen, Behaviour::healthy_after(1)).await;
    let port = with_tcp_port(&site.world, echo_server().await).await;
    let mut client = tokio::net::TcpStream::connect(port).await.unwrap();
    let mut said = [0u8; 6];
    client.write_all(b"before").await.unwrap();
    client.read_exact(&mut said).await.unwrap();

    let (drains, mut draining) = tokio::sync::watch::channel(false);
    let watch = move |_: u64, event: &LogEvent| {
        if matches!(event, LogEvent::Started { step } if step == "drain") {
            let _ = drains.send(true);
        }
        Inject::None
    };
    let runner = Runner::new(site.world.ledger.clone(), site.world.clock.clone()).faults(Arc::new(watch));
    let id = spec::SagaId::parse("op1.web.r2").unwrap();
    runner.create::<RollOut>(&id, &params(Strategy::BlueGreen)).unwrap();
    let world = site.world.clone();
    let mut running = tokio::spawn(async move { runner.run::<RollOut>(&world, &id, &saga::Abort::new()).await });
    draining.wait_for(|drains| *drains).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(300), &mut running).await;
    assert!(early.is_err(), "the roll-out ended over an open connection: {early:?}");

    client.write_all(b"during").await.unwrap();
    client.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"during");
    drop(client);
    let outcome = tokio::time::timeout(Duration::from_secs(10), running).await.expect("it goes on").unwrap();
    let Outcome::Done(found) = outcome else { panic!("{outcome:?}") };
    assert_eq!(found.left, 0);
}
