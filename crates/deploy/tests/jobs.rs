//! A job passes the four tests of every saga, and runs once whatever happens.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod site;

use std::time::Duration;

use deploy::World;
use deploy::roll_out::{Found, RollOut};
use machine::docker::{Behaviour, Docker, State};
use saga::{Outcome, Runner};
use spec::{ServiceName, Strategy};

use site::{Case, Site, Sites, params, scope, seen, site_of};

const CASE: Case = Case { strategy: Strategy::Job, old: 1, new: 1 };

/// The first run has ended well, and the second ends with this code.
async fn with(code: i64) -> Site {
    site_of(CASE, Behaviour::exits(0, Duration::ZERO), Behaviour::exits(code, Duration::ZERO).saying(&["seeding"]))
        .await
}

async fn run(site: &Site) -> Outcome<Found> {
    let runner = Runner::new(site.world.ledger.clone(), site.world.clock.clone());
    let id = spec::SagaId::parse("op1.web.r2").unwrap();
    runner.create::<RollOut>(&id, &params(CASE)).unwrap();
    runner.run::<RollOut>(&site.world, &id, &saga::Abort::new()).await
}

fn serving(world: &World) -> String {
    world.serving_of(&scope(), &ServiceName::parse("web").unwrap()).unwrap().unwrap().id.to_string()
}

async fn legal(world: &World, outcome: &Outcome<Found>) {
    let expected = match outcome {
        Outcome::Done(_) => "r2",
        Outcome::Undone { .. } => "r1",
        other => panic!("not a legal end: {other:?}"),
    };
    assert_eq!(serving(world), expected);
    assert!(seen(world).await.running.is_empty(), "nothing runs any more");
}

#[tokio::test]
async fn a_job_ends_well_and_its_container_is_kept_with_its_log() {
    let site = with(0).await;
    saga::testing::runs_to_the_end::<RollOut>(&site.world, &params(CASE)).await;
    assert_eq!(serving(&site.world), "r2");
    let kept = site.docker.inspect("shop-production-web-r2").await.unwrap().unwrap();
    assert_eq!((kept.state, kept.exit_code), (State::Exited, Some(0)));
    assert_eq!(site.docker.logs("shop-production-web-r2", 5).await.unwrap(), ["seeding"]);
    assert!(site.docker.inspect("shop-production-web-r1").await.unwrap().is_none(), "the run before makes room");
}

#[tokio::test]
async fn a_job_passes_the_tests_of_every_saga() {
    let sites = Sites::new(CASE);
    let make = async || sites.keep(with(0).await);
    saga::testing::each_step_twice::<RollOut, _>(make, &params(CASE), async |w| seen(w).await).await;
    let look = async |w: &World| seen(w).await;
    saga::testing::fail_at_each_step_leaves_world_as_before::<RollOut, _>(make, &params(CASE), look).await;
    saga::testing::crash_after_each_event_and_recover::<RollOut>(make, &params(CASE), async |w, o| legal(w, o).await)
        .await;
}

#[tokio::test]
async fn a_job_that_was_begun_before_a_crash_is_not_run_a_second_time() {
    let made = std::sync::Mutex::new(Vec::<Site>::new());
    let make = async || {
        let site = with(0).await;
        let world = site.world.clone();
        made.lock().unwrap().push(site);
        world
    };
    let check = async |_: &World, _: &Outcome<Found>| {
        let calls = made.lock().unwrap().last().unwrap().docker.calls();
        let runs = calls.iter().filter(|call| *call == "start shop-production-web-r2").count();
        assert!(runs <= 1, "{calls:?}");
    };
    saga::testing::crash_after_each_event_and_recover::<RollOut>(make, &params(CASE), check).await;
}

#[tokio::test]
async fn a_job_that_fails_tells_its_code_and_its_last_lines_and_the_run_before_stays_the_one_that_counts() {
    let site = with(7).await;
    let outcome = run(&site).await;
    let Outcome::Undone { failed_step, error, .. } = &outcome else { panic!("{outcome:?}") };
    assert_eq!(failed_step, "run");
    assert!(error.message.contains("exited with code 7"), "{error:?}");
    assert_eq!(error.detail["logs"], serde_json::json!(["seeding"]));
    legal(&site.world, &outcome).await;
    assert!(site.docker.inspect("shop-production-web-r2").await.unwrap().is_some(), "it is kept for inspection");
}

#[tokio::test]
async fn a_job_that_was_killed_tells_of_memory_even_where_docker_did_not_notice_the_want_of_it() {
    let site = with(137).await;
    let outcome = run(&site).await;
    let Outcome::Undone { error, .. } = &outcome else { panic!("{outcome:?}") };
    assert!(error.message.contains("killed (exit code 137); running out of memory"), "{error:?}");
}
