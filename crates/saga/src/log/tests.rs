//! The table of `next`: every event in every kind of position.

use serde_json::Value;

use super::*;
use crate::step::{StepError, StepErrorKind};

/// look (no undo), make, switch (commits), clean (no undo).
fn shape() -> Shape {
    let step = |name: &str, undo, commits| StepShape { name: name.to_owned(), undo, commits };
    Shape {
        steps: vec![
            step("look", false, false),
            step("make", true, false),
            step("switch", true, true),
            step("clean", false, false),
        ],
    }
}

const LOOK: usize = 0;
const MAKE: usize = 1;
const SWITCH: usize = 2;
const CLEAN: usize = 3;

/// started, succeeded, failed, aborted, undo started, undo finished, undo failed.
fn events(step: &str) -> [LogEvent; 7] {
    let step = || step.to_owned();
    let failure = |kind| Failure { kind, ..StepError::because("x").into() };
    let (failed, aborted) = (failure(StepErrorKind::Failed), failure(StepErrorKind::Aborted));
    [
        LogEvent::Started { step: step() },
        LogEvent::Succeeded { step: step(), state: Value::Null },
        LogEvent::Failed { step: step(), error: failed.clone(), state: Value::Null },
        LogEvent::Failed { step: step(), error: aborted, state: Value::Null },
        LogEvent::UndoStarted { step: step() },
        LogEvent::UndoFinished { step: step(), state: Value::Null },
        LogEvent::UndoFailed { step: step(), error: failed, state: Value::Null },
    ]
}

#[test]
fn every_event_in_every_position_leads_where_the_table_says() {
    use Position as P;
    let ready = |step, failures| Some(P::Ready { step, failures });
    let running = |step, failures| Some(P::Running { step, failures });
    let unwinding = |failed, step, failures| Some(P::Unwinding { failed, step, failures });
    let undoing = |failed, step, failures| Some(P::Undoing { failed, step, failures });
    let undone = |failed| Some(P::Undone { failed });
    let no = None;
    #[rustfmt::skip]
    let table: [(P, [Option<P>; 7]); 14] = [
        // position                                            started              succeeded         failed                 aborted               undo started          undo finished         undo failed
        (P::Ready { step: LOOK, failures: 0 },                 [running(LOOK, 0),   no,               no,                    undone(LOOK),         no,                   no,                   no]),
        (P::Ready { step: MAKE, failures: 0 },                 [running(MAKE, 0),   no,               no,                    undone(MAKE),         no,                   no,                   no]),
        (P::Ready { step: SWITCH, failures: 0 },               [running(SWITCH, 0), no,               no,                    unwinding(SWITCH, MAKE, 0), no,             no,                   no]),
        (P::Ready { step: CLEAN, failures: 2 },                [running(CLEAN, 2),  no,               no,                    no,                   no,                   no,                   no]),
        (P::Running { step: LOOK, failures: 0 },               [running(LOOK, 0),   ready(MAKE, 0),   undone(LOOK),          undone(LOOK),         no,                   no,                   no]),
        (P::Running { step: MAKE, failures: 0 },               [running(MAKE, 0),   ready(SWITCH, 0), unwinding(MAKE, MAKE, 0), unwinding(MAKE, MAKE, 0), no,            no,                   no]),
        (P::Running { step: SWITCH, failures: 0 },             [running(SWITCH, 0), ready(CLEAN, 0),  unwinding(SWITCH, SWITCH, 0), unwinding(SWITCH, SWITCH, 0), no,    no,                   no]),
        (P::Running { step: CLEAN, failures: 1 },              [running(CLEAN, 1),  Some(P::Done),    ready(CLEAN, 2),       ready(CLEAN, 2),      no,                   no,                   no]),
        (P::Unwinding { failed: SWITCH, step: SWITCH, failures: 0 }, [no, no, no, no, undoing(SWITCH, SWITCH, 0), no, no]),
        (P::Unwinding { failed: SWITCH, step: MAKE, failures: 2 },   [no, no, no, no, undoing(SWITCH, MAKE, 2), no, no]),
        (P::Undoing { failed: SWITCH, step: SWITCH, failures: 1 },   [no, no, no, no, undoing(SWITCH, SWITCH, 1), unwinding(SWITCH, MAKE, 0), unwinding(SWITCH, SWITCH, 2)]),
        (P::Undoing { failed: SWITCH, step: MAKE, failures: 0 },     [no, no, no, no, undoing(SWITCH, MAKE, 0), undone(SWITCH), unwinding(SWITCH, MAKE, 1)]),
        (P::Done,                                                    [no; 7]),
        (P::Undone { failed: MAKE },                                 [no; 7]),
    ];
    let shape = shape();
    for (position, row) in table {
        let step = match position {
            P::Ready { step, .. } | P::Running { step, .. } | P::Unwinding { step, .. } | P::Undoing { step, .. } => {
                step
            }
            P::Done | P::Undone { .. } => CLEAN,
        };
        for (event, expected) in events(shape.name(step)).iter().zip(row) {
            assert_eq!(next(&shape, position, event).ok(), expected, "{event} in {position:?}");
        }
        for (other, _) in shape.steps.iter().enumerate().filter(|(other, _)| *other != step) {
            for event in events(shape.name(other)) {
                assert!(next(&shape, position, &event).is_err(), "{event} in {position:?}");
            }
        }
    }
}

#[test]
fn a_saga_starts_in_front_of_its_first_step_and_one_without_steps_is_done() {
    assert_eq!(shape().start(), Position::Ready { step: 0, failures: 0 });
    assert_eq!(Shape { steps: Vec::new() }.start(), Position::Done);
}

#[test]
fn an_entry_survives_being_written_and_read() {
    for event in events("make") {
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<LogEvent>(&text).unwrap(), event);
    }
}

#[test]
fn the_stored_form_of_an_entry_does_not_change() {
    // A saga that an older program left unfinished must still be readable.
    let [started, .., undo_failed] = events("make");
    assert_eq!(serde_json::to_string(&started).unwrap(), r#"{"event":"started","step":"make"}"#);
    assert_eq!(
        serde_json::to_string(&undo_failed).unwrap(),
        r#"{"event":"undo-failed","step":"make","error":{"message":"x","kind":"failed"},"state":null}"#
    );
}
