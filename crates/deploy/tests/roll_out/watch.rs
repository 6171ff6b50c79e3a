//! Roll-outs that are watched: a canary before the switch, a soak after it.

use std::sync::Arc;
use std::time::Duration;

use deploy::release::State;
use deploy::roll_out::{Params, RollOut};
use machine::docker::Behaviour;
use saga::{Inject, LogEvent, Runner};
use spec::platform::{MigrationKind, Pause};
use spec::{Canary, Job, Migration, Percent, ReleaseId, ServiceName, Strategy, Verdict};

use crate::site::{Case, Sites, legal, params, scope, seen, site};
use crate::succeeded;

/// Each way in which a release is watched.
fn cases() -> [Case; 3] {
    [Strategy::BlueGreen.into(), Strategy::Exclusive.into(), Case { strategy: Strategy::Rolling, old: 2, new: 2 }]
}

/// A roll-out that earns its traffic in moments: a canary of two steps where that can be, and a soak.
fn watched(case: impl Into<Case>) -> Params {
    let mut params = params(case);
    params.soak = true;
    params.release.plan.soak = Duration::from_millis(20);
    let pause = Pause::Time(Duration::from_millis(10));
    params.canary = Some(Canary { steps: vec![Percent::of(10), Percent::of(50)], pause, ..Canary::default() });
    params
}

#[tokio::test]
async fn a_watched_roll_out_ends_with_the_new_release_serving_and_unjudged_without_requests() {
    for case in cases() {
        let (strategy, sites) = (case.strategy, Sites::new(case));
        let world = sites.living_world().await;
        let found = saga::testing::runs_to_the_end::<RollOut>(&world, &watched(case)).await;
        let kinds: Vec<_> = found.judged.iter().map(|judgement| judgement.watch.kind()).collect();
        let expected = match strategy {
            Strategy::BlueGreen => vec!["canary", "canary", "soak"],
            // After each batch beside which an old copy serves.
            Strategy::Rolling => vec!["soak", "soak"],
            _ => vec!["soak"],
        };
        assert_eq!(kinds, expected);
        assert!(found.judged.iter().all(|judgement| matches!(judgement.verdict, Verdict::Unknown(_))), "{found:?}");
        let seen = seen(&world).await;
        assert_eq!((seen.serving.as_deref(), seen.routed.as_slice()), (Some("r2"), ["r2".to_owned()].as_slice()));
        assert!(world.canaries().unwrap().is_empty());
        let first = world.release(&scope(), &ServiceName::parse("web").unwrap(), &ReleaseId::new(1)).unwrap().unwrap();
        let is_warm = first.state == State::Parked && first.parked_until_ms.is_some_and(|until| until < i64::MAX);
        assert_eq!(is_warm, strategy == Strategy::BlueGreen, "its warmth is counted from the end of the watch");
    }
}

#[tokio::test]
async fn each_step_of_a_watched_roll_out_may_run_twice() {
    for case in cases() {
        let sites = Sites::new(case);
        let make = async || sites.living_world().await;
        saga::testing::each_step_twice::<RollOut, _>(make, &watched(case), async |w| seen(w).await).await;
    }
}

#[tokio::test]
async fn a_failure_at_any_step_of_a_watched_roll_out_leaves_the_old_release_serving_alone() {
    for case in cases() {
        let sites = Sites::new(case);
        let make = async || sites.living_world().await;
        saga::testing::fail_at_each_step_leaves_world_as_before::<RollOut, _>(make, &watched(case), async |w| {
            assert!(w.canaries().unwrap().is_empty());
            seen(w).await
        })
        .await;
    }
}

#[tokio::test]
async fn a_crash_after_any_entry_of_a_watched_roll_out_is_finished_or_undone() {
    for case in cases() {
        let sites = Sites::new(case);
        let make = async || sites.living_world().await;
        saga::testing::crash_after_each_event_and_recover::<RollOut>(make, &watched(case), async |w, o| {
            legal(w, o).await
        })
        .await;
    }
}

#[tokio::test]
async fn while_a_release_is_watched_the_reconciler_leaves_the_one_before_alone() {
    let site = site(Strategy::BlueGreen, Behaviour::healthy_after(1)).await;
    let mut params = watched(Strategy::BlueGreen);
    params.canary = None;
    let faults = move |_: u64, event: &LogEvent| if succeeded(event, "switch") { Inject::Crash } else { Inject::None };
    let runner = Runner::new(site.world.ledger.clone(), site.world.clock.clone()).faults(Arc::new(faults));
    let id = spec::SagaId::parse("op1.web.r2").unwrap();
    runner.create::<RollOut>(&id, &params).unwrap();
    runner.run::<RollOut>(&site.world, &id, &saga::Abort::new()).await;
    let web = ServiceName::parse("web").unwrap();
    let mut first = site.world.release(&scope(), &web, &ReleaseId::new(1)).unwrap().unwrap();
    first.plan.warm = Duration::ZERO;
    site.world.save_release(&first).unwrap();
    deploy::tick::tick(&site.world).await.unwrap();
    assert!(seen(&site.world).await.running.contains(&"shop-production-web-r1".to_owned()));
}

#[tokio::test]
async fn a_canary_is_routed_beside_the_serving_release_and_counts_only_while_it_is_undecided() {
    let site = site(Strategy::BlueGreen, Behaviour::healthy_after(1)).await;
    let faults = |_: u64, event: &LogEvent| match succeeded(event, "canary 10%") {
        true => Inject::Crash,
        false => Inject::None,
    };
    let runner = Runner::new(site.world.ledger.clone(), site.world.clock.clone()).faults(Arc::new(faults));
    let id = spec::SagaId::parse("op1.web.r2").unwrap();
    runner.create::<RollOut>(&id, &watched(Strategy::BlueGreen)).unwrap();
    runner.run::<RollOut>(&site.world, &id, &saga::Abort::new()).await;
    let seen_now = seen(&site.world).await;
    assert_eq!((seen_now.serving.as_deref(), seen_now.routed), (Some("r1"), vec!["r1".to_owned(), "r2".to_owned()]));
    let web = ServiceName::parse("web").unwrap();
    let mut second = site.world.release(&scope(), &web, &ReleaseId::new(2)).unwrap().unwrap();
    second.state = State::Failed { reason: "given up".into() };
    site.world.save_release(&second).unwrap();
    assert!(deploy::tick::tick(&site.world).await.unwrap().routes_pushed);
    assert_eq!(seen(&site.world).await.routed, ["r1"], "whatever its record says, a decided canary takes nothing");
}

#[test]
fn nothing_goes_back_by_itself_past_a_migration_that_closes_the_way() {
    for (kind, goes_back) in
        [(MigrationKind::Expand, true), (MigrationKind::Contract, false), (MigrationKind::Breaking, false)]
    {
        let mut params = watched(Strategy::BlueGreen);
        params.migrate = true;
        let job = Job { command: vec!["migrate".into()], timeout: Duration::from_secs(5) };
        params.release.plan.migrate = Some(Migration { job, kind, idempotent: false });
        assert_eq!(params.goes_back(), goes_back);
        params.migrate = false;
        assert!(params.goes_back(), "one that was left out closes nothing");
    }
}
