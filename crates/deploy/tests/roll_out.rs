//! The roll-out saga passes the four tests of every saga: on a fake Docker, with a real edge and a real ledger.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod roll_out {
    mod migration;
    mod watch;
}
mod site;

use std::sync::Arc;
use std::time::Duration;

use deploy::World;
use deploy::release::{Event, State};
use deploy::roll_out::RollOut;
use futures_util::FutureExt;
use machine::docker::{Behaviour, Docker};
use saga::{Inject, LogEvent, Outcome, Runner};
use spec::{ReleaseId, ServiceName, Strategy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use site::{Case, Site, Sites, container, finishing, legal, params, scope, seen, site};

const STRATEGIES: [Strategy; 2] = [Strategy::BlueGreen, Strategy::Exclusive];

/// Every way in which a service is replaced.
fn cases() -> Vec<Case> {
    let several = |strategy, old, new| Case { strategy, old, new };
    vec![
        Strategy::BlueGreen.into(),
        Strategy::Exclusive.into(),
        several(Strategy::BlueGreen, 1, 3),
        several(Strategy::BlueGreen, 3, 2),
        several(Strategy::DrainFirst, 2, 2),
        several(Strategy::Exclusive, 2, 2),
        several(Strategy::Rolling, 1, 1),
        several(Strategy::Rolling, 3, 3),
        several(Strategy::Rolling, 3, 1),
        several(Strategy::Rolling, 2, 5),
    ]
}

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
async fn a_release_that_was_deployed_side_by_side_is_gone_before_an_exclusive_one_starts_and_does_not_stay_warm() {
    let site = site(Strategy::BlueGreen, Behaviour::healthy_after(1)).await;
    saga::testing::runs_to_the_end::<RollOut>(&site.world, &params(Strategy::Exclusive)).await;
    let seen = seen(&site.world).await;
    assert_eq!((seen.serving.as_deref(), seen.running), (Some("r2"), vec!["shop-production-web-r2".to_owned()]));
    let web = ServiceName::parse("web").unwrap();
    let first = site.world.release(&scope(), &web, &ReleaseId::new(1)).unwrap().unwrap();
    assert_eq!((first.state, first.parked_until_ms), (State::Retired, None));
}

#[tokio::test]
async fn a_release_that_was_stopped_by_hand_does_not_count_as_warm() {
    let site = site(Case { strategy: Strategy::BlueGreen, old: 2, new: 2 }, Behaviour::healthy_after(1)).await;
    site.docker.stop("shop-production-web-r1-2", Duration::ZERO).await.unwrap();
    let params = params(Case { strategy: Strategy::BlueGreen, old: 2, new: 2 });
    saga::testing::runs_to_the_end::<RollOut>(&site.world, &params).await;
    let web = ServiceName::parse("web").unwrap();
    let first = site.world.release(&scope(), &web, &ReleaseId::new(1)).unwrap().unwrap();
    assert_eq!((first.state, first.parked_until_ms), (State::Retired, None));
    let left = seen(&site.world).await.running;
    assert!(left.iter().all(|name| name.contains("-r2")), "{left:?}");
}

#[tokio::test]
async fn each_step_of_a_roll_out_may_run_twice() {
    for case in cases() {
        let sites = Sites::new(case);
        saga::testing::each_step_twice::<RollOut, _>(
            async || sites.world().await,
            &params(case),
            async |w| seen(w).await,
        )
        .await;
    }
}

#[tokio::test]
async fn a_failure_at_any_step_leaves_the_old_release_serving_alone() {
    for case in cases() {
        let sites = Sites::new(case);
        let make = async || sites.world().await;
        saga::testing::fail_at_each_step_leaves_world_as_before::<RollOut, _>(make, &params(case), async |w| {
            seen(w).await
        })
        .await;
    }
}

/// The tries grow with the square of the steps, so each line of steps is tried once, in a test of its own.
async fn survives_crashes(case: Case) {
    let sites = Sites::new(case);
    let make = async || sites.world().await;
    saga::testing::crash_after_each_event_and_recover::<RollOut>(make, &params(case), async |w, o| legal(w, o).await)
        .await;
}

#[tokio::test]
async fn a_crash_after_any_entry_of_the_journal_is_finished_or_undone() {
    survives_crashes(Case { strategy: Strategy::BlueGreen, old: 1, new: 2 }).await;
}

#[tokio::test]
async fn a_crash_after_any_entry_is_finished_or_undone_where_there_are_never_two() {
    survives_crashes(Strategy::Exclusive.into()).await;
}

#[tokio::test]
async fn a_crash_after_any_entry_is_finished_or_undone_between_two_batches() {
    survives_crashes(Case { strategy: Strategy::Rolling, old: 2, new: 2 }).await;
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
    first.addresses = vec![server.ip()];
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

#[tokio::test]
async fn a_worker_that_is_told_to_finish_passes_the_four_tests_too() {
    let sites = Sites::new(Case { strategy: Strategy::DrainFirst, old: 2, new: 2 });
    let (params, look) = (finishing(), async |w: &World| seen(w).await);
    let world = sites.world().await;
    saga::testing::runs_to_the_end::<RollOut>(&world, &params).await;
    assert_eq!(seen(&world).await.deaf, ["shop-production-web-r1", "shop-production-web-r1-2"]);
    saga::testing::fail_at_each_step_leaves_world_as_before::<RollOut, _>(async || sites.world().await, &params, look)
        .await;
    saga::testing::crash_after_each_event_and_recover::<RollOut>(
        async || sites.world().await,
        &params,
        async |w, o| {
            legal(w, o).await;
            assert!(matches!(o, Outcome::Done(_)) || seen(w).await.deaf.is_empty(), "the old ones take work again");
        },
    )
    .await;
    saga::testing::each_step_twice::<RollOut, _>(async || sites.world().await, &params, async |w| seen(w).await).await;
}

#[tokio::test]
async fn a_worker_without_a_word_to_take_work_again_is_started_anew() {
    let site = site(Case { strategy: Strategy::DrainFirst, old: 1, new: 1 }, Behaviour::healthy_after(1)).await;
    let mut params = finishing();
    (params.previous_copies, params.release.copies) = (1, 1);
    params.release.plan.finish.as_mut().unwrap().take_again = None;
    let faults = |_: u64, event: &LogEvent| match event {
        LogEvent::Started { step } if &**step == "finish" => Inject::Fail,
        _ => Inject::None,
    };
    let runner = Runner::new(site.world.ledger.clone(), site.world.clock.clone()).faults(Arc::new(faults));
    let id = spec::SagaId::parse("op1.web.r2").unwrap();
    runner.create::<RollOut>(&id, &params).unwrap();
    let outcome = runner.run::<RollOut>(&site.world, &id, &saga::Abort::new()).await;
    legal(&site.world, &outcome).await;
    let calls = site.docker.calls();
    let restarts: Vec<&String> = calls.iter().filter(|call| call.ends_with("web-r1")).skip(2).collect();
    assert_eq!(restarts, ["stop shop-production-web-r1", "start shop-production-web-r1"], "{calls:?}");
}

/// Never two at once, whatever happens: told from everything that Docker was ever asked to do.
#[tokio::test]
async fn an_exclusive_service_is_never_there_twice_through_any_crash() {
    let made = std::sync::Mutex::new(Vec::<Site>::new());
    let make = async || {
        let site = site(Strategy::Exclusive, Behaviour::healthy_after(1)).await;
        let world = site.world.clone();
        made.lock().unwrap().push(site);
        world
    };
    let check = async |_: &World, _: &Outcome<_>| {
        let calls = made.lock().unwrap().last().unwrap().docker.calls();
        let mut up = std::collections::BTreeSet::new();
        for call in &calls {
            match call.split_once(' ') {
                Some(("start", name)) => drop(up.insert(name.to_owned())),
                Some(("stop" | "remove", name)) => drop(up.remove(name)),
                _ => {}
            }
            assert!(up.len() <= 1, "two at once: {calls:?}");
        }
    };
    saga::testing::crash_after_each_event_and_recover::<RollOut>(make, &params(Strategy::Exclusive), check).await;
}

#[tokio::test]
async fn a_rolling_release_never_has_more_or_fewer_copies_than_it_may() {
    let case = Case { strategy: Strategy::Rolling, old: 3, new: 3 };
    let site = site(case, Behaviour::healthy_after(1)).await;
    let look = {
        let docker = site.docker.clone();
        move |_: u64, _: &LogEvent| {
            let running = docker.list(&[], false).now_or_never().unwrap().unwrap().len();
            assert!((3..=4).contains(&running), "{running} run");
            Inject::None
        }
    };
    let runner = Runner::new(site.world.ledger.clone(), site.world.clock.clone()).faults(Arc::new(look));
    let id = spec::SagaId::parse("op1.web.r2").unwrap();
    runner.create::<RollOut>(&id, &params(case)).unwrap();
    let outcome = runner.run::<RollOut>(&site.world, &id, &saga::Abort::new()).await;
    legal(&site.world, &outcome).await;
    assert_eq!(seen(&site.world).await.running.len(), 3, "the old ones are gone");
}

#[tokio::test]
async fn what_is_given_up_after_the_old_copies_have_gone_still_brings_them_back() {
    for case in [Strategy::Exclusive.into(), Case { strategy: Strategy::Rolling, old: 2, new: 2 }] {
        let site = site(case, Behaviour::healthy_after(1)).await;
        let last = if case.strategy == Strategy::Rolling { "healthy-2" } else { "healthy" };
        let abort = site.world.abort.clone();
        let give_up = move |_: u64, event: &LogEvent| {
            if matches!(event, LogEvent::Started { step } if &**step == last) {
                abort.request();
            }
            Inject::None
        };
        let runner = Runner::new(site.world.ledger.clone(), site.world.clock.clone()).faults(Arc::new(give_up));
        let id = spec::SagaId::parse("op1.web.r2").unwrap();
        runner.create::<RollOut>(&id, &params(case)).unwrap();
        let outcome = runner.run::<RollOut>(&site.world, &id, &site.world.abort).await;
        assert!(matches!(&outcome, Outcome::Undone { error, .. } if error.is_abort()), "{outcome:?}");
        legal(&site.world, &outcome).await;
    }
}

/// The first look at a release of which no file says how its health is told.
async fn undeclared(behaviour: Behaviour, with_images_own: bool, budget: Duration) -> deploy::health::Gate {
    let site = site(Strategy::BlueGreen, behaviour).await;
    let id = site.docker.run_now(&container("shop-production-web-r2", "2")).unwrap();
    let health =
        spec::Health { interval: Duration::from_millis(5), budget, with_images_own, ..spec::Health::default() };
    let mut release = site::release(2, Strategy::BlueGreen);
    release.plan.health = health;
    deploy::health::gate(&site.world, &release, &id).await.unwrap()
}

#[tokio::test]
async fn a_health_check_that_the_image_brings_along_counts_where_the_files_say_nothing() {
    use deploy::health::Gate;
    let healthy = undeclared(Behaviour::healthy_after(3), true, Duration::from_secs(5)).await;
    assert!(matches!(healthy, Gate::Healthy { .. }), "it needs no stable seconds: {healthy:?}");
    let Gate::Unhealthy { cause } = undeclared(Behaviour::never_healthy(), true, Duration::ZERO).await else {
        panic!("its own check never passed");
    };
    assert!(cause.contains("its health check `check` exited with 1: not well (the image brings it along"), "{cause}");
    let Gate::Unhealthy { cause } = undeclared(Behaviour::healthy_after(0), false, Duration::ZERO).await else {
        panic!("it has not stayed up for 5 s");
    };
    assert!(cause.contains("stay up for 5 s"), "what the file asks for is asked: {cause}");
}

#[tokio::test]
async fn no_more_releases_stay_warm_than_are_kept_and_the_newest_do() {
    let site = site(Strategy::BlueGreen, Behaviour::healthy_after(1)).await;
    for number in 3..=10 {
        let mut warm = site::release(number, Strategy::BlueGreen);
        warm.state = State::Parked;
        // The oldest is what the newest is still compared with.
        warm.parked_until_ms = Some(if number == 3 { i64::MAX } else { i64::MAX - 1 });
        site.docker.run_now(&container(&warm.container, "1")).unwrap();
        site.world.save_release(&warm).unwrap();
    }
    let mut expired = deploy::tick::tick(&site.world).await.unwrap().expired;
    expired.sort();
    assert_eq!(expired, ["shop-production-web-r4", "shop-production-web-r5"], "five are kept");
    assert!(deploy::tick::tick(&site.world).await.unwrap().expired.is_empty());
    site.docker.kill("shop-production-web-r9", "SIGKILL").await.unwrap();
    site.docker.kill("shop-production-web-r3", "SIGKILL").await.unwrap();
    let expired = deploy::tick::tick(&site.world).await.unwrap().expired;
    assert_eq!(expired, ["shop-production-web-r9"], "one that does not run is not warm, but while it is compared with");
}
