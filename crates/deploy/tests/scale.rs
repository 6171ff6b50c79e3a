//! Scaling passes the four tests of every saga, up and down.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod site;

use deploy::Ending;
use deploy::report::Outcome as Result;
use deploy::scale::{Found, Params, Request, Scale};
use deploy::{Said, World};
use machine::docker::{Behaviour, Docker};
use saga::Outcome;
use spec::{ReleaseId, ServiceName, Strategy};

use site::{Case, Sites, scope, seen, serves, site};

fn web() -> ServiceName {
    ServiceName::parse("web").unwrap()
}

/// From so many copies to so many.
const WAYS: [(u32, u32); 3] = [(1, 3), (3, 1), (2, 3)];

fn case(copies: u32) -> Case {
    Case { strategy: Strategy::BlueGreen, old: copies, new: 1 }
}

fn params(from: u32, to: u32) -> Params {
    Params { scope: scope(), service: web(), release: ReleaseId::new(1), from, to, still: Vec::new() }
}

fn copies(world: &World) -> u32 {
    world.serving_of(&scope(), &web()).unwrap().unwrap().copies
}

async fn legal(world: &World, outcome: &Outcome<Found>, from: u32, to: u32) {
    let expected = match outcome {
        Outcome::Done(_) => to,
        Outcome::Undone { .. } => from,
        other => panic!("not a legal end: {other:?}"),
    };
    assert_eq!(copies(world), expected);
    serves(world, 1).await;
    assert_eq!(seen(world).await.running.len(), expected as usize, "nothing more runs");
}

#[tokio::test]
async fn scaling_ends_with_as_many_copies_as_were_asked_for() {
    for (from, to) in WAYS {
        let sites = Sites::new(case(from));
        let world = sites.world().await;
        saga::testing::runs_to_the_end::<Scale>(&world, &params(from, to)).await;
        assert_eq!(copies(&world), to);
        serves(&world, 1).await;
    }
}

#[tokio::test]
async fn each_step_of_scaling_may_run_twice() {
    for (from, to) in WAYS {
        let sites = Sites::new(case(from));
        let make = async || sites.world().await;
        saga::testing::each_step_twice::<Scale, _>(make, &params(from, to), async |w| seen(w).await).await;
    }
}

#[tokio::test]
async fn a_failure_at_any_step_leaves_the_copies_as_they_were() {
    for (from, to) in WAYS {
        let sites = Sites::new(case(from));
        let make = async || sites.world().await;
        let look = async |w: &World| seen(w).await;
        saga::testing::fail_at_each_step_leaves_world_as_before::<Scale, _>(make, &params(from, to), look).await;
    }
}

#[tokio::test]
async fn a_crash_after_any_entry_of_the_journal_ends_with_one_number_or_the_other() {
    for (from, to) in WAYS {
        let sites = Sites::new(case(from));
        let make = async || sites.world().await;
        let check = async |w: &World, o: &Outcome<Found>| legal(w, o, from, to).await;
        saga::testing::crash_after_each_event_and_recover::<Scale>(make, &params(from, to), check).await;
    }
}

async fn scale(world: &World, operation: &str, copies: u32) -> std::result::Result<Result, deploy::DeployError> {
    let request = Request { scope: scope(), copies: [(web(), copies)].into(), by: "test".into() };
    deploy::scale::scale(world, operation, &request).await.map(|mut report| report.services.remove(0).result)
}

#[tokio::test]
async fn a_number_set_by_hand_is_kept_until_it_is_the_files_own_again() {
    let site = site(case(1), Behaviour::healthy_after(1)).await;
    assert_eq!(scale(&site.world, "op1", 3).await.unwrap(), Result::Done);
    let kept = site.world.scaled(&scope()).unwrap()[&web()];
    assert_eq!((kept.copies, kept.instead_of), (3, 1));
    assert_eq!(scale(&site.world, "op2", 3).await.unwrap(), Result::Unchanged);
    assert_eq!(scale(&site.world, "op3", 1).await.unwrap(), Result::Done);
    assert!(site.world.scaled(&scope()).unwrap().is_empty());
}

#[tokio::test]
async fn a_service_that_is_never_there_twice_is_not_scaled() {
    let site = site(Strategy::Exclusive, Behaviour::healthy_after(1)).await;
    let refused = scale(&site.world, "op1", 2).await.unwrap_err().to_string();
    assert!(refused.contains("never there twice"), "{refused}");
}

#[tokio::test]
async fn an_exclusive_service_of_which_the_file_wants_several_is_scaled() {
    let site = site(Case { strategy: Strategy::Exclusive, old: 2, new: 2 }, Behaviour::healthy_after(1)).await;
    let mut release = site.world.serving_of(&scope(), &web()).unwrap().unwrap();
    release.plan.replicas = 2;
    site.world.save_release(&release).unwrap();
    assert_eq!(scale(&site.world, "op1", 3).await.unwrap(), Result::Done);
    assert_eq!(seen(&site.world).await.targets, 3);
    assert_eq!(scale(&site.world, "op2", 1).await.unwrap(), Result::Done);
    assert_eq!(scale(&site.world, "op3", 2).await.unwrap(), Result::Done);
}

#[tokio::test]
async fn the_reconciler_follows_every_copy_and_leaves_out_one_that_is_down() {
    let site = site(case(3), Behaviour::healthy_after(1)).await;
    site.docker.end("shop-production-web-r1-2", 1).unwrap();
    let turn = deploy::tick::tick(&site.world).await.unwrap();
    assert!(turn.routes_pushed, "{turn:?}");
    assert_eq!(seen(&site.world).await.targets, 2);
    site.docker.start("shop-production-web-r1-2").await.unwrap();
    deploy::tick::tick(&site.world).await.unwrap();
    assert_eq!(seen(&site.world).await.targets, 3);
    let status = deploy::status::status(&site.world, None).await.unwrap();
    let web = &status.platforms[0].services[0];
    assert_eq!((web.running, web.copies), (3, 3));
    assert!(status.platforms[0].strays.is_empty());
}

#[tokio::test]
async fn a_copy_that_lies_still_is_started_again_before_the_number_changes() {
    for (from, to) in [(1, 2), (2, 1), (2, 2)] {
        let site = site(case(from), Behaviour::healthy_after(1)).await;
        site.docker.kill("shop-production-web-r1", "SIGKILL").await.unwrap();
        assert_eq!(scale(&site.world, "op1", to).await.unwrap(), Result::Done, "{from} to {to}");
        assert_eq!(copies(&site.world), to);
        let seen = seen(&site.world).await;
        assert_eq!((seen.running.len(), seen.targets), (to as usize, to as usize), "{from} to {to}");
    }
}

#[tokio::test]
async fn scaling_that_fails_is_undone_although_a_copy_has_died_meanwhile() {
    let site = site(case(2), Behaviour::healthy_after(1)).await;
    // It dies between the start of the third and the moment when all of them are counted.
    let docker = site.docker.clone();
    let world = site.world.overheard(move |said| {
        if matches!(said, Said::Step { step, ms: Some(_), .. } if step == "healthy") {
            docker.end("shop-production-web-r1", 1).unwrap();
        }
    });
    let Result::Failed(failure) = scale(&world, "op1", 3).await.unwrap() else { panic!("a copy was missing") };
    assert_eq!((failure.step.as_str(), failure.ending), ("join", Ending::RolledBack), "{}", failure.cause);
    assert_eq!((copies(&site.world), seen(&site.world).await.targets), (2, 1));
}
