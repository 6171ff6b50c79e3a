//! The ends a run comes to: done, undone, stopped; and what is told on the way.

use std::sync::Arc;
use std::time::Duration;

use machine::clock::Clock;
use parking_lot::Mutex;
use spec::SagaId;

use super::town::*;
use crate::*;

#[tokio::test]
async fn every_step_is_logged_before_and_after() {
    let office = Office::new();
    assert!(office.run(&Town::new()).await.is_done());
    let expected = ["survey", "build hall", "build attic", "hand over", "sweep"];
    let expected: Vec<String> =
        expected.iter().flat_map(|step| [format!("started {step}"), format!("succeeded {step}")]).collect();
    assert_eq!(office.log(), expected);
    assert_eq!(office.status().phase, Phase::Done);
    assert!(office.runner().unfinished().unwrap().is_empty());
}

#[tokio::test]
async fn a_failure_undoes_the_failed_step_and_then_the_others_backwards() {
    let (office, town) = (Office::new(), Town::breaking(&["build attic"]));
    let Outcome::Undone { state, failed_step, error } = office.run(&town).await else { panic!("not undone") };
    assert_eq!((failed_step.as_str(), state), ("build attic", Progress::default()));
    assert_eq!(error.to_string(), "could not build attic");
    assert_eq!(error.source.unwrap().message, "it rains");
    assert_eq!(town.calls(), "survey, build hall, build attic, tear down attic, tear down hall");
    assert_eq!(town.things(), BEFORE);
    assert_eq!(office.status().phase, Phase::Undone);
}

#[tokio::test]
async fn a_step_that_commits_is_undone_when_it_fails_itself() {
    let (office, town) = (Office::new(), Town::breaking(&["hand over"]));
    assert!(matches!(office.run(&town).await, Outcome::Undone { failed_step, .. } if failed_step == "hand over"));
    assert_eq!(town.things(), BEFORE);
}

#[tokio::test(start_paused = true)]
async fn after_the_commit_a_failure_is_retried_with_growing_pauses() {
    let (office, town) = (Office::new(), Town::breaking(&["sweep", "sweep"]));
    let before = tokio::time::Instant::now();
    assert!(office.run(&town).await.is_done());
    assert_eq!(before.elapsed(), Duration::from_millis(500 + 1_000));
    assert_eq!(town.things(), AFTER);
}

#[tokio::test]
async fn an_abort_before_the_commit_unwinds() {
    let (office, town, abort) = (Office::new(), Town::new(), Abort::new());
    *town.abort_in.lock() = Some(("build hall".to_owned(), abort.clone()));
    let Outcome::Undone { failed_step, error, .. } = office.runner().run::<Move>(&town, &office.id, &abort).await
    else {
        panic!("not undone")
    };
    assert_eq!((failed_step.as_str(), error.is_abort()), ("build attic", true));
    assert_eq!(town.calls(), "survey, build hall, tear down hall");
    assert_eq!(town.things(), BEFORE);
}

#[tokio::test]
async fn an_abort_before_the_first_step_touches_nothing() {
    let (office, town, abort) = (Office::new(), Town::new(), Abort::new());
    abort.request();
    assert!(matches!(office.runner().run::<Move>(&town, &office.id, &abort).await, Outcome::Undone { .. }));
    assert_eq!((town.calls(), office.log()), (String::new(), vec!["failed survey".to_owned()]));
}

#[tokio::test]
async fn an_abort_after_the_commit_is_ignored() {
    let (office, town, abort) = (Office::new(), Town::new(), Abort::new());
    *town.abort_in.lock() = Some(("hand over".to_owned(), abort.clone()));
    assert!(office.runner().run::<Move>(&town, &office.id, &abort).await.is_done());
    assert_eq!(town.things(), AFTER);
}

#[tokio::test]
async fn a_step_that_panics_has_failed() {
    struct Clumsy;
    impl Saga for Clumsy {
        type World = ();
        type Params = ();
        type State = ();
        const KIND: &'static str = "clumsy";
        fn steps((): &()) -> Vec<Step<Self>> {
            vec![Step::new("trip", |(), (), ()| Box::pin(async { panic!("over a stone") })).no_undo("nothing happens")]
        }
    }
    let office = Office::empty();
    office.runner().create::<Clumsy>(&office.id, &()).unwrap();
    let outcome = office.runner().run::<Clumsy>(&(), &office.id, &Abort::new()).await;
    assert!(matches!(outcome, Outcome::Undone { error, .. } if error.message == "the step panicked: over a stone"));
}

#[tokio::test]
async fn a_lost_lease_stops_the_run_without_unwinding() {
    let (office, town) = (Office::new(), Town::new());
    let holds = Mutex::new(3);
    let fence: Fence = Arc::new(move || {
        let mut left = holds.lock();
        *left -= 1;
        if *left >= 0 { Ok(()) } else { Err("the lease is lost".into()) }
    });
    let outcome = office.runner().fence(fence).run::<Move>(&town, &office.id, &Abort::new()).await;
    assert!(matches!(outcome, Outcome::Stopped { error: SagaError::FenceLost { step, .. } } if step == "hand over"));
    assert_eq!(town.calls(), "survey, build hall, build attic");
    assert_eq!(office.status().phase, Phase::Running);
    // The new holder goes on from there.
    assert!(office.run(&town).await.is_done());
    assert_eq!(town.calls(), "survey, build hall, build attic, hand over, sweep");
}

#[tokio::test]
async fn two_runners_of_one_saga_cannot_both_go_on() {
    let (office, town) = (Office::new(), Town::new());
    let (ledger, id) = (office.ledger.clone(), office.id.clone());
    // While the first runs a step, another process writes the entry that the first would write next.
    let other = move |index, event: &LogEvent| {
        if *event == (LogEvent::Started { step: "build hall".to_owned() }) {
            let event = serde_json::to_value(LogEvent::Started { step: "build hall".to_owned() }).unwrap();
            ledger.append_saga_event(&id, index + 1, &event).unwrap();
        }
        Inject::None
    };
    let outcome = office.tripped(other).run::<Move>(&town, &office.id, &Abort::new()).await;
    assert!(matches!(outcome, Outcome::Stopped { error: SagaError::Ledger { .. } }));
    assert_eq!(town.calls(), "survey, build hall");
}

#[tokio::test]
async fn observers_hear_each_entry_when_it_is_durable_and_how_long_it_took() {
    struct Ear(ledger::Ledger, Arc<machine::clock::TestClock>, Mutex<Vec<(u64, String, Duration)>>);
    impl Observer for Ear {
        fn event(&self, saga: &SagaId, index: u64, event: &LogEvent, elapsed: Duration) {
            let durable = self.0.saga_events(saga).unwrap();
            assert_eq!(durable.last().map(|row| row.index), Some(index), "told before it was durable");
            self.2.lock().push((index, event.to_string(), elapsed));
            self.1.advance(Duration::from_secs(2));
        }
    }
    let office = Office::new();
    let ear = Arc::new(Ear(office.ledger.clone(), office.clock.clone(), Mutex::default()));
    assert!(office.runner().observer(ear.clone()).run::<Move>(&Town::new(), &office.id, &Abort::new()).await.is_done());
    let heard = ear.2.lock();
    assert_eq!(heard.len(), 10);
    assert_eq!(heard[0], (0, "started survey".to_owned(), Duration::ZERO));
    assert_eq!(heard[1], (1, "succeeded survey".to_owned(), Duration::from_secs(2)));
}

#[tokio::test]
async fn a_finished_saga_tells_its_outcome_again_and_runs_nothing() {
    let (office, town) = (Office::new(), Town::new());
    assert!(office.run(&town).await.is_done());
    let calls = town.calls();
    assert!(matches!(office.run(&town).await, Outcome::Done(Progress { deed: Some(_), .. })));
    assert_eq!(town.calls(), calls);
}

#[tokio::test]
async fn a_saga_without_steps_is_done_at_once() {
    struct Idle;
    impl Saga for Idle {
        type World = ();
        type Params = ();
        type State = ();
        const KIND: &'static str = "idle";
        fn steps((): &()) -> Vec<Step<Self>> {
            Vec::new()
        }
    }
    let office = Office::empty();
    office.runner().create::<Idle>(&office.id, &()).unwrap();
    assert!(office.runner().run::<Idle>(&(), &office.id, &Abort::new()).await.is_done());
    assert!(office.runner().unfinished().unwrap().is_empty());
}

#[test]
fn steps_that_are_not_sound_are_refused_before_anything_runs() {
    struct Unsound<const TWICE: bool>;
    impl<const TWICE: bool> Saga for Unsound<TWICE> {
        type World = ();
        type Params = ();
        type State = ();
        const KIND: &'static str = "unsound";
        fn steps((): &()) -> Vec<Step<Self>> {
            let step = || Step::new("dig", |(), (), ()| Box::pin(async { Ok(()) }));
            if TWICE { vec![step().no_undo("a hole"), step().no_undo("a hole")] } else { vec![step()] }
        }
    }
    let office = Office::empty();
    let problem = |result: Result<()>| match result {
        Err(SagaError::Steps { problem, .. }) => problem,
        _ => panic!("not refused"),
    };
    assert_eq!(
        problem(office.runner().create::<Unsound<false>>(&office.id, &())),
        "`dig` says neither how it is undone nor why it needs no undo"
    );
    assert_eq!(problem(office.runner().create::<Unsound<true>>(&office.id, &())), "two steps are called `dig`");
    assert!(office.runner().unfinished().unwrap().is_empty());
}

#[tokio::test]
async fn an_id_is_used_once_and_an_unknown_one_or_another_kind_is_refused() {
    let office = Office::new();
    assert!(matches!(
        office.runner().create::<Move>(&office.id, &plan()),
        Err(SagaError::Ledger { operation: "create", .. })
    ));
    let nobody = SagaId::parse("nobody").unwrap();
    let outcome = office.runner().run::<Move>(&Town::new(), &nobody, &Abort::new()).await;
    assert!(matches!(outcome, Outcome::Stopped { error: SagaError::NotFound { .. } }));
    let row = ledger::SagaRow::new(nobody.clone(), "other", serde_json::json!({}), serde_json::json!([]), 0);
    office.ledger.create_saga(&row).unwrap();
    let outcome = office.runner().run::<Move>(&Town::new(), &nobody, &Abort::new()).await;
    assert!(matches!(outcome, Outcome::Stopped { error: SagaError::WrongKind { found, .. } } if found == "other"));
    // It is still unfinished: the program that knows it may come back.
    assert_eq!(office.runner().unfinished().unwrap().len(), 2);
}

#[tokio::test]
async fn the_status_tells_each_step_and_how_long_it_took() {
    let office = Office::new();
    let clock = office.clock.clone();
    let slow = move |_: u64, event: &LogEvent| {
        if event.is_intent() {
            clock.advance(Duration::from_secs(3));
        }
        if event.step() == "build attic" { Inject::Crash } else { Inject::None }
    };
    let start = office.clock.now_ms();
    office.tripped(slow).run::<Move>(&Town::new(), &office.id, &Abort::new()).await;
    let status = office.status();
    assert_eq!(
        (status.phase, status.step.as_deref(), status.kind.as_str()),
        (Phase::Running, Some("build attic"), "move")
    );
    let steps: Vec<_> = status.steps.iter().map(|step| (step.name.as_str(), step.state, step.took)).collect();
    assert_eq!(
        steps,
        [
            ("survey", StepState::Done, Some(Duration::from_secs(3))),
            ("build hall", StepState::Done, Some(Duration::from_secs(3))),
            ("build attic", StepState::Running, None),
            ("hand over", StepState::Waiting, None),
            ("sweep", StepState::Waiting, None),
        ]
    );
    assert_eq!(status.steps[1].started_ms, Some(start + 3_000));
}
