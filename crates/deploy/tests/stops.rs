//! Whatever ends a container gives it its hooks and its grace, and a service ends before what it depends on.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod site;

use std::sync::Arc;
use std::time::Duration;

use deploy::DeployError;
use deploy::copies;
use deploy::release::Release;
use futures_util::StreamExt;
use machine::clock::TestClock;
use machine::docker::{Behaviour, Docker};
use serde_json::json;
use spec::{ServiceName, Strategy};

use site::{Case, Site, params, release, scope, serve, site_by};

fn service(name: &str) -> ServiceName {
    ServiceName::parse(name).unwrap()
}

const CASE: Case = Case { strategy: Strategy::Exclusive, old: 1, new: 1 };

/// Programs that need 40 s to save, and have 60.
async fn saving() -> Site {
    let slow = Behaviour { stops_within: Duration::from_secs(40), ..Behaviour::healthy_after(1) };
    site_by(Arc::new(TestClock::default()), CASE, slow.clone(), slow).await
}

fn patient(site: &Site, mut release: Release, needs: &[&str]) -> Release {
    release.plan.stop_grace = Duration::from_secs(60);
    release.plan.depends_on = needs.iter().map(|name| service(name)).collect();
    site.world.save_release(&release).unwrap();
    release
}

/// `web` needs `api`, which needs `db`.
async fn three() -> Site {
    let site = saving().await;
    for name in ["api", "db"] {
        serve(&site.world, &site.docker, name, CASE).await;
    }
    for (name, needs) in [("web", &["api"][..]), ("api", &["db"]), ("db", &[])] {
        let serving = site.world.serving_of(&scope(), &service(name)).unwrap().unwrap();
        patient(&site, serving, needs);
    }
    site
}

/// What ended containers in the world of the fake, without what made it.
fn ends(site: &Site) -> Vec<String> {
    let calls = site.docker.calls().into_iter();
    calls.filter(|call| call.starts_with("stop ") || call.starts_with("remove shop")).collect()
}

#[tokio::test]
async fn down_gives_everything_its_grace_and_stops_what_others_need_last() {
    let site = three().await;
    let mut events = site.docker.events(&[]).await.unwrap();
    let removed = deploy::down(&site.world, &deploy::removal::Request::of(&scope())).await.unwrap();
    assert_eq!(removed.containers.len(), 3);
    let order = ["web", "api", "db"].map(|name| format!("shop-production-{name}-r1"));
    let expected: Vec<String> =
        order.iter().flat_map(|name| [format!("stop {name}"), format!("remove {name}")]).collect();
    assert_eq!(ends(&site), expected);
    let mut codes = Vec::new();
    while let Some(Some(Ok(event))) = futures_util::FutureExt::now_or_never(events.next()) {
        codes.extend(event.exit_code);
    }
    assert_eq!(codes, [143, 143, 143], "none is killed");
}

#[tokio::test]
async fn several_services_that_are_removed_go_in_the_same_order_and_the_others_stay() {
    let site = three().await;
    let db_and_web = [service("db"), service("web")];
    deploy::remove_services(&site.world, &scope(), &db_and_web).await.unwrap();
    let order = ["web", "db"].map(|name| format!("shop-production-{name}-r1"));
    let expected: Vec<String> =
        order.iter().flat_map(|name| [format!("stop {name}"), format!("remove {name}")]).collect();
    assert_eq!(ends(&site), expected);
    assert_eq!(site.world.serving(&scope()).unwrap().into_keys().collect::<Vec<_>>(), [service("api")]);
}

#[tokio::test]
async fn a_down_that_cannot_stop_a_service_leaves_what_it_needs_and_lets_it_serve_again() {
    let site = three().await;
    site.docker.refuse_next("stop", "the engine is not in the mood");
    deploy::down(&site.world, &deploy::removal::Request::of(&scope())).await.unwrap_err();
    assert_eq!(site.docker.list(&[], false).await.unwrap().len(), 3, "everything runs");
    assert_eq!(site.world.serving(&scope()).unwrap().len(), 3, "and serves");
    assert!(site.world.platform(&scope()).unwrap().is_some());
    deploy::down(&site.world, &deploy::removal::Request::of(&scope())).await.unwrap();
    assert_eq!(site.docker.list(&[], true).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_down_that_is_given_up_stops_nothing_more() {
    let site = three().await;
    site.world.abort.request();
    let error = deploy::down(&site.world, &deploy::removal::Request::of(&scope())).await.unwrap_err();
    assert!(matches!(error, DeployError::Refused(_)), "{error}");
    assert_eq!(ends(&site), [] as [String; 0]);
    assert_eq!(site.world.serving(&scope()).unwrap().len(), 3);
}

#[tokio::test]
async fn a_release_that_is_given_up_is_stopped_before_it_is_removed() {
    let site = saving().await;
    let new = patient(&site, release(2, CASE), &[]);
    site.docker.run_now(&site::container(&new.container, "2")).unwrap();
    site.world.abort.request();
    copies::keep_failed(&site.world, &new, &[1]).await.unwrap();
    assert_eq!(ends(&site), [format!("stop {}", new.container), format!("remove {}", new.container)]);
}

#[tokio::test]
async fn a_hook_runs_in_the_container_before_its_stop_and_only_while_it_runs() {
    let site = saving().await;
    let serving = patient(&site, site.world.serving_of(&scope(), &service("web")).unwrap().unwrap(), &[]);
    let hook = json!([{ "command": ["flush", "now$$"], "user": "app", "environment": { "LEVEL": "3" } }]);
    let document = json!({ "services": { "web": { "image": "i", "x-mainstay-pre-stop": hook } } });
    site.world.root.save_json(&serving.definition.file, &document, 0o600).unwrap();
    copies::stop(&site.world, &serving, &[1]).await.unwrap();
    let words = format!("docker exec --user app --env LEVEL {} flush 'now$'", serving.container);
    let execs = site.execs();
    assert!(matches!(execs.as_slice(), [one] if one.contains(&words)), "{execs:?}");
    copies::remove(&site.world, &serving).await.unwrap();
    assert_eq!(site.execs().len(), 1, "one that has ended runs no hook");
}

#[tokio::test]
async fn a_release_that_was_stopped_for_one_that_failed_runs_again_and_the_report_says_so() {
    let slow = Behaviour::healthy_after(1);
    let site = site_by(Arc::new(TestClock::default()), CASE, slow, Behaviour::exits(3, Duration::ZERO)).await;
    let params = params(CASE);
    let report = deploy::roll_out::after::run(&site.world, params, Duration::ZERO).await.unwrap();
    let deploy::report::Outcome::Failed(failure) = report.result else { panic!("{report:#?}") };
    let release = spec::ReleaseId::new(1);
    assert_eq!(failure.traffic, deploy::report::Traffic::RunsAgain { release, away_ms: Some(0) });
}

/// What an agent has left behind that died while Docker was stopping this container for it.
async fn begun(site: &Site, clock: &TestClock) -> (Release, String) {
    let release = patient(site, site.world.serving_of(&scope(), &service("web")).unwrap().unwrap(), &[]);
    let id = site.docker.inspect("shop-production-web-r1").await.unwrap().unwrap().id;
    clock.advance(Duration::from_secs(5));
    let begun = json!({ "at_ms": site.world.clock.now_ms(), "grace_ms": 60_000 });
    site.world.ledger.put_record("stopping", &id, &begun).unwrap();
    (release, id)
}

#[tokio::test]
async fn a_stop_whose_agent_has_died_is_waited_for_and_the_container_is_not_told_a_second_time() {
    let clock = Arc::new(TestClock::default());
    let site = site_by(clock.clone(), CASE, Behaviour::healthy_after(1), Behaviour::healthy_after(1)).await;
    let (release, id) = begun(&site, &clock).await;
    let docker = site.docker.clone();
    let saved = async {
        tokio::time::sleep(Duration::from_millis(250)).await;
        docker.end("shop-production-web-r1", 0).unwrap();
    };
    let (stopped, ()) = futures_util::future::join(copies::stop(&site.world, &release, &[1]), saved).await;
    stopped.unwrap();
    assert_eq!(ends(&site), [""; 0]);
    assert_eq!(site.world.ledger.get_record::<serde_json::Value>("stopping", &id).unwrap(), None);
}

#[tokio::test]
async fn a_stop_that_has_gone_with_its_engine_is_made_again_after_its_grace() {
    let clock = Arc::new(TestClock::default());
    let site = site_by(clock.clone(), CASE, Behaviour::healthy_after(1), Behaviour::healthy_after(1)).await;
    let (release, _) = begun(&site, &clock).await;
    let late = async {
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert_eq!(ends(&site), [""; 0], "it still has time");
        clock.advance(Duration::from_secs(64));
    };
    let (stopped, ()) = futures_util::future::join(copies::stop(&site.world, &release, &[1]), late).await;
    stopped.unwrap();
    assert_eq!(ends(&site), ["stop shop-production-web-r1"]);
}

#[tokio::test]
async fn a_container_that_was_started_again_since_is_told_at_once() {
    let clock = Arc::new(TestClock::default());
    let site = site_by(clock.clone(), CASE, Behaviour::healthy_after(1), Behaviour::healthy_after(1)).await;
    let (release, _) = begun(&site, &clock).await;
    clock.advance(Duration::from_secs(1));
    site.docker.end("shop-production-web-r1", 0).unwrap();
    site.docker.start("shop-production-web-r1").await.unwrap();
    copies::stop(&site.world, &release, &[1]).await.unwrap();
    assert_eq!(ends(&site), ["stop shop-production-web-r1"]);
}

#[tokio::test]
async fn what_is_brought_back_while_it_is_being_stopped_is_started_when_that_is_over() {
    let clock = Arc::new(TestClock::default());
    let site = site_by(clock.clone(), CASE, Behaviour::healthy_after(1), Behaviour::healthy_after(1)).await;
    let (release, _) = begun(&site, &clock).await;
    let docker = site.docker.clone();
    let saved = async {
        tokio::time::sleep(Duration::from_millis(250)).await;
        docker.end("shop-production-web-r1", 0).unwrap();
    };
    let (back, ()) = futures_util::future::join(copies::bring_back(&site.world, &release, &[1]), saved).await;
    back.unwrap();
    assert!(site.docker.calls().ends_with(&["start shop-production-web-r1".to_owned()]), "{:?}", site.docker.calls());
    let detail = site.docker.inspect("shop-production-web-r1").await.unwrap().unwrap();
    assert_eq!(detail.state, machine::docker::State::Running);
}
