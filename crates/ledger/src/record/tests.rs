use std::sync::Arc;

use machine::clock::TestClock;
use serde_json::{Value, json};

use super::*;

fn ledger() -> Ledger {
    Ledger::in_memory(Arc::new(TestClock::default())).unwrap()
}

#[test]
fn a_record_is_kept_under_its_kind_and_key_and_replaced_by_the_next() {
    let ledger = ledger();
    assert_eq!(ledger.get_record::<Value>("release", "shop/r1").unwrap(), None);
    ledger.put_record("release", "shop/r1", &json!({"image": "a"})).unwrap();
    ledger.put_record("release", "shop/r1", &json!({"image": "b"})).unwrap();
    assert_eq!(ledger.get_record("release", "shop/r1").unwrap(), Some(json!({"image": "b"})));
    assert_eq!(ledger.get_record::<Value>("slot", "shop/r1").unwrap(), None);
    assert!(ledger.delete_record("release", "shop/r1").unwrap());
    assert!(!ledger.delete_record("release", "shop/r1").unwrap());
}

#[test]
fn records_are_listed_by_the_first_letters_of_their_key_and_wildcards_mean_nothing() {
    let ledger = ledger();
    for key in ["shop/prod/api", "shop/prod/web", "shop_prod", "shop%", "other"] {
        ledger.put_record("slot", key, &1).unwrap();
    }
    let keys = |prefix| {
        ledger.list_records::<u32>("slot", prefix).unwrap().into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    assert_eq!(keys("shop/prod/"), ["shop/prod/api", "shop/prod/web"]);
    assert_eq!(keys("shop_"), ["shop_prod"]);
    assert_eq!(keys("shop%"), ["shop%"]);
    assert_eq!(keys("").len(), 5);
}

#[test]
fn a_record_that_does_not_decode_is_an_error_with_its_name_and_stays() {
    let ledger = ledger();
    ledger.put_record("slot", "a", &1).unwrap();
    ledger.put_record("slot", "b", &"not a number").unwrap();
    let error = ledger.get_record::<u32>("slot", "b").unwrap_err();
    assert_eq!(error.to_string(), "could not read the slot record `b` in the ledger `:memory:`");
    assert!(ledger.list_records::<u32>("slot", "").is_err(), "half of a list must not look like all of it");
    let records = ledger.list_readable_records::<u32>("slot", "").unwrap();
    assert_eq!(records.readable, [("a".to_owned(), 1)]);
    assert_eq!(records.unreadable[0].key, "b");
    assert_eq!(ledger.get_record::<String>("slot", "b").unwrap().as_deref(), Some("not a number"));
}

#[test]
fn numbers_are_never_given_twice() {
    let ledger = ledger();
    assert_eq!(
        [
            ledger.next_number("release").unwrap(),
            ledger.next_number("release").unwrap(),
            ledger.next_number("epoch").unwrap()
        ],
        [1, 2, 1]
    );
}

#[test]
fn what_is_done_in_a_transaction_is_kept_or_dropped_together() {
    let ledger = ledger();
    let failed: Result<()> = ledger.transaction(|tx| {
        tx.put_record("slot", "a", &1)?;
        tx.append_audit("ops", "x", "y", json!({}))?;
        assert_eq!(tx.get_record::<u32>("slot", "a")?, Some(1));
        Err(LedgerError::NotFound { operation: "go on", thing: "reason".to_owned() })
    });
    assert!(failed.is_err());
    assert_eq!(ledger.get_record::<u32>("slot", "a").unwrap(), None);
    assert!(ledger.audit(0, 1).unwrap().is_empty() && ledger.verify_audit().unwrap().is_ok());
    ledger.transaction(|tx| tx.put_record("slot", "a", &2)).unwrap();
    assert_eq!(ledger.get_record::<u32>("slot", "a").unwrap(), Some(2));
}

#[test]
fn a_transaction_inside_a_transaction_is_an_error_and_not_a_deadlock() {
    let ledger = ledger();
    let nested = ledger.transaction(|tx| {
        tx.put_record("slot", "a", &1)?;
        ledger.put_record("slot", "b", &1)
    });
    assert!(nested.is_err());
    assert!(ledger.list_records::<u32>("slot", "").unwrap().is_empty());
}

#[test]
fn threads_take_turns_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let clock = Arc::new(TestClock::default());
    let shared = Ledger::open(&path, clock.clone()).unwrap();
    let own = Ledger::open(&path, clock).unwrap();
    let numbers: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = [shared.clone(), shared.clone(), own.clone(), own]
            .into_iter()
            .zip(0..)
            .map(|(ledger, thread)| {
                scope.spawn(move || {
                    (0..25)
                        .map(|round| {
                            ledger.append_audit("ops", "turn", &format!("{thread}/{round}"), json!({})).unwrap();
                            ledger.next_number("turn").unwrap()
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let distinct: std::collections::BTreeSet<u64> = numbers.into_iter().collect();
    assert_eq!(distinct, (1..=100).collect());
    let verdict = shared.verify_audit().unwrap();
    assert!(verdict.is_ok() && verdict.entries == 100, "{verdict:?}");
}

#[test]
fn only_the_records_of_one_beginning_are_listed() {
    let ledger = ledger();
    for key in ["a/b/1", "a/b/2", "a/b2/1", "a/c/1", "b/b/1"] {
        ledger.put_record("release", key, &1).unwrap();
    }
    let keys: Vec<String> =
        ledger.list_records::<i32>("release", "a/b/").unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["a/b/1", "a/b/2"]);
    assert_eq!(ledger.list_records::<i32>("release", "").unwrap().len(), 5);
}

#[test]
fn old_records_that_may_go_are_forgotten_and_the_newest_are_kept() {
    let ledger = ledger();
    for number in 1..=12 {
        ledger.put_record("operation", &format!("op{number}"), &(number % 5 != 0)).unwrap();
    }
    assert_eq!(ledger.forget_records("operation", 3, |ended: &bool| *ended).unwrap(), 8);
    let mut left: Vec<String> =
        ledger.list_records::<bool>("operation", "").unwrap().into_iter().map(|(key, _)| key).collect();
    left.sort_by_key(String::len);
    assert_eq!(left, ["op5", "op10", "op11", "op12"]);
}

#[test]
fn a_record_that_has_changed_under_an_open_ledger_is_named_and_never_taken_for_what_was_written() {
    let ledger = ledger();
    ledger.put_record("slot", "a", &"one").unwrap();
    ledger.put_record("slot", "b", &"two").unwrap();
    ledger.bare(|connection| connection.execute_batch("UPDATE record SET body = '\"onf\"' WHERE key = 'a'"));
    let error = ledger.get_record::<String>("slot", "a").unwrap_err();
    assert!(error.to_string().contains("the slot record `a` is not what was written"), "{error}");
    assert!(ledger.list_records::<String>("slot", "").is_err());
    let records = ledger.list_readable_records::<String>("slot", "").unwrap();
    assert_eq!((records.readable.len(), records.unreadable.len()), (1, 1));
    assert_eq!(ledger.forget_records::<String>("slot", 0, |_| true).unwrap(), 1, "it is not thrown away");
}
