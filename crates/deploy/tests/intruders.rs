//! Who else writes a release's data, as Docker tells it; and what is kept and lies still.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod site;

use std::sync::Arc;
use std::time::Duration;

use deploy::copies;
use deploy::ends::{Watch, follow_engine};
use deploy::keeping::{self, Tries};
use machine::clock::TestClock;
use machine::docker::{Behaviour, ContainerSpec, Docker, Mount, State};
use spec::platform::Intruders;
use spec::{DataMount, Place, ServiceName, Strategy};

use site::{Case, Site, scope, site_by};

const CASE: Case = Case { strategy: Strategy::Keep, old: 1, new: 1 };
const DB: &str = "shop-production-web-r1";

/// A database that serves, and an agent that follows Docker.
async fn served(mode: Intruders, database: bool) -> (Site, Arc<TestClock>, Watch) {
    let clock = Arc::new(TestClock::new(1_000_000));
    let site = site_by(clock.clone(), CASE, Behaviour::healthy_after(1), Behaviour::runs()).await;
    let web = ServiceName::parse("web").unwrap();
    let mut release = site.world.serving_of(&scope(), &web).unwrap().unwrap();
    release.plan.database = database.then(|| "it is a database".to_owned());
    release.plan.data = Some(vec![DataMount {
        target: "/data".into(),
        what: "volume `pgdata`".into(),
        places: vec![Place::Volume("pgdata".into())],
        own: false,
        database: None,
    }]);
    site.world.save_release(&release).unwrap();
    site.world.change_platform(&scope(), |platform| platform.intruders = mode).unwrap();
    clock.advance(Duration::from_secs(1));
    let watch = Watch::default();
    let (world, followed) = (site.world.clone(), watch.clone());
    tokio::spawn(async move { follow_engine(&world, &followed).await });
    (site, clock, watch)
}

fn writer(volume: &str, read_only: bool) -> ContainerSpec {
    let mount = Mount { source: volume.into(), target: "/x".into(), read_only };
    ContainerSpec { name: "hand".into(), image: "shop/web:2".into(), mounts: vec![mount], ..ContainerSpec::default() }
}

fn events(site: &Site, kind: &str) -> usize {
    let all = site.world.ledger.events(&ledger::EventFilter::default(), 0, 1000).unwrap();
    all.iter().filter(|event| event.kind == kind).count()
}

/// Looks until it is so.
async fn until(what: &str, mut look: impl AsyncFnMut() -> bool) {
    for _ in 0..5_000 {
        if look().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("waited too long for {what}");
}

async fn state(site: &Site, name: &str) -> State {
    site.docker.inspect(name).await.unwrap().unwrap_or_else(|| panic!("{name} is gone")).state
}

#[tokio::test]
async fn who_comes_to_a_databases_files_is_killed_and_whoever_writes_other_data_is_reported() {
    for (mode, database, ended) in
        [(Intruders::Stop, true, true), (Intruders::Report, true, false), (Intruders::Stop, false, false)]
    {
        let (site, clock, _) = served(mode, database).await;
        site.docker.run_now(&writer("pgdata", false)).unwrap();
        until("it to be told of", async || events(&site, "intruder") == 1).await;
        let expected = if ended { State::Exited } else { State::Running };
        assert_eq!(state(&site, "hand").await, expected, "{mode:?} {database}");
        assert_eq!(site.docker.calls().iter().any(|call| call.starts_with("kill hand")), ended);
        assert_eq!(state(&site, DB).await, State::Running);
        let known = deploy::intruders::known(&site.world, &scope()).await.unwrap();
        assert_eq!((known.len(), known[0].ended_ms.is_some()), (1, ended));
        // At once again: it is ended again, and told of no second time.
        if ended {
            clock.advance(Duration::from_secs(1));
            site.docker.start("hand").await.unwrap();
            until("it to be ended again", async || state(&site, "hand").await == State::Exited).await;
            assert_eq!(events(&site, "intruder"), 1);
        }
    }
}

#[tokio::test]
async fn what_is_kept_is_started_again_unless_somebody_stopped_it() {
    let (site, clock, watch) = served(Intruders::Stop, true).await;
    let tries = Tries::default();
    site.docker.kill(DB, "SIGKILL").await.unwrap();
    until("it to be started again", async || {
        clock.advance(Duration::from_secs(2));
        keeping::turn(&site.world, &watch, &tries).await.unwrap();
        state(&site, DB).await == State::Running
    })
    .await;
    assert_eq!((state(&site, DB).await, events(&site, "release.started-again")), (State::Running, 1));
    clock.advance(Duration::from_secs(5));
    site.docker.stop(DB, Duration::ZERO).await.unwrap();
    until("the stop to be heard", async || keeping::stopped(&site.world, &scope()).unwrap().len() == 1).await;
    clock.advance(Duration::from_secs(90));
    for _ in 0..2 {
        keeping::turn(&site.world, &watch, &tries).await.unwrap();
    }
    assert_eq!(state(&site, DB).await, State::Exited);
    assert_eq!(events(&site, "release.stopped-by-hand"), 1, "it is told once");
}

/// Whoever stops a service without a port ends it with 0, and that looks as if it had done its work.
#[tokio::test]
async fn a_stop_by_hand_is_no_end_of_a_service_that_is_not_kept() {
    let (site, _, _) = served(Intruders::Stop, false).await;
    let mut release = site.world.serving_of(&scope(), &ServiceName::parse("web").unwrap()).unwrap().unwrap();
    (release.plan.strategy, release.plan.port) = (Strategy::Exclusive, None);
    site.world.save_release(&release).unwrap();
    assert!(copies::still(&site.world, &release, 1).await.unwrap().is_empty());
    // What ends before the engine is followed is heard by nobody.
    tokio::time::sleep(Duration::from_millis(50)).await;
    site.docker.stop(DB, Duration::ZERO).await.unwrap();
    until("the stop to be heard", async || keeping::stopped(&site.world, &scope()).unwrap().len() == 1).await;
    let detail = site.docker.inspect(DB).await.unwrap().unwrap();
    assert!(keeping::by_hand(&site.world, &release, &detail, None).unwrap().is_some());
    assert_eq!(copies::still(&site.world, &release, 1).await.unwrap(), [1]);
    site.docker.start(DB).await.unwrap();
    until("the start to be heard", async || keeping::stopped(&site.world, &scope()).unwrap().is_empty()).await;
}
