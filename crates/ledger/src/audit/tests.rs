use std::sync::Arc;
use std::time::Duration;

use machine::clock::TestClock;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn ledger() -> Ledger {
    Ledger::in_memory(Arc::new(TestClock::default())).unwrap()
}

fn with_entries(count: usize) -> Ledger {
    let clock = Arc::new(TestClock::default());
    let ledger = Ledger::in_memory(clock.clone()).unwrap();
    for number in 0..count {
        clock.advance(Duration::from_secs(1));
        ledger
            .append_audit("ops", "deploy.start", &format!("shop/{number}"), json!({"release": number, "ok": true}))
            .unwrap();
    }
    ledger
}

/// Somebody with the file in hand and without respect for triggers.
fn tamper(ledger: &Ledger, statement: &str) {
    ledger.bare(|connection| {
        connection.execute_batch(
            "DROP TRIGGER IF EXISTS audit_is_never_changed; DROP TRIGGER IF EXISTS audit_is_never_deleted;",
        )?;
        connection.execute_batch(statement)
    });
}

#[test]
fn each_entry_holds_the_hash_of_the_one_before() {
    let ledger = with_entries(3);
    let entries = ledger.audit(0, 10).unwrap();
    assert_eq!(entries[0].prev_hash, GENESIS);
    assert_eq!(entries[1].prev_hash, entries[0].hash);
    assert_eq!(entries[2].prev_hash, entries[1].hash);
    assert_eq!(ledger.audit_head().unwrap(), Some(AuditHead { seq: 3, hash: entries[2].hash.clone() }));
    assert_eq!(ledger.verify_audit().unwrap(), AuditVerdict { entries: 3, chain: Chain::Ok });
    assert_eq!(ledger.audit(1, 1).unwrap(), [entries[1].clone()]);
}

#[test]
fn the_hash_of_an_entry_never_changes_between_versions() {
    let clock = Arc::new(TestClock::new(1_000));
    let ledger = Ledger::in_memory(clock).unwrap();
    let entry = ledger.append_audit("ops", "login", "shop", json!({"b": 1, "a": [1.5, "é\n\"", null]})).unwrap();
    let text = format!(
        r#"{{"action":"login","actor":"ops","at_ms":1000,"detail":{{"a":[1.5,"é\n\"",null],"b":1}},"prev_hash":"{GENESIS}","seq":1,"subject":"shop"}}"#
    );
    assert_eq!(entry.hash, format!("{:x}", Sha256::digest(text)));
}

#[test]
fn an_empty_chain_holds() {
    assert_eq!(ledger().verify_audit().unwrap(), AuditVerdict { entries: 0, chain: Chain::Ok });
    assert_eq!(ledger().audit_head().unwrap(), None);
}

#[test]
fn a_float_that_prints_differently_than_it_parses_does_not_break_the_chain() {
    let ledger = ledger();
    for value in [0.1 + 0.2, 1e-300, 123_456_789.123_456_79, 5e-324, f64::MAX] {
        ledger.append_audit("ops", "measure", "shop", json!({ "value": value })).unwrap();
    }
    assert!(ledger.verify_audit().unwrap().is_ok());
}

#[test]
fn accidents_are_stopped_by_the_database_itself() {
    let ledger = with_entries(2);
    for statement in ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit WHERE seq = 2"] {
        let refused = ledger.write(|tx| tx.sql("break the chain", |connection| connection.execute_batch(statement)));
        assert!(refused.is_err(), "{statement}");
    }
    assert!(ledger.verify_audit().unwrap().is_ok());
}

#[test]
fn entries_cut_from_the_end_are_missed() {
    let ledger = with_entries(5);
    tamper(&ledger, "DELETE FROM audit WHERE seq > 3");
    let verdict = ledger.verify_audit().unwrap();
    assert!(matches!(verdict, AuditVerdict { entries: 3, chain: Chain::BrokenAt { seq: 4, .. } }), "{verdict:?}");
}

#[test]
fn entries_cut_together_with_the_head_are_missed_by_whoever_kept_a_head() {
    let ledger = with_entries(5);
    let kept = ledger.audit_head().unwrap().unwrap();
    tamper(
        &ledger,
        "DELETE FROM audit WHERE seq > 3; UPDATE audit_head SET seq = 3, hash = (SELECT hash FROM audit WHERE seq = 3)",
    );
    assert!(ledger.verify_audit().unwrap().is_ok());
    let verdict = ledger.verify_audit_against(&kept).unwrap();
    assert!(matches!(verdict.chain, Chain::BrokenAt { seq: 4, .. }), "{verdict:?}");
}

#[test]
fn a_chain_that_was_rewritten_as_a_whole_is_found_by_whoever_kept_a_head() {
    let (honest, forged) = (with_entries(4), ledger());
    let kept = honest.audit_head().unwrap().unwrap();
    for _ in 0..6 {
        forged.append_audit("ops", "deploy.start", "shop", json!({})).unwrap();
    }
    assert!(forged.verify_audit().unwrap().is_ok());
    let verdict = forged.verify_audit_against(&kept).unwrap();
    assert!(matches!(verdict, AuditVerdict { entries: 4, chain: Chain::BrokenAt { seq: 4, .. } }), "{verdict:?}");
}

#[test]
fn a_head_kept_earlier_is_still_found_in_a_chain_that_grew() {
    let ledger = with_entries(4);
    let kept = ledger.audit_head().unwrap().unwrap();
    ledger.append_audit("ops", "more", "shop", json!({})).unwrap();
    assert!(ledger.verify_audit_against(&kept).unwrap().is_ok());
}

#[test]
fn an_entry_put_behind_the_head_is_found() {
    let ledger = with_entries(3);
    let forged = with_entries(4);
    let row = forged.audit(3, 1).unwrap().remove(0);
    ledger.bare(|connection| {
        connection.execute(
            "INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            rusqlite::params![
                row.seq,
                row.at_ms,
                row.actor,
                row.action,
                row.subject,
                canonical(&row.detail),
                row.prev_hash,
                row.hash
            ],
        )
    });
    let verdict = ledger.verify_audit().unwrap();
    assert!(matches!(verdict.chain, Chain::BrokenAt { seq: 4, .. }), "{verdict:?}");
}

#[test]
fn a_lost_head_is_found() {
    let ledger = with_entries(3);
    tamper(&ledger, "DELETE FROM audit_head");
    assert!(!ledger.verify_audit().unwrap().is_ok());
}

#[test]
fn two_neighbours_that_changed_places_are_found() {
    let ledger = with_entries(4);
    tamper(
        &ledger,
        "UPDATE audit SET seq = -1 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = -1",
    );
    assert!(matches!(
        ledger.verify_audit().unwrap(),
        AuditVerdict { entries: 1, chain: Chain::BrokenAt { seq: 2, .. } }
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Any one field of any one entry, changed to any other value, is found at or right behind that entry.
    #[test]
    fn any_single_change_is_found(
        count in 1_usize..8,
        place in 0_usize..8,
        column in prop::sample::select(vec!["at_ms", "actor", "action", "subject", "detail", "prev_hash", "hash"]),
        number in any::<i64>(),
        text in r#"([a-z0-9"\\{}:, ]|\PC){0,20}"#,
    ) {
        let ledger = with_entries(count);
        let seq = i64::try_from(1 + place % count).unwrap();
        let value: rusqlite::types::Value = if column == "at_ms" { number.into() } else { text.into() };
        tamper(&ledger, "SELECT 1");
        let query = format!("UPDATE audit SET {column} = ?1 WHERE seq = ?2 AND {column} IS NOT ?1");
        let changed = ledger.bare(|connection| connection.execute(&query, rusqlite::params![value, seq]));
        let verdict = ledger.verify_audit().unwrap();
        if changed == 0 {
            prop_assert!(verdict.is_ok());
        } else {
            let Chain::BrokenAt { seq: found, .. } = verdict.chain else { return Err(TestCaseError::fail("not found")) };
            prop_assert!(found == seq || found == seq + 1, "changed {} and found {}", seq, found);
        }
    }

    /// A cut at any place, and any entry taken out of the middle, is found.
    #[test]
    fn any_entry_that_is_taken_out_is_found(count in 1_usize..8, place in 0_usize..8, to_the_end in any::<bool>()) {
        let ledger = with_entries(count);
        let seq = 1 + place % count;
        let range = if to_the_end { ">=" } else { "=" };
        tamper(&ledger, &format!("DELETE FROM audit WHERE seq {range} {seq}"));
        prop_assert!(!ledger.verify_audit().unwrap().is_ok());
    }

    /// Whatever is written down, the chain of it holds, and reads back as it was written.
    #[test]
    fn whatever_is_written_down_holds(texts in prop::collection::vec((r"\PC{0,20}", r"\PC{0,20}", r"\PC{0,20}"), 1..6), number in any::<i64>()) {
        let ledger = ledger();
        for (actor, action, subject) in &texts {
            ledger.append_audit(actor, action, subject, json!({"n": number, "t": actor, actor.as_str(): [subject]})).unwrap();
        }
        prop_assert!(ledger.verify_audit().unwrap().is_ok());
        let read: Vec<_> = ledger.audit(0, 10).unwrap().into_iter().map(|entry| (entry.actor, entry.action, entry.subject)).collect();
        prop_assert_eq!(read, texts);
    }
}
