//! Ends as Compose means them: done well, done badly, or gone with the engine.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod site;

use std::sync::Arc;
use std::time::Duration;

use deploy::ends::Watch;
use deploy::roll_out::{Found, Params, RollOut};
use ledger::Holder;
use machine::clock::{Clock, SystemClock, TestClock};
use machine::docker::{Behaviour, Docker, State};
use saga::{Outcome, Runner};
use serde_json::json;
use spec::{Check, ServiceName, Strategy};

use site::{Case, Site, Sites, container, params, release, scope, seen, site_by, site_of};

const CASE: Case = Case { strategy: Strategy::Exclusive, old: 1, new: 1 };

/// A roll-out of a service without a port.
fn portless() -> Params {
    let mut params = params(CASE);
    params.release.plan.port = None;
    params.release.plan.health.check = Check::Stable;
    params
}

/// The second release's definition says this about restarts.
async fn site_with(old: Behaviour, new: Behaviour, restart: &str) -> Site {
    let site = site_by(Arc::new(SystemClock::new()), CASE, old, new).await;
    let release = release(2, CASE);
    let service = json!({ "image": release.image.id, "container_name": release.container, "restart": restart });
    let document = json!({ "services": { "web": service } });
    site.world.root.save_json(&release.definition.file, &document, 0o600).unwrap();
    site
}

async fn run(site: &Site, params: &Params) -> Outcome<Found> {
    let runner = Runner::new(site.world.ledger.clone(), site.world.clock.clone());
    let id = spec::SagaId::parse("op1.web.r2").unwrap();
    runner.create::<RollOut>(&id, params).unwrap();
    runner.run::<RollOut>(&site.world, &id, &saga::Abort::new()).await
}

fn undone(outcome: &Outcome<Found>) -> &str {
    let Outcome::Undone { error, .. } = outcome else { panic!("{outcome:?}") };
    &error.message
}

fn serving(site: &Site) -> String {
    let web = ServiceName::parse("web").unwrap();
    site.world.serving_of(&scope(), &web).unwrap().unwrap().id.to_string()
}

fn ends(code: i64) -> Behaviour {
    Behaviour::exits(code, Duration::ZERO)
}

#[tokio::test]
async fn an_end_with_0_and_no_policy_or_on_failure_is_work_done() {
    for restart in ["no", "on-failure:2"] {
        let site = site_with(Behaviour::healthy_after(1), ends(0), restart).await;
        let outcome = run(&site, &portless()).await;
        assert!(matches!(outcome, Outcome::Done(_)), "{restart}: {outcome:?}");
        assert_eq!(serving(&site), "r2");
        let kept = site.docker.inspect("shop-production-web-r2").await.unwrap().unwrap();
        assert_eq!((kept.state, kept.exit_code), (State::Exited, Some(0)), "it is kept with its log");
    }
}

#[tokio::test]
async fn an_end_with_another_code_and_no_policy_is_told_as_such_and_what_is_tried_again_fails_with_its_last_try() {
    let site = site_with(Behaviour::healthy_after(1), ends(3), "no").await;
    assert_eq!(undone(&run(&site, &portless()).await), "it exited with code 3");
    assert_eq!(serving(&site), "r1");
    assert_eq!(seen(&site.world).await.running, ["shop-production-web-r1"]);
    let site = site_with(Behaviour::healthy_after(1), ends(3), "on-failure:2").await;
    assert_eq!(undone(&run(&site, &portless()).await), "it exited with code 3");
    let tried = site.docker.inspect("shop-production-web-r2").await.unwrap().unwrap();
    assert_eq!(tried.restart_count, 2, "Docker had its tries");
}

#[tokio::test]
async fn one_that_ends_well_and_is_restarted_for_ever_names_the_way_out() {
    for restart in ["always", "unless-stopped"] {
        let site = site_with(Behaviour::healthy_after(1), ends(0), restart).await;
        let outcome = run(&site, &portless()).await;
        let said = undone(&outcome);
        assert!(said.starts_with("it exited with code 0 and is restarted"), "{said}");
        assert!(said.contains(&format!("`{restart}`")) && said.contains("`restart: on-failure`"), "{said}");
        assert!(said.contains("`strategy: job`"), "{said}");
    }
}

#[tokio::test]
async fn traffic_is_not_switched_on_one_that_has_ended_however_well() {
    let site = site_with(Behaviour::healthy_after(1), ends(0), "no").await;
    let outcome = run(&site, &params(CASE)).await;
    assert!(
        undone(&outcome).contains("it ended (exit 0) before it could be sent anything on port 8080"),
        "{outcome:?}"
    );
    assert_eq!(serving(&site), "r1");
}

#[tokio::test]
async fn work_that_was_done_is_not_done_again_when_the_next_release_fails() {
    let site = site_with(ends(0), ends(3), "no").await;
    undone(&run(&site, &portless()).await);
    assert_eq!(serving(&site), "r1");
    let runs = site.docker.calls().into_iter().filter(|call| call == "start shop-production-web-r1").count();
    assert_eq!(runs, 1, "{:?}", site.docker.calls());
}

#[tokio::test]
async fn a_roll_out_of_one_that_ends_passes_the_tests_of_every_saga() {
    let sites = Sites::new(CASE);
    let make = async || sites.keep(site_of(CASE, ends(0), ends(0)).await);
    let look = async |world: &deploy::World| seen(world).await;
    saga::testing::each_step_twice::<RollOut, _>(make, &portless(), look).await;
    saga::testing::fail_at_each_step_leaves_world_as_before::<RollOut, _>(make, &portless(), look).await;
}

/// `web` without a port serves, and Docker has answered for a while.
async fn served(code: Option<i64>) -> (Site, Arc<TestClock>, Watch) {
    let clock = Arc::new(TestClock::default());
    let site = site_by(clock.clone(), CASE, Behaviour::runs(), Behaviour::runs()).await;
    let web = ServiceName::parse("web").unwrap();
    let mut release = site.world.serving_of(&scope(), &web).unwrap().unwrap();
    release.plan.port = None;
    site.world.save_release(&release).unwrap();
    clock.advance(Duration::from_secs(60));
    let watch = Watch::default();
    watch.answers(clock.now_ms());
    assert!(follow(&site, &watch, "boot1").await.is_empty());
    clock.advance(Duration::from_secs(60));
    if let Some(code) = code {
        site.docker.end("shop-production-web-r1", code).unwrap();
    }
    (site, clock, watch)
}

async fn follow(site: &Site, watch: &Watch, boot: &str) -> Vec<String> {
    deploy::ends::follow(&site.world, watch, boot).await.unwrap()
}

async fn runs(site: &Site) -> bool {
    seen(&site.world).await.running == ["shop-production-web-r1"]
}

fn told(site: &Site) -> Vec<String> {
    let all = site.world.ledger.last_events(&ledger::EventFilter::default(), 50).unwrap();
    all.into_iter().map(|event| event.kind).filter(|kind| kind.starts_with("release.")).collect()
}

#[tokio::test]
async fn an_end_of_its_own_is_written_down_and_outlives_engine_and_machine() {
    for code in [0, 3] {
        let (site, clock, watch) = served(Some(code)).await;
        assert!(follow(&site, &watch, "boot1").await.is_empty());
        assert!(told(&site).is_empty(), "a moment later the engine may be gone");
        clock.advance(Duration::from_secs(4));
        assert!(follow(&site, &watch, "boot1").await.is_empty());
        assert_eq!(told(&site), ["release.ended"]);
        // The engine goes at once, and the machine after it.
        watch.is_away(clock.now_ms());
        watch.answers(clock.now_ms() + 100);
        let later = Watch::default();
        clock.advance(Duration::from_secs(60));
        later.answers(clock.now_ms());
        for (watch, boot) in [(&watch, "boot1"), (&later, "boot2")] {
            assert!(follow(&site, watch, boot).await.is_empty(), "{boot}");
            assert!(!runs(&site).await);
        }
    }
}

#[tokio::test]
async fn what_went_down_with_the_engine_is_started_again_and_told() {
    let (site, clock, watch) = served(Some(0)).await;
    clock.advance(Duration::from_secs(1));
    watch.is_away(clock.now_ms());
    assert!(follow(&site, &watch, "boot1").await.is_empty(), "Docker does not answer");
    clock.advance(Duration::from_secs(5));
    watch.answers(clock.now_ms());
    let started = follow(&site, &watch, "boot1").await;
    assert_eq!(started, ["shop-production-web-r1: the engine went away"]);
    assert!(runs(&site).await);
    assert_eq!(told(&site), ["release.started-again"]);
    assert!(follow(&site, &watch, "boot1").await.is_empty());
}

#[tokio::test]
async fn what_went_down_with_the_machine_is_started_again() {
    let (site, clock, _) = served(Some(0)).await;
    clock.advance(Duration::from_secs(60));
    let watch = Watch::default();
    watch.answers(clock.now_ms());
    let started = follow(&site, &watch, "boot2").await;
    assert_eq!(started, ["shop-production-web-r1: the machine was restarted"]);
    assert!(runs(&site).await);
}

#[tokio::test]
async fn nothing_is_started_under_somebodys_hands_or_against_an_order() {
    let (site, clock, _) = served(Some(0)).await;
    clock.advance(Duration::from_secs(60));
    let watch = Watch::default();
    watch.answers(clock.now_ms());
    let holder = Holder { pid: 1, boot_id: "b".into(), note: "an operation".into() };
    let lease = site.world.ledger.acquire(&scope().lease(), holder, Duration::from_secs(600)).unwrap();
    assert!(follow(&site, &watch, "boot2").await.is_empty());
    site.world.ledger.release(&lease).unwrap();
    let pause = |on| deploy::standing::Request {
        scope: scope(),
        kind: deploy::standing::Kind::Pause,
        on,
        by: "test".into(),
        why: String::new(),
    };
    site.world.order(&pause(true)).unwrap();
    assert!(follow(&site, &watch, "boot2").await.is_empty());
    assert!(!runs(&site).await);
    site.world.order(&pause(false)).unwrap();
    assert_eq!(follow(&site, &watch, "boot2").await.len(), 1, "it is still known that the machine was restarted");
}

#[tokio::test]
async fn a_container_that_docker_looks_after_is_left_to_docker() {
    let (site, clock, _) = served(None).await;
    site.docker.remove("shop-production-web-r1", true).await.unwrap();
    let spec = machine::docker::ContainerSpec {
        restart: machine::docker::Restart::UnlessStopped,
        ..container("shop-production-web-r1", "1")
    };
    let id = site.docker.run_now(&spec).unwrap();
    site.docker.stop(&id, Duration::ZERO).await.unwrap();
    clock.advance(Duration::from_secs(60));
    let watch = Watch::default();
    watch.answers(clock.now_ms());
    assert!(follow(&site, &watch, "boot2").await.is_empty());
}

#[tokio::test]
async fn status_tells_an_end_and_how_it_was() {
    for (code, word) in [(0, "ended (exit 0)"), (3, "failed (exit 3)")] {
        let (site, _, _) = served(Some(code)).await;
        let status = deploy::status::status(&site.world, Some(&scope())).await.unwrap();
        assert_eq!(status.platforms[0].services[0].state, word);
    }
}

#[tokio::test]
async fn what_has_ended_gets_no_request_whoever_has_its_address_and_keeps_its_routes() {
    let site = site_of(CASE, Behaviour::healthy_after(0), Behaviour::runs()).await;
    let name = "shop-production-web-r1";
    let pool = |targets: bool| {
        let routing = site.world.wanted_routes().unwrap();
        let pool = routing.pools.iter().find(|pool| pool.release == "r1").unwrap_or_else(|| panic!("{routing:?}"));
        assert_eq!(!pool.targets.is_empty(), targets, "{:?}", pool.targets);
        assert_eq!(routing.hash, routing.content_hash());
        routing
    };
    deploy::tick::tick(&site.world).await.unwrap();
    let before = pool(true);

    site.docker.stop(name, Duration::ZERO).await.unwrap();
    deploy::tick::tick(&site.world).await.unwrap();
    let without = pool(false);
    assert_eq!((without.routes, without.listeners), (before.routes.clone(), before.listeners.clone()));

    // An operation that starts it need not wait for the next look.
    site.docker.start(name).await.unwrap();
    site.world.push_routes().await.unwrap();
    assert_eq!(pool(true).hash, before.hash);
}
