use std::sync::Arc;

use machine::clock::TestClock;
use serde_json::json;

use super::*;

fn ledger() -> Ledger {
    Ledger::in_memory(Arc::new(TestClock::default())).unwrap()
}

fn id(text: &str) -> SagaId {
    SagaId::parse(text).unwrap()
}

fn row(name: &str, created_ms: i64) -> SagaRow {
    let params =
        json!({"platform": "shop", "environment": if name.starts_with('p') { "production" } else { "staging" }});
    SagaRow::new(id(name), "deploy", params, json!([]), created_ms)
}

#[test]
fn a_saga_comes_back_as_it_was_created() {
    let ledger = ledger();
    let created = SagaRow { lease_token: Some(7), ..row("p1", 5) };
    ledger.create_saga(&created).unwrap();
    assert_eq!(ledger.saga(&id("p1")).unwrap(), Some(created));
    assert_eq!(ledger.saga(&id("p2")).unwrap(), None);
    assert!(matches!(ledger.create_saga(&row("p1", 6)), Err(LedgerError::Exists { .. })));
}

#[test]
fn each_index_of_a_log_is_written_once_and_belongs_to_a_saga() {
    let ledger = ledger();
    ledger.create_saga(&row("p1", 5)).unwrap();
    ledger.append_saga_event(&id("p1"), 0, &json!({"event": "started"})).unwrap();
    assert!(matches!(
        ledger.append_saga_event(&id("p1"), 0, &json!({"event": "other"})),
        Err(LedgerError::Exists { .. })
    ));
    ledger.append_saga_event(&id("p1"), 1, &json!({"event": "succeeded"})).unwrap();
    let log: Vec<_> = ledger.saga_events(&id("p1")).unwrap().into_iter().map(|row| (row.index, row.event)).collect();
    assert_eq!(log, [(0, json!({"event": "started"})), (1, json!({"event": "succeeded"}))]);
    assert!(ledger.append_saga_event(&id("nobody"), 0, &json!({})).is_err());
}

#[test]
fn unfinished_sagas_are_those_without_an_outcome_oldest_first() {
    let ledger = ledger();
    for (name, created_ms) in [("p1", 3), ("p2", 1), ("p3", 2), ("p4", 4)] {
        ledger.create_saga(&row(name, created_ms)).unwrap();
    }
    ledger.finish_saga(&id("p3"), SagaOutcome::Done, None).unwrap();
    ledger.finish_saga(&id("p4"), SagaOutcome::Stuck, Some(&json!({"step": "switch"}))).unwrap();
    let names = |rows: Vec<SagaRow>| rows.into_iter().map(|row| row.id.to_string()).collect::<Vec<_>>();
    assert_eq!(names(ledger.unfinished_sagas().unwrap()), ["p2", "p1"]);
    assert!(ledger.reopen_saga(&id("p4")).unwrap());
    assert!(!ledger.reopen_saga(&id("p3")).unwrap(), "only a stuck saga is opened again");
    assert_eq!(names(ledger.unfinished_sagas().unwrap()), ["p2", "p1", "p4"]);
    assert!(matches!(ledger.finish_saga(&id("nobody"), SagaOutcome::Done, None), Err(LedgerError::NotFound { .. })));
}

#[test]
fn sagas_are_listed_newest_first_and_narrowed() {
    let ledger = ledger();
    for (name, created_ms) in [("p1", 1), ("s1", 2), ("p2", 3)] {
        ledger.create_saga(&row(name, created_ms)).unwrap();
    }
    ledger.finish_saga(&id("p1"), SagaOutcome::Undone, None).unwrap();
    let names = |filter: SagaFilter, limit| {
        ledger.sagas(&filter, limit).unwrap().into_iter().map(|row| row.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(SagaFilter::default(), 2), ["p2", "s1"]);
    assert_eq!(
        names(SagaFilter { environment: EnvironmentName::parse("production").ok(), ..Default::default() }, 9),
        ["p2", "p1"]
    );
    assert_eq!(names(SagaFilter { platform: PlatformName::parse("other").ok(), ..Default::default() }, 9), [""; 0]);
    assert_eq!(names(SagaFilter { outcome: Some(SagaOutcome::Undone), ..Default::default() }, 9), ["p1"]);
    assert_eq!(names(SagaFilter { kind: Some("restore".into()), ..Default::default() }, 9), [""; 0]);
}
