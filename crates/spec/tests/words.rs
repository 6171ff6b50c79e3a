//! Ids, quantities, verdicts, problems and differences.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop with the cause"
)]

use std::time::Duration;

use serde_json::json;
use spec::diff::{self, ChangeKind};
use spec::units::{Currency, compact_duration, parse_duration};
use spec::{
    Bytes, Money, Percent, PlatformName, ReleaseId, ServiceName, ServicePlan, Strategy, Verdict, human_duration,
};

#[test]
fn ids_refuse_what_could_not_stand_in_a_container_name() {
    for bad in ["", "a b", "../etc", "a/b", "-a", "ä", &"a".repeat(64), "a\n"] {
        assert!(ServiceName::parse(bad).is_err(), "{bad:?}");
        assert!(serde_json::from_value::<ServiceName>(json!(bad)).is_err(), "{bad:?}");
    }
    for good in ["a", "api-2", "n8n", "web_front", "a.b"] {
        assert_eq!(ServiceName::parse(good).expect("a name").to_string(), good);
    }
    assert!(PlatformName::parse("Shop").is_err());
}

#[test]
fn a_release_id_is_its_number_and_back() {
    assert_eq!(ReleaseId::new(42).to_string(), "r42");
    assert_eq!(ReleaseId::parse("r42").expect("an id").number(), 42);
    for bad in ["42", "r", "r042", "r-1", "r99999999999999999999999", "R1"] {
        assert!(ReleaseId::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn durations_are_read_written_and_shown() {
    for (text, millis, compact, human) in [
        ("250ms", 250, "250ms", "250 ms"),
        ("30s", 30_000, "30s", "30 s"),
        ("5m", 300_000, "5m", "5 min"),
        ("1h30m", 5_400_000, "1h30m", "1 h 30 min"),
        ("1.5h", 5_400_000, "1h30m", "1 h 30 min"),
        ("1h 30m", 5_400_000, "1h30m", "1 h 30 min"),
        ("0s", 0, "0s", "0 s"),
        ("7d", 604_800_000, "7d", "7 d"),
        ("1m30s", 90_000, "1m30s", "1 min 30 s"),
    ] {
        let duration = parse_duration(text).expect(text);
        assert_eq!(duration, Duration::from_millis(millis), "{text}");
        assert_eq!((compact_duration(duration).as_str(), human_duration(duration).as_str()), (compact, human));
        assert_eq!(parse_duration(compact).expect(compact), duration);
    }
    for bad in ["", "30", "s", "-5s", "1x", "5 s m", "1e9d", "9999999d", "1..5s", "٣s"] {
        assert!(parse_duration(bad).is_err(), "{bad}");
    }
}

#[test]
fn bytes_are_read_as_docker_reads_them() {
    for (text, bytes, compact, shown) in [
        ("512m", 512 << 20, "512m", "512 MB"),
        ("16G", 16 << 30, "16g", "16 GB"),
        ("64 MB", 64 << 20, "64m", "64 MB"),
        ("1.5GiB", 3 << 29, "1536m", "1.5 GB"),
        ("1000", 1000, "1000b", "1000 B"),
        ("268435456", 256 << 20, "256m", "256 MB"),
    ] {
        let read = Bytes::parse(text).expect(text);
        assert_eq!((read.0, read.compact().as_str(), read.to_string().as_str()), (bytes, compact, shown), "{text}");
        assert_eq!(Bytes::parse(compact).expect(compact), read);
    }
    for bad in ["", "m", "-1m", "5 apples", "1e400g", "99999999999999999999"] {
        assert!(Bytes::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn money_and_percent_need_their_sign() {
    let three = Money::parse("$3").expect("money");
    assert_eq!((three.micros, three.currency), (3_000_000, Currency::Usd));
    assert_eq!(Money::parse("0.0025 EUR").expect("money").to_string(), "€0.0025");
    assert!(Money::parse("3").is_err() && Money::parse("$").is_err() && Money::parse("$-3").is_err());
    assert_eq!(Percent::parse("99.9 %").expect("a percentage").value(), 99.9);
    assert_eq!(Percent::parse("50%").expect("a percentage").ratio(), 0.5);
    assert!(Percent::parse("95").is_err() && Percent::parse("101%").is_err());
}

#[test]
fn unknown_is_the_default_verdict_and_no_pass() {
    assert!(!Verdict::default().is_pass() && Verdict::Pass.is_pass());
    let found = Verdict::Fail("port 22 is open".to_owned());
    assert_eq!(serde_json::to_value(&found).expect("JSON"), json!({ "answer": "fail", "because": "port 22 is open" }));
    assert_eq!(serde_json::from_value::<Verdict>(json!({ "answer": "pass" })).expect("a verdict"), Verdict::Pass);
}

#[test]
fn a_difference_names_its_path_and_what_was_there() {
    let old = json!({ "a": 1, "b": { "c": [1, 2], "d": "x" }, "gone": null, "n": 1 });
    let new = json!({ "a": 1.0, "b": { "c": [1, 3, 4], "d": "x" }, "come": true, "n": "1" });
    let found: Vec<String> =
        diff::values(&old, &new).iter().map(|change| format!("{} {}", change.kind.sign(), change.path)).collect();
    assert_eq!(found, ["~ b.c[1]", "+ b.c[2]", "+ come", "- gone", "~ n"]);
    assert!(diff::values(&old, &old).is_empty());
    assert_eq!(diff::values(&json!(1), &json!(2))[0].kind, ChangeKind::Changed);
}

#[test]
fn changes_of_a_service_are_said_in_words() {
    let name = ServiceName::parse("api").expect("a name");
    let mut old = ServicePlan::new(name, Strategy::BlueGreen);
    old.reason = "serves HTTP on port 8000".to_owned();
    let new = ServicePlan { port: Some(8000), drain: Duration::from_secs(60), ..old.clone() };
    assert_eq!(diff::service_changes(Some(&old), Some(&new)), ["port: none -> 8000", "drain: 30 s -> 1 min"]);
    assert_eq!(
        diff::service_changes(None, Some(&old)),
        ["new service, blue-green because it serves HTTP on port 8000"]
    );
    assert!(diff::service_changes(Some(&old), Some(&old)).is_empty());
    assert_eq!(diff::service_changes(Some(&old), None).len(), 1);
}
