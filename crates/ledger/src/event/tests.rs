use std::sync::Arc;
use std::time::Duration;

use machine::clock::{Clock, TestClock};
use serde_json::json;
use spec::{Evidence, Verdict};

use super::*;

fn event(kind: &str, environment: &str, service: Option<&str>) -> NewEvent {
    NewEvent {
        kind: kind.to_owned(),
        platform: PlatformName::parse("shop").unwrap(),
        environment: EnvironmentName::parse(environment).unwrap(),
        service: service.map(|name| ServiceName::parse(name).unwrap()),
        saga: Some(SagaId::parse("d1").unwrap()),
        data: json!({"release": "r1"}),
    }
}

#[test]
fn events_come_back_as_they_were_told_and_in_order_even_when_the_clock_goes_back() {
    let clock = Arc::new(TestClock::default());
    let ledger = Ledger::in_memory(clock.clone()).unwrap();
    let first = ledger.append_event(event("deploy.started", "production", Some("api"))).unwrap();
    let at_ms = clock.now_ms();
    clock.jump_to(5);
    let second = ledger.append_event(event("deploy.done", "production", None)).unwrap();
    assert!(second > first);
    let events = ledger.events(&EventFilter::default(), 0, 10).unwrap();
    assert_eq!(events.iter().map(|event| (event.seq, event.at_ms)).collect::<Vec<_>>(), [(first, at_ms), (second, 5)]);
    assert_eq!(events[0].service.as_ref().unwrap().as_str(), "api");
    assert_eq!(events[0].data, json!({"release": "r1"}));
    assert_eq!(ledger.events(&EventFilter::default(), first, 10).unwrap().len(), 1);
}

#[test]
fn a_filter_narrows_by_everything_it_names() {
    let ledger = Ledger::in_memory(Arc::new(TestClock::default())).unwrap();
    for (kind, environment, service) in [
        ("deploy.started", "production", Some("api")),
        ("deploy.started", "staging", Some("api")),
        ("deploy.done", "production", None),
        ("deploys", "production", Some("web")),
    ] {
        ledger.append_event(event(kind, environment, service)).unwrap();
    }
    let count = |filter: EventFilter| ledger.events(&filter, 0, 10).unwrap().len();
    assert_eq!(count(EventFilter { kind_prefix: Some("deploy.".into()), ..Default::default() }), 3);
    assert_eq!(count(EventFilter { environment: EnvironmentName::parse("production").ok(), ..Default::default() }), 3);
    assert_eq!(count(EventFilter { service: ServiceName::parse("api").ok(), ..Default::default() }), 2);
    assert_eq!(count(EventFilter { saga: SagaId::parse("d2").ok(), ..Default::default() }), 0);
    assert_eq!(count(EventFilter { platform: PlatformName::parse("shop").ok(), ..Default::default() }), 4);
    let last = ledger.last_events(&EventFilter::default(), 2).unwrap();
    assert_eq!(last.iter().map(|event| event.seq).collect::<Vec<_>>(), [3, 4]);
}

#[test]
fn the_newest_evidence_comes_first_and_keeps_the_time_it_was_found() {
    let clock = Arc::new(TestClock::default());
    let ledger = Ledger::in_memory(clock.clone()).unwrap();
    for (verdict, at_ms) in
        [(Verdict::Pass, 1), (Verdict::Fail("6 min".into()), 2), (Verdict::Unknown("no data".into()), 3)]
    {
        clock.advance(Duration::from_secs(1));
        let evidence = Evidence {
            kind: "rollback-time".into(),
            subject: "shop/production".into(),
            verdict,
            at_ms,
            detail: json!({"s": at_ms}),
        };
        ledger.record_evidence(&evidence).unwrap();
    }
    let found = ledger.evidence("rollback-time", "shop/", 2).unwrap();
    assert_eq!(
        found.iter().map(|evidence| (evidence.at_ms, evidence.verdict.is_pass())).collect::<Vec<_>>(),
        [(3, false), (2, false)]
    );
    assert_eq!(found[1].verdict, Verdict::Fail("6 min".into()));
    assert!(ledger.evidence("rollback-time", "shop/staging", 9).unwrap().is_empty());
    assert!(ledger.evidence("other", "", 9).unwrap().is_empty());
}
