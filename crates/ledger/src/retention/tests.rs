use std::sync::Arc;

use machine::clock::TestClock;
use serde_json::json;
use spec::{EnvironmentName, PlatformName, SagaId};

use super::*;
use crate::{EventFilter, NewEvent, SagaOutcome, SagaRow};

const DAY: Duration = Duration::from_secs(86_400);

fn keep(at_least: u64, at_most: u64) -> Retention {
    let keep = Keep { age: DAY * 3, at_least, at_most };
    Retention { events: keep, sagas: keep }
}

/// Ten days with one event and one finished saga each.
fn ten_days() -> (Ledger, Arc<TestClock>) {
    let clock = Arc::new(TestClock::default());
    let ledger = Ledger::in_memory(clock.clone()).unwrap();
    for day in 0..10 {
        let platform = PlatformName::parse("shop").unwrap();
        let environment = EnvironmentName::parse("production").unwrap();
        ledger
            .append_event(NewEvent {
                kind: "day".into(),
                platform,
                environment,
                service: None,
                saga: None,
                data: json!(day),
            })
            .unwrap();
        let id = SagaId::parse(&format!("s{day}")).unwrap();
        ledger.create_saga(&SagaRow::new(id.clone(), "deploy", json!({}), json!([]), 0)).unwrap();
        ledger.append_saga_event(&id, 0, &json!({})).unwrap();
        let outcome = if day == 0 { SagaOutcome::Stuck } else { SagaOutcome::Done };
        ledger.finish_saga(&id, outcome, None).unwrap();
        clock.advance(DAY);
    }
    (ledger, clock)
}

#[test]
fn old_events_and_finished_sagas_go_and_stuck_ones_stay() {
    let (ledger, _) = ten_days();
    let pruned = ledger.prune(&keep(0, 100)).unwrap();
    assert_eq!(pruned, Pruned { events: 7, sagas: 6 });
    let left: Vec<_> =
        ledger.events(&EventFilter::default(), 0, 99).unwrap().into_iter().map(|event| event.data).collect();
    assert_eq!(left, [json!(7), json!(8), json!(9)]);
    let gone = SagaId::parse("s1").unwrap();
    assert!(ledger.saga(&gone).unwrap().is_none() && ledger.saga_events(&gone).unwrap().is_empty());
    assert!(ledger.saga(&SagaId::parse("s0").unwrap()).unwrap().is_some());
    assert_eq!(ledger.prune(&keep(0, 100)).unwrap(), Pruned::default());
}

#[test]
fn rows_beyond_the_limit_go_whatever_their_age() {
    let (ledger, clock) = ten_days();
    clock.jump_to(0);
    assert_eq!(ledger.prune(&keep(0, 2)).unwrap(), Pruned { events: 8, sagas: 7 });
}

#[test]
fn a_clock_set_far_ahead_does_not_empty_the_ledger() {
    let (ledger, clock) = ten_days();
    clock.jump_to(9_000_000_000_000);
    assert_eq!(ledger.prune(&keep(4, 100)).unwrap(), Pruned { events: 6, sagas: 5 });
}

#[test]
fn an_unfinished_saga_is_never_pruned() {
    let (ledger, clock) = ten_days();
    let id = SagaId::parse("open").unwrap();
    ledger.create_saga(&SagaRow::new(id.clone(), "deploy", json!({}), json!([]), 0)).unwrap();
    clock.advance(DAY * 100);
    ledger.prune(&keep(0, 0)).unwrap();
    assert!(ledger.saga(&id).unwrap().is_some());
}

#[test]
fn numbers_of_pruned_events_are_not_given_again() {
    let (ledger, _) = ten_days();
    let filter = EventFilter::default();
    let last = ledger.last_events(&filter, 1).unwrap()[0].seq;
    ledger.prune(&keep(0, 0)).unwrap();
    let event = NewEvent {
        kind: "next".into(),
        platform: PlatformName::parse("shop").unwrap(),
        environment: EnvironmentName::parse("production").unwrap(),
        service: None,
        saga: None,
        data: json!(null),
    };
    assert_eq!(ledger.append_event(event).unwrap(), last + 1);
}

#[test]
fn room_is_given_back_to_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&folder.path().join("ledger.db"), Arc::new(TestClock::default())).unwrap();
    ledger
        .transaction(|tx| {
            for _ in 0..500 {
                let (platform, environment) = (PlatformName::parse("shop"), EnvironmentName::parse("production"));
                let data = json!("x".repeat(2_000));
                let (platform, environment) = (platform.unwrap(), environment.unwrap());
                tx.append_event(NewEvent {
                    kind: "big".into(),
                    platform,
                    environment,
                    service: None,
                    saga: None,
                    data,
                })?;
            }
            Ok(())
        })
        .unwrap();
    let full = ledger.size().unwrap();
    assert_eq!((full.events, full.sagas), (500, 0));
    ledger.prune(&keep(0, 10)).unwrap();
    let pruned = ledger.size().unwrap();
    assert!(pruned.bytes < full.bytes / 4, "{full:?} {pruned:?}");
}
