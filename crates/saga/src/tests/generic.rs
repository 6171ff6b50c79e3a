//! The four generic tests hold for a sound saga, and find what is wrong with unsound ones.

use futures_util::FutureExt;

use super::town::*;
use crate::testing::*;
use crate::*;

#[tokio::test]
async fn a_saga_runs_to_its_end() {
    let town = Town::new();
    let progress = runs_to_the_end::<Move>(&town, &plan()).await;
    assert_eq!(town.things(), AFTER);
    assert_eq!(progress, Progress { built: vec!["hall".into(), "attic".into()], deed: Some("signed".into()) });
}

#[tokio::test]
async fn each_step_and_each_undo_may_run_twice() {
    each_step_twice::<Move, _>(async || Town::new(), &plan(), async |town| town.things()).await;
}

#[tokio::test]
async fn a_failure_at_any_step_leaves_the_world_as_before() {
    fail_at_each_step_leaves_world_as_before::<Move, _>(async || Town::new(), &plan(), async |town| town.things())
        .await;
}

#[tokio::test]
async fn a_crash_after_any_log_entry_is_recovered_from() {
    crash_after_each_event_and_recover::<Move>(
        async || Town::new(),
        &plan(),
        async |town, outcome| match outcome {
            Outcome::Done(_) => assert_eq!(town.things(), AFTER),
            _ => assert_eq!(town.things(), BEFORE),
        },
    )
    .await;
}

/// A saga with one step too forgetful for this engine.
struct Careless<const MISTAKE: u8>;

const KEEPS_WHAT_A_FAILED_STEP_DID: u8 = 1;
const CANNOT_RUN_TWICE: u8 = 2;
const UNDOES_NOTHING: u8 = 3;

impl<const MISTAKE: u8> Saga for Careless<MISTAKE> {
    type World = Town;
    type Params = ();
    type State = ();
    const KIND: &'static str = "careless";

    fn steps((): &()) -> Vec<Step<Self>> {
        let build = Step::new("build", |town: &Town, (), ()| {
            Box::pin(async move {
                let mut things = town.things.lock();
                let name = format!("shed {}", if MISTAKE == CANNOT_RUN_TWICE { things.len() } else { 0 });
                things.insert(name);
                Ok(())
            })
        });
        let built = match MISTAKE {
            KEEPS_WHAT_A_FAILED_STEP_DID => build.no_undo("a lie"),
            UNDOES_NOTHING => build.undo(|_, (), ()| Box::pin(async { Ok(()) })),
            _ => build.undo(|town: &Town, (), ()| {
                Box::pin(async move {
                    town.things.lock().retain(|thing| !thing.starts_with("shed"));
                    Ok(())
                })
            }),
        };
        vec![built, Step::new("open", |_, (), ()| Box::pin(async { Ok(()) })).no_undo("it only looks")]
    }
}

async fn fails(test: impl Future<Output = ()>) -> bool {
    std::panic::AssertUnwindSafe(test).catch_unwind().await.is_err()
}

#[tokio::test]
async fn the_generic_tests_find_a_step_that_is_not_undone() {
    let make = async || Town::new();
    let things = async |town: &Town| town.things();
    assert!(
        fails(fail_at_each_step_leaves_world_as_before::<Careless<KEEPS_WHAT_A_FAILED_STEP_DID>, _>(make, &(), things))
            .await
    );
    assert!(fails(fail_at_each_step_leaves_world_as_before::<Careless<UNDOES_NOTHING>, _>(make, &(), things)).await);
}

#[tokio::test]
async fn the_generic_tests_find_a_step_that_cannot_run_twice() {
    let things = async |town: &Town| town.things();
    assert!(fails(each_step_twice::<Careless<CANNOT_RUN_TWICE>, _>(async || Town::new(), &(), things)).await);
}
