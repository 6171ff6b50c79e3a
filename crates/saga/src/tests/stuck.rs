//! Neither forward nor back: every way to get there is told with its reason.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::town::*;
use crate::*;

fn stuck(outcome: Outcome<Progress>) -> (Option<Progress>, String, Failure) {
    match outcome {
        Outcome::Stuck { state, step, error } => (state, step, error),
        other => panic!("not stuck but {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_keeps_failing_leaves_the_saga_stuck() {
    let (office, town) =
        (Office::new(), Town::breaking(&["build attic", "tear down attic", "tear down attic", "tear down attic"]));
    let (state, step, error) = stuck(office.run(&town).await);
    assert_eq!((step.as_str(), error.message.as_str()), ("build attic", "could not tear down attic"));
    assert_eq!(state.unwrap().built, ["hall", "attic"]);
    let status = office.status();
    assert_eq!((status.phase, status.step.as_deref()), (Phase::Stuck, Some("build attic")));
    // It is not resumed by itself, and tells the same again.
    assert!(office.runner().unfinished().unwrap().is_empty());
    assert_eq!(stuck(office.run(&town).await).1, "build attic");
    assert!(town.things().contains(&"hall roof".to_owned()), "nothing below the stuck step is undone");
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_fails_once_is_tried_again() {
    let (office, town) = (Office::new(), Town::breaking(&["build attic", "tear down attic"]));
    assert!(matches!(office.run(&town).await, Outcome::Undone { .. }));
    assert_eq!(town.things(), BEFORE);
}

#[tokio::test(start_paused = true)]
async fn after_the_commit_a_step_that_keeps_failing_leaves_the_saga_stuck() {
    let (office, town) = (Office::new(), Town::breaking(&["sweep", "sweep", "sweep"]));
    let (_, step, error) = stuck(office.run(&town).await);
    assert_eq!((step.as_str(), error.message.as_str()), ("sweep", "could not sweep"));
    assert!(town.things().contains(&"deed".to_owned()), "what was committed stays");
}

#[tokio::test(start_paused = true)]
async fn a_person_can_have_a_stuck_saga_tried_again_in_the_direction_it_had() {
    let (office, town) = (Office::new(), Town::breaking(&["sweep", "sweep", "sweep", "sweep"]));
    stuck(office.run(&town).await);
    assert!(office.runner().retry_stuck::<Move>(&town, &office.id, &Abort::new()).await.is_done());
    assert_eq!(town.things(), AFTER);
    let again = office.runner().retry_stuck::<Move>(&town, &office.id, &Abort::new()).await;
    assert!(matches!(again, Outcome::Stopped { error: SagaError::NotStuck { .. } }));
}

#[tokio::test(start_paused = true)]
async fn while_the_world_is_out_of_reach_no_attempt_is_used_up() {
    let (office, town) = (Office::new(), Town::breaking(&["sweep", "sweep"]));
    let away = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let waited = away.clone();
    let runner = office.runner().ready(std::sync::Arc::new(move || {
        let waited = waited.clone();
        Box::pin(async move {
            tokio::time::sleep(std::time::Duration::from_secs(3_600)).await;
            waited.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        })
    }));
    let began = tokio::time::Instant::now();
    assert!(runner.run::<Move>(&town, &office.id, &Abort::new()).await.is_done());
    assert_eq!(town.things(), AFTER);
    assert_eq!(away.load(std::sync::atomic::Ordering::SeqCst), 2, "asked before each further attempt, and only then");
    assert!(began.elapsed() > std::time::Duration::from_secs(7_200));
}

#[test]
fn a_saga_of_an_unknown_kind_can_be_given_up_with_a_reason() {
    let office = Office::new();
    office.runner().give_up(&office.id, "this program does not know `move`").unwrap();
    let status = office.status();
    assert_eq!(status.phase, Phase::Stuck);
    assert_eq!(status.error.unwrap().message, "this program does not know `move`");
    assert!(office.runner().unfinished().unwrap().is_empty());
}

#[tokio::test]
async fn params_that_no_longer_decode_are_a_reason_to_be_stuck() {
    let office = Office::empty();
    let steps = json!([{"name": "survey", "undo": false, "commits": false}]);
    let row = ledger::SagaRow::new(office.id.clone(), "move", json!({"rooms": "all of them"}), steps, 0);
    office.ledger.create_saga(&row).unwrap();
    let (state, step, error) = stuck(office.run(&Town::new()).await);
    assert_eq!((state, step.as_str()), (None, "survey"));
    assert_eq!(error.message, "the params of this `move` do not fit this version of the program");
    assert!(error.source.unwrap().message.contains("invalid type: string \"all of them\""));
}

#[tokio::test]
async fn a_state_that_no_longer_decodes_is_a_reason_to_be_stuck() {
    let (office, town) = (Office::new(), Town::new());
    append(&office, 0, &LogEvent::Started { step: "survey".into() });
    append(&office, 1, &LogEvent::Succeeded { step: "survey".into(), state: json!({"built": 7}) });
    let (_, step, error) = stuck(office.run(&town).await);
    assert_eq!(
        (step.as_str(), error.message.as_str()),
        ("build hall", "the state of this `move` does not fit this version of the program")
    );
    assert_eq!(town.calls(), "");
}

#[tokio::test]
async fn steps_of_another_version_are_a_reason_to_be_stuck_until_that_version_is_back() {
    let (office, town) = (Office::empty(), Town::new());
    let steps =
        json!([{"name": "survey", "undo": false, "commits": false}, {"name": "dig", "undo": false, "commits": false}]);
    let row = ledger::SagaRow::new(office.id.clone(), "move", serde_json::to_value(plan()).unwrap(), steps, 0);
    office.ledger.create_saga(&row).unwrap();
    let (_, _, error) = stuck(office.run(&town).await);
    assert_eq!(error.message, "the steps of this `move` are those of another version of the program");
    assert_eq!(
        error.source.unwrap().message,
        "it was created with survey, dig, this version has survey, build hall, build attic, hand over, sweep"
    );
}

#[tokio::test]
async fn a_log_that_makes_no_sense_is_a_reason_to_be_stuck() {
    for (broken, message) in [
        (json!({"event": "succeeded", "step": "survey", "state": null}), "log entry 0 makes no sense"),
        (json!({"event": "started", "step": "dig"}), "log entry 0 makes no sense"),
        (json!({"event": "teleported", "step": "survey"}), "log entry 0 cannot be read"),
        (json!([1, 2]), "log entry 0 cannot be read"),
        (Value::Null, "log entry 0 cannot be read"),
    ] {
        let (office, town) = (Office::new(), Town::new());
        office.ledger.append_saga_event(&office.id, 0, &broken).unwrap();
        assert_eq!(office.status().error.unwrap().message, message);
        assert_eq!(stuck(office.run(&town).await).2.message, message, "{broken}");
        assert_eq!(town.calls(), "");
        assert_eq!(office.status().phase, Phase::Stuck);
    }
}

#[tokio::test]
async fn a_gap_in_the_log_is_a_reason_to_be_stuck() {
    let (office, town) = (Office::new(), Town::new());
    append(&office, 1, &LogEvent::Started { step: "survey".into() });
    assert_eq!(stuck(office.run(&town).await).2.message, "the log has a gap");
}

#[tokio::test]
async fn rows_damaged_on_disk_are_told_and_do_not_hide_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let clock = std::sync::Arc::new(machine::clock::TestClock::default());
    let office = Office { ledger: ledger::Ledger::open(&path, clock.clone()).unwrap(), clock, ..Office::empty() };
    let ids = ["params", "steps", "event", "fine"].map(|id| spec::SagaId::parse(id).unwrap());
    for id in &ids {
        office.runner().create::<Move>(id, &plan()).unwrap();
    }
    office.ledger.append_saga_event(&ids[2], 0, &json!({"event": "started", "step": "survey"})).unwrap();
    let damage = "PRAGMA ignore_check_constraints = ON;
        UPDATE saga SET params = '{\"rooms\": [' WHERE id = 'params';
        UPDATE saga SET steps = 'no' WHERE id = 'steps';
        UPDATE saga_event SET event = '{' WHERE saga = 'event';";
    Connection::open(&path).unwrap().execute_batch(damage).unwrap();

    assert_eq!(office.runner().unfinished().unwrap().len(), 4);
    let mut reasons = Vec::new();
    for id in &ids {
        let outcome = office.runner().run::<Move>(&Town::new(), id, &Abort::new()).await;
        reasons.push(match outcome {
            Outcome::Stuck { error, .. } => error.message,
            Outcome::Done(_) => "done".to_owned(),
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(reasons, ["the stored saga is damaged", "the stored saga is damaged", "the log cannot be read", "done"]);
}

fn append(office: &Office, index: u64, event: &LogEvent) {
    office.ledger.append_saga_event(&office.id, index, &serde_json::to_value(event).unwrap()).unwrap();
}
