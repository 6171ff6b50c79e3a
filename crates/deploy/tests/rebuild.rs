//! The ledger is lost, at any moment, and is built again from its files, Docker and the edge.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panicking, and breaks files")]

mod site;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deploy::release::State;
use deploy::roll_out::{Params, RollOut};
use deploy::{DeployError, Parts, Talk, World, rebuild};
use machine::docker::Behaviour;
use saga::{Inject, LogEvent, Outcome, Runner};
use spec::{ReleaseId, SagaId, ServiceName, Strategy};

use site::{Case, Site, container, finishing, params, scope, seen, serves, site};

fn web() -> ServiceName {
    ServiceName::parse("web").unwrap()
}

/// The same world, whose ledger is a new one.
fn without_ledger(site: &Site) -> World {
    let before = &site.world;
    let parts = Parts {
        docker: before.docker.clone(),
        processes: before.processes.clone(),
        ledger: ledger::Ledger::in_memory(before.clock.clone()).unwrap(),
        edge: edge::Control::new(before.edge.socket().to_owned()),
        clock: before.clock.clone(),
        root: before.root.clone(),
        environment: vec![],
        salt: before.salt.clone(),
        switching: tokio::sync::Mutex::new(()),
        holding: tokio::sync::Mutex::new(()),
        lent: Default::default(),
        faults: None,
    };
    World::new(Arc::new(parts), Talk::silent(), saga::Abort::new())
}

fn cases() -> Vec<Case> {
    let several = |strategy, old, new| Case { strategy, old, new };
    vec![
        Strategy::BlueGreen.into(),
        Strategy::Exclusive.into(),
        several(Strategy::BlueGreen, 3, 2),
        several(Strategy::DrainFirst, 2, 2),
        several(Strategy::Rolling, 1, 1),
        several(Strategy::Rolling, 3, 3),
    ]
}

/// Runs the roll-out until the n-th entry of its journal; whether it came that far.
async fn dies_after(world: &World, params: &Params, entry: u64) -> bool {
    let seen = AtomicU64::new(0);
    let crash = move |_: u64, _: &LogEvent| match seen.fetch_add(1, Ordering::SeqCst) + 1 == entry {
        true => Inject::Crash,
        false => Inject::None,
    };
    let runner = Runner::new(world.ledger.clone(), world.clock.clone()).faults(Arc::new(crash));
    let id = SagaId::parse("op1.web.r2").unwrap();
    runner.create::<RollOut>(&id, params).unwrap();
    matches!(runner.run::<RollOut>(world, &id, &world.abort).await, Outcome::Crashed)
}

#[tokio::test]
async fn a_ledger_that_is_lost_after_any_entry_of_any_roll_out_is_built_again_with_one_release_serving() {
    let mut lost = 0;
    for case in cases() {
        for entry in 1..100 {
            let site = site(case, Behaviour::healthy_after(1)).await;
            let crashed = dies_after(&site.world, &params(case), entry).await;
            let routed = seen(&site.world).await.routed;
            let world = without_ledger(&site);
            let rebuilt = rebuild::ensure(&world).await.unwrap().unwrap();
            assert_eq!(rebuilt.serving.len(), 1, "{case:?} after entry {entry}: {rebuilt:?}");
            let serving = world.serving_of(&scope(), &web()).unwrap().unwrap();
            assert_eq!([serving.id.to_string()].as_slice(), routed, "the edge decides: {case:?} after entry {entry}");
            serves(&world, serving.id.number()).await;
            for release in world.releases(&scope(), None).unwrap() {
                let decided = !matches!(release.state, State::Starting | State::Prepared);
                assert!(decided, "{case:?} after entry {entry}: {} is {:?}", release.id, release.state);
                let runs = seen(&world).await.running.iter().any(|name| release.containers().contains(name));
                let may_run = matches!(release.state, State::Serving | State::Parked);
                assert!(
                    may_run || !runs,
                    "{case:?} after entry {entry}: {} is {:?} and runs",
                    release.id,
                    release.state
                );
            }
            assert_eq!(world.next_release(&scope()).unwrap(), ReleaseId::new(3), "no number is given twice");
            assert!(!deploy::tick::tick(&world).await.unwrap().routes_pushed, "the edge is in step already");
            world.push_routes().await.unwrap();
            if !crashed {
                break;
            }
            lost += 1;
        }
    }
    assert!(lost > 80, "{lost} losses");
}

/// A worker of two copies, and the release that is to come in its place.
async fn worker(params: &Params) -> Site {
    let case = Case { strategy: Strategy::DrainFirst, old: 2, new: 2 };
    let site = site(case, Behaviour::healthy_after(1)).await;
    site.world.save_release(&params.release).unwrap();
    site
}

#[tokio::test]
async fn a_worker_that_had_been_told_to_finish_takes_work_again_when_the_ledger_is_lost() {
    let mut was_deaf = 0;
    for entry in 1..100 {
        let site = worker(&finishing()).await;
        let crashed = dies_after(&site.world, &finishing(), entry).await;
        was_deaf += u64::from(!seen(&site.world).await.deaf.is_empty());
        let world = without_ledger(&site);
        rebuild::ensure(&world).await.unwrap().unwrap();
        let seen = seen(&world).await;
        let deaf: Vec<&String> = seen.running.iter().filter(|name| seen.deaf.contains(name)).collect();
        assert!(deaf.is_empty(), "after entry {entry}: {deaf:?}");
        if !crashed {
            break;
        }
    }
    assert!(was_deaf > 3, "{was_deaf} times");
}

#[tokio::test]
async fn a_worker_without_a_word_for_it_is_started_anew_when_the_ledger_is_lost() {
    let mut params = finishing();
    params.release.plan.finish.as_mut().unwrap().take_again = None;
    let mut entry = 0;
    let site = loop {
        entry += 1;
        let site = worker(&params).await;
        assert!(dies_after(&site.world, &params, entry).await, "nothing was told in {entry} entries");
        if !seen(&site.world).await.deaf.is_empty() {
            break site;
        }
    };
    let before = site.docker.calls().len();
    rebuild::ensure(&without_ledger(&site)).await.unwrap().unwrap();
    let calls = site.docker.calls().split_off(before);
    for container in ["shop-production-web-r1", "shop-production-web-r1-2"] {
        let anew = calls.iter().filter(|call| call.ends_with(&format!(" {container}")));
        let anew: Vec<&String> = anew.filter(|call| call.starts_with("stop") || call.starts_with("start")).collect();
        assert_eq!(anew, [&format!("stop {container}"), &format!("start {container}")], "{calls:?}");
    }
}

#[tokio::test]
async fn where_file_and_edge_disagree_the_edge_is_right() {
    let site = site(Strategy::BlueGreen, Behaviour::healthy_after(1)).await;
    let second = site.world.release(&scope(), &web(), &ReleaseId::new(2)).unwrap().unwrap();
    let first = site.world.serving_of(&scope(), &web()).unwrap();
    site.docker.run_now(&container(&second.container, "2")).unwrap();
    // Written down, and never pushed.
    site.world.move_serving(&second, first.as_ref(), Some(i64::MAX)).unwrap();
    let world = without_ledger(&site);
    rebuild::ensure(&world).await.unwrap().unwrap();
    serves(&world, 1).await;
    let second = world.release(&scope(), &web(), &ReleaseId::new(2)).unwrap().unwrap();
    assert_eq!(second.state, State::Parked, "it has proved itself and runs");
}

#[tokio::test]
async fn a_new_ledger_on_an_empty_machine_is_whole_from_the_beginning() {
    let site = site(Strategy::BlueGreen, Behaviour::healthy_after(1)).await;
    let folder = tempfile::tempdir().unwrap();
    let before = &site.world;
    let root = machine::files::Root::open(folder.path()).unwrap();
    let parts = Parts {
        docker: before.docker.clone(),
        processes: before.processes.clone(),
        ledger: ledger::Ledger::in_memory(before.clock.clone()).unwrap(),
        edge: edge::Control::new(folder.path().join("none.sock")),
        clock: before.clock.clone(),
        root,
        environment: vec![],
        salt: vec![],
        switching: tokio::sync::Mutex::new(()),
        holding: tokio::sync::Mutex::new(()),
        lent: Default::default(),
        faults: None,
    };
    let world = World::new(Arc::new(parts), Talk::silent(), saga::Abort::new());
    assert_eq!(rebuild::ensure(&world).await.unwrap(), None, "another installation's containers are not its own");
    assert_eq!(rebuild::ensure(&world).await.unwrap(), None);
    assert!(world.platforms().unwrap().is_empty());
}

#[tokio::test]
async fn what_the_edge_serves_and_nobody_knows_stops_the_building_and_leaves_the_edge_alone() {
    let site = site(Strategy::BlueGreen, Behaviour::healthy_after(1)).await;
    let before = site.world.edge.status().await.unwrap();
    std::fs::remove_dir_all(site.world.root.join("kept").unwrap()).unwrap();
    let world = without_ledger(&site);
    let error = rebuild::ensure(&world).await.unwrap_err();
    assert!(matches!(error, DeployError::Unrebuildable { .. }), "{error}");
    assert!(error.to_string().contains("r1 of shop/production/web"), "{error}");
    assert_eq!(world.edge.status().await.unwrap().hash, before.hash);
}

#[tokio::test]
async fn a_ledger_that_has_lost_its_newest_commits_is_not_worked_with() {
    let site = site(Strategy::BlueGreen, Behaviour::healthy_after(1)).await;
    rebuild::ensure(&site.world).await.unwrap();
    // An older one: it knows the platform, and counts from before.
    let older = without_ledger(&site);
    let platform = site.world.platform(&scope()).unwrap().unwrap();
    older.ledger.put_record("platform", &scope().key(), &platform).unwrap();
    let error = rebuild::ensure(&older).await.unwrap_err();
    assert!(matches!(error, DeployError::Forgot), "{error}");
    assert!(error.hint().unwrap().contains("mainstay rebuild"));
}

#[tokio::test]
async fn a_kept_file_that_is_torn_is_read_from_the_one_before() {
    let site = site(Strategy::BlueGreen, Behaviour::healthy_after(1)).await;
    let file = "kept/release/shop~production~web~000000001.json";
    let path = site.world.root.join(file).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let world = without_ledger(&site);
    rebuild::ensure(&world).await.unwrap().unwrap();
    serves(&world, 1).await;
}

#[tokio::test]
async fn files_follow_a_ledger_from_before_they_were_kept() {
    let site = site(Strategy::BlueGreen, Behaviour::healthy_after(1)).await;
    std::fs::remove_dir_all(site.world.root.join("kept").unwrap()).unwrap();
    assert_eq!(rebuild::ensure(&site.world).await.unwrap(), None);
    let world = without_ledger(&site);
    rebuild::ensure(&world).await.unwrap().unwrap();
    serves(&world, 1).await;
}
