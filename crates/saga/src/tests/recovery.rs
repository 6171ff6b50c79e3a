//! What a new process finds after the old one died.

use super::town::*;
use crate::*;

fn crash_at(text: &'static str) -> impl Fn(u64, &LogEvent) -> Inject {
    move |_, event| {
        if event.to_string() == text { Inject::Crash } else { Inject::None }
    }
}

#[tokio::test]
async fn a_saga_that_was_created_and_never_ran_is_unfinished_and_runs() {
    let (office, town) = (Office::new(), Town::new());
    assert_eq!(office.status().phase, Phase::Running);
    assert_eq!(office.runner().unfinished().unwrap()[0].id, office.id);
    assert!(office.run(&town).await.is_done());
}

#[tokio::test]
async fn a_step_that_was_under_way_is_run_again_with_the_state_from_before_it() {
    let (office, town) = (Office::new(), Town::new());
    let lost = |_: u64, event: &LogEvent| {
        if event.to_string() == "started build hall" { Inject::CrashBeforeResult } else { Inject::None }
    };
    assert!(matches!(office.tripped(lost).run::<Move>(&town, &office.id, &Abort::new()).await, Outcome::Crashed));
    assert_eq!(town.calls(), "survey, build hall");
    let Outcome::Done(progress) = office.run(&town).await else { panic!("not done") };
    assert_eq!(town.calls(), "survey, build hall, build hall, build attic, hand over, sweep");
    assert_eq!(progress.built, ["hall", "attic"], "the state of the lost run must not be counted");
}

#[tokio::test]
async fn a_crash_between_undo_started_and_undo_finished_goes_on_unwinding() {
    let (office, town) = (Office::new(), Town::breaking(&["build attic"]));
    let crashed =
        office.tripped(crash_at("undo started build hall")).run::<Move>(&town, &office.id, &Abort::new()).await;
    assert!(matches!(crashed, Outcome::Crashed));
    assert_eq!(office.status().phase, Phase::Unwinding);
    let Outcome::Undone { failed_step, error, .. } = office.run(&town).await else { panic!("not undone") };
    assert_eq!((failed_step.as_str(), error.message.as_str()), ("build attic", "could not build attic"));
    assert_eq!(town.things(), BEFORE);
}

#[tokio::test]
async fn a_crash_after_the_failure_goes_on_unwinding_even_if_the_step_would_work_now() {
    let (office, town) = (Office::new(), Town::breaking(&["build hall"]));
    office.tripped(crash_at("failed build hall")).run::<Move>(&town, &office.id, &Abort::new()).await;
    assert!(matches!(office.run(&town).await, Outcome::Undone { .. }));
    assert_eq!(town.things(), BEFORE);
}

#[tokio::test]
async fn a_crash_after_the_commit_only_goes_forward() {
    let (office, town, abort) = (Office::new(), Town::new(), Abort::new());
    office.tripped(crash_at("succeeded hand over")).run::<Move>(&town, &office.id, &abort).await;
    abort.request();
    assert!(office.runner().run::<Move>(&town, &office.id, &abort).await.is_done());
    assert_eq!(town.things(), AFTER);
}

#[tokio::test]
async fn an_abort_after_a_crash_inside_a_step_undoes_that_step_without_running_it_again() {
    let (office, town, abort) = (Office::new(), Town::new(), Abort::new());
    let lost = |_: u64, event: &LogEvent| {
        if event.to_string() == "started build attic" { Inject::CrashBeforeResult } else { Inject::None }
    };
    office.tripped(lost).run::<Move>(&town, &office.id, &abort).await;
    abort.request();
    let outcome = office.runner().run::<Move>(&town, &office.id, &abort).await;
    assert!(matches!(outcome, Outcome::Undone { failed_step, .. } if failed_step == "build attic"));
    assert_eq!(town.calls(), "survey, build hall, build attic, tear down attic, tear down hall");
    assert_eq!(town.things(), BEFORE);
}

#[tokio::test]
async fn the_last_entry_and_the_outcome_are_durable_together() {
    let (office, town) = (Office::new(), Town::new());
    let crashed = office.tripped(crash_at("succeeded sweep")).run::<Move>(&town, &office.id, &Abort::new()).await;
    assert!(matches!(crashed, Outcome::Crashed));
    assert!(office.runner().unfinished().unwrap().is_empty());
    assert!(office.run(&town).await.is_done());
}

#[tokio::test]
async fn a_run_that_is_dropped_is_a_crash_like_any_other() {
    let (office, town) = (Office::new(), Town::new());
    {
        let abort = Abort::new();
        let runner = office.runner();
        let run = std::pin::pin!(runner.run::<Move>(&town, &office.id, &abort));
        // The survey waits once, and there the run is dropped.
        drop(futures_util::future::select(run, std::future::ready(())).await);
    }
    assert_eq!(office.log(), ["started survey"]);
    assert!(office.run(&town).await.is_done());
    assert_eq!(town.things(), AFTER);
}

#[tokio::test]
async fn the_pauses_and_counts_of_attempts_survive_a_crash() {
    let (office, town) = (Office::new(), Town::breaking(&["sweep", "sweep", "sweep", "sweep"]));
    tokio::time::pause();
    let twice = parking_lot::Mutex::new(0);
    let faults = move |_: u64, event: &LogEvent| {
        let mut failures = twice.lock();
        *failures += u32::from(event.to_string() == "failed sweep");
        if *failures == 2 { Inject::Crash } else { Inject::None }
    };
    office.tripped(faults).run::<Move>(&town, &office.id, &Abort::new()).await;
    // One of three attempts is left.
    assert!(matches!(office.run(&town).await, Outcome::Stuck { .. }));
    assert_eq!(town.calls.lock().iter().filter(|call| *call == "sweep").count(), 3);
}

#[tokio::test]
async fn a_repeated_step_starts_from_the_durable_state_as_it_would_after_a_crash() {
    let (office, town) = (Office::new(), Town::new());
    let twice = office.tripped(|_, _| Inject::Repeat);
    let Outcome::Done(progress) = twice.run::<Move>(&town, &office.id, &Abort::new()).await else { panic!("not done") };
    assert_eq!(progress.built, ["hall", "attic"]);
}
