//! A deploy of several services that is one passes the four tests of every saga, on top of those of its roll-outs.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod site;

use std::time::Duration;

use deploy::release::State;
use deploy::report::Outcome as Told;
use deploy::roll_out;
use deploy::together::{Found, Params, Stage, Together};
use deploy::{Ending, World};
use machine::docker::{Behaviour, Docker};
use saga::Outcome;
use spec::{ReleaseId, ServiceName, Strategy};

use site::{Case, Site, Sites, release_of, scope, serve, site};

const SERVICES: [&str; 3] = ["db", "web", "api"];

fn case(service: &str) -> Case {
    let strategy = match service {
        "db" => Strategy::Exclusive,
        "web" => Strategy::BlueGreen,
        _ => Strategy::Rolling,
    };
    let copies = if service == "api" { 2 } else { 1 };
    Case { strategy, old: copies, new: copies }
}

fn member(service: &str) -> roll_out::Params {
    let mut release = release_of(service, 2, case(service));
    release.state = State::Prepared;
    roll_out::Params {
        operation: "op1".into(),
        previous: Some(ReleaseId::new(1)),
        previous_copies: release.copies,
        start: true,
        migrate: false,
        soak: false,
        canary: None,
        release,
        alone: false,
        leaving: Vec::new(),
    }
}

/// `db` first, then the two others side by side.
fn params() -> Params {
    let groups = vec![vec![member("db")], vec![member("web"), member("api")]];
    Params { operation: "op1".into(), scope: scope(), groups }
}

async fn three(new: Behaviour) -> Site {
    let site = site(case("web"), new).await;
    for service in ["db", "api"] {
        serve(&site.world, &site.docker, service, case(service)).await;
    }
    for service in SERVICES {
        site.world.save_release(&member(service).release).unwrap();
    }
    site
}

#[derive(Debug, PartialEq)]
struct Seen {
    serving: Vec<String>,
    routed: Vec<String>,
    running: Vec<String>,
    kept: Vec<String>,
}

async fn seen(world: &World) -> Seen {
    let containers = world.docker.list(&[], false).await.unwrap();
    let images = world.docker.images(&[], Some("mainstay/")).await.unwrap();
    let serving = world.serving(&scope()).unwrap();
    let pools = world.edge.status().await.unwrap().pools;
    let mut seen = Seen {
        serving: serving.into_values().map(|release| format!("{} {}", release.service, release.id)).collect(),
        routed: pools
            .into_iter()
            .map(|pool| format!("{} {} x{}", pool.name, pool.release, pool.targets.len()))
            .collect(),
        running: containers.into_iter().map(|container| container.name).collect(),
        kept: images.into_iter().flat_map(|image| image.tags).filter(|tag| tag.starts_with("mainstay/")).collect(),
    };
    seen.running.sort();
    seen.routed.sort();
    seen
}

fn all(release: &str) -> [String; 3] {
    ["api", "db", "web"].map(|service| format!("{service} {release}"))
}

async fn legal(stage: &Stage, outcome: &Outcome<Found>) {
    let release = match outcome {
        Outcome::Done(_) => "r2",
        Outcome::Undone { .. } => "r1",
        other => panic!("not a legal end: {other:?}"),
    };
    let seen = seen(&stage.world).await;
    assert_eq!(seen.serving, all(release), "all of them or none: {seen:?}");
}

fn stage(world: World) -> Stage {
    Stage::new(world, Duration::ZERO)
}

#[tokio::test]
async fn a_deploy_that_is_one_passes_the_tests_of_every_saga() {
    let sites = Sites::new(case("web"));
    let make = async || stage(sites.keep(three(Behaviour::healthy_after(1)).await));
    let look = async |stage: &Stage| seen(&stage.world).await;
    let whole = make().await;
    saga::testing::runs_to_the_end::<Together>(&whole, &params()).await;
    assert_eq!(seen(&whole.world).await.serving, all("r2"));
    saga::testing::each_step_twice::<Together, _>(make, &params(), look).await;
    saga::testing::fail_at_each_step_leaves_world_as_before::<Together, _>(make, &params(), look).await;
}

#[tokio::test]
async fn a_crash_after_any_entry_of_its_journal_ends_with_all_of_them_or_none() {
    let sites = Sites::new(case("web"));
    let make = async || stage(sites.keep(three(Behaviour::healthy_after(1)).await));
    saga::testing::crash_after_each_event_and_recover::<Together>(make, &params(), async |s, o| legal(s, o).await)
        .await;
}

#[tokio::test]
async fn when_the_last_one_fails_those_before_it_go_back_and_the_report_says_so() {
    let site = three(Behaviour::healthy_after(1)).await;
    let before = seen(&site.world).await;
    let mut params = params();
    params.groups[1].retain(|member| member.release.service.as_ref() == "web");
    let mut last = member("api");
    site.docker.add_image("shop/api:bad", Behaviour::exits(3, Duration::ZERO));
    let document = serde_json::json!({ "services": { "api": { "image": "shop/api:bad", "container_name": last.release.container } } });
    site.world.root.save_json(&last.release.definition.file, &document, 0o600).unwrap();
    last.release.image.id = "shop/api:bad".into();
    params.groups.push(vec![last]);
    let report = deploy::together::run(&site.world, &params, Duration::ZERO).await.unwrap();
    assert_eq!(report.ending, Ending::RolledBack);
    let told: Vec<(&str, bool)> = report
        .services
        .iter()
        .map(|service| (service.service.as_ref(), matches!(service.result, Told::WentBack { .. })))
        .collect();
    assert_eq!(told, [("db", true), ("web", true), ("api", false)]);
    let Told::Failed(failure) = &report.services[2].result else { panic!("{report:?}") };
    assert!(failure.cause.contains("exited with code 3"), "{failure:?}");
    assert_eq!(seen(&site.world).await, before, "the world is as before");
    let calls = site.docker.calls();
    let at = |call: &str| calls.iter().position(|known| known == call).unwrap_or_else(|| panic!("{call}: {calls:?}"));
    assert!(at("stop shop-production-web-r2") < at("stop shop-production-db-r2"), "the last one goes back first");
    // Asked again, as after a crash, it tells the same.
    let again = deploy::together::resume(&site.world, "op1").await.unwrap().unwrap();
    assert_eq!(again.ending, Ending::RolledBack);
}

#[tokio::test]
async fn a_service_that_was_new_is_taken_away_again() {
    let site = three(Behaviour::healthy_after(1)).await;
    let web = ServiceName::parse("web").unwrap();
    let first = site.world.serving_of(&scope(), &web).unwrap().unwrap();
    site.world.clear_serving(&scope(), &web).unwrap();
    site.docker.remove(&first.container, true).await.unwrap();
    let mut new = member("web");
    new.previous = None;
    let mut bad = member("api");
    bad.release.plan.health.budget = Duration::ZERO;
    site.docker.add_image("shop/api:bad", Behaviour::never_healthy());
    let document = serde_json::json!({ "services": { "api": { "image": "shop/api:bad", "container_name": bad.release.container } } });
    site.world.root.save_json(&bad.release.definition.file, &document, 0o600).unwrap();
    let params = Params { operation: "op1".into(), scope: scope(), groups: vec![vec![new], vec![bad]] };
    let report = deploy::together::run(&site.world, &params, Duration::ZERO).await.unwrap();
    assert_eq!(report.ending, Ending::RolledBack);
    assert!(site.world.serving_of(&scope(), &web).unwrap().is_none());
    assert!(!seen(&site.world).await.running.iter().any(|name| name.contains("web")));
}
