use std::sync::Arc;

use machine::clock::TestClock;
use proptest::prelude::*;

use super::*;

const TTL: Duration = Duration::from_secs(30);

fn bench() -> (Ledger, Arc<TestClock>) {
    let clock = Arc::new(TestClock::default());
    (Ledger::in_memory(clock.clone()).unwrap(), clock)
}

fn holder(pid: u32) -> Holder {
    Holder { pid, boot_id: "boot-1".to_owned(), note: "deploy r7".to_owned() }
}

fn is_held<T>(result: &Result<T, LeaseError>) -> bool {
    matches!(result, Err(LeaseError::Held { .. }))
}

fn is_lost<T>(result: &Result<T, LeaseError>) -> bool {
    matches!(result, Err(LeaseError::Lost { .. }))
}

#[test]
fn a_lease_has_one_holder_and_says_who() {
    let (ledger, _) = bench();
    let lease = ledger.acquire("deploy", holder(1), TTL).unwrap();
    let error = ledger.acquire("deploy", holder(2), TTL).unwrap_err();
    assert_eq!(error.to_string(), "`deploy` is held by process 1 (deploy r7)");
    assert!(
        matches!(error, LeaseError::Held { holder: who, expires_ms, .. } if who == holder(1) && expires_ms == lease.expires_ms)
    );
    assert_eq!(ledger.holder("deploy").unwrap().unwrap().token, lease.token);
    ledger.acquire("another", holder(2), TTL).unwrap();
}

#[test]
fn the_same_holder_is_refused_too_because_one_process_can_deploy_twice_at_once() {
    let (ledger, _) = bench();
    ledger.acquire("deploy", holder(1), TTL).unwrap();
    assert!(is_held(&ledger.acquire("deploy", holder(1), TTL)));
}

#[test]
fn the_token_grows_each_time_the_lease_changes_hands() {
    let (ledger, clock) = bench();
    let first = ledger.acquire("deploy", holder(1), TTL).unwrap();
    ledger.release(&first).unwrap();
    let second = ledger.acquire("deploy", holder(2), TTL).unwrap();
    clock.advance(TTL);
    let third = ledger.acquire("deploy", holder(3), TTL).unwrap();
    assert_eq!([first.token, second.token, third.token], [1, 2, 3]);
}

#[test]
fn a_holder_whose_time_is_over_keeps_the_lease_until_somebody_takes_it() {
    let (ledger, clock) = bench();
    let lease = ledger.acquire("deploy", holder(1), TTL).unwrap();
    clock.advance(TTL * 10);
    ledger.check(&lease).unwrap();
    let lease = ledger.renew(&lease).unwrap();
    assert!(is_held(&ledger.acquire("deploy", holder(2), TTL)));
    clock.advance(TTL);
    let other = ledger.acquire("deploy", holder(2), TTL).unwrap();
    assert!(is_lost(&ledger.check(&lease)) && is_lost(&ledger.renew(&lease)));
    ledger.check(&other).unwrap();
}

#[test]
fn a_lease_that_was_given_back_is_no_longer_valid() {
    let (ledger, _) = bench();
    let lease = ledger.acquire("deploy", holder(1), TTL).unwrap();
    ledger.release(&lease).unwrap();
    assert!(is_lost(&ledger.check(&lease)) && is_lost(&ledger.renew(&lease)));
    assert_eq!(ledger.holder("deploy").unwrap(), None);
    // Once more does nothing, and above all does not free the lease of the next holder.
    let next = ledger.acquire("deploy", holder(2), TTL).unwrap();
    ledger.release(&lease).unwrap();
    ledger.check(&next).unwrap();
}

#[test]
fn a_clock_set_ahead_hands_the_lease_over_and_fences_the_old_holder_off() {
    let (ledger, clock) = bench();
    let old = ledger.acquire("deploy", holder(1), TTL).unwrap();
    clock.jump_to(4_000_000_000_000);
    let new = ledger.acquire("deploy", holder(2), TTL).unwrap();
    clock.jump_to(1_767_225_600_000);
    assert!(is_lost(&ledger.check(&old)) && is_lost(&ledger.renew(&old)));
    ledger.check(&new).unwrap();
}

#[test]
fn a_clock_set_back_does_not_make_a_lease_last_forever() {
    let (ledger, clock) = bench();
    clock.jump_to(4_000_000_000_000);
    ledger.acquire("deploy", holder(1), TTL).unwrap();
    clock.jump_to(1_767_225_600_000);
    assert!(is_held(&ledger.acquire("deploy", holder(2), TTL)));
    clock.advance(TTL);
    ledger.acquire("deploy", holder(2), TTL).unwrap();
}

#[test]
fn the_lease_of_a_dead_holder_is_freed_and_that_of_a_living_one_is_not() {
    let (ledger, _) = bench();
    let lease = ledger.acquire("deploy", holder(1), TTL).unwrap();
    assert_eq!(ledger.steal_if_dead("deploy", |_| true).unwrap(), None);
    ledger.check(&lease).unwrap();
    assert_eq!(ledger.steal_if_dead("deploy", |who| who.boot_id == "boot-2").unwrap(), Some(holder(1)));
    assert!(is_lost(&ledger.check(&lease)));
    assert_eq!(ledger.acquire("deploy", holder(2), TTL).unwrap().token, 2);
    assert_eq!(ledger.steal_if_dead("nobody's", |_| false).unwrap(), None);
}

#[test]
fn all_leases_of_the_dead_are_freed_at_once_and_those_of_the_living_stay() {
    let (ledger, _) = bench();
    let living = ledger.acquire("a", holder(1), TTL).unwrap();
    ledger.acquire("b", holder(2), TTL).unwrap();
    let given_back = ledger.acquire("c", holder(2), TTL).unwrap();
    ledger.release(&given_back).unwrap();
    assert_eq!(ledger.free_dead(|who| *who == holder(1)).unwrap(), [("b".to_owned(), holder(2))]);
    ledger.check(&living).unwrap();
    assert_eq!(ledger.holder("b").unwrap(), None);
    assert_eq!(ledger.free_dead(|who| *who == holder(1)).unwrap(), []);
}

#[test]
fn a_lease_that_changes_hands_while_the_holder_is_looked_for_is_not_stolen() {
    let (ledger, clock) = bench();
    ledger.acquire("deploy", holder(1), TTL).unwrap();
    let stolen = ledger.steal_if_dead("deploy", |_| {
        clock.advance(TTL);
        ledger.acquire("deploy", holder(2), TTL).unwrap();
        false
    });
    assert_eq!(stolen.unwrap(), None);
    assert_eq!(ledger.holder("deploy").unwrap().unwrap().holder, holder(2));
}

#[test]
fn the_fence_and_the_write_it_protects_are_one_transaction() {
    let (ledger, clock) = bench();
    let old = ledger.acquire("deploy", holder(1), TTL).unwrap();
    clock.advance(TTL);
    ledger.acquire("deploy", holder(2), TTL).unwrap();
    let written = ledger.transaction(|tx| {
        tx.put_record("release", "r1", &"half")?;
        match tx.check(&old) {
            Err(LeaseError::Ledger(error)) => Err(error),
            Err(_) => Err(crate::LedgerError::NotFound { operation: "go on", thing: "lease".to_owned() }),
            Ok(()) => Ok(()),
        }
    });
    assert!(written.is_err());
    assert_eq!(ledger.get_record::<String>("release", "r1").unwrap(), None);
}

#[test]
fn of_many_threads_that_ask_at_once_one_gets_the_lease() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let clock = Arc::new(TestClock::default());
    // Each with a connection of its own, as processes have.
    let ledgers: Vec<Ledger> = (0..6).map(|_| Ledger::open(&path, clock.clone()).unwrap()).collect();
    let got: Vec<Option<Lease>> = std::thread::scope(|scope| {
        let asked: Vec<_> = ledgers
            .iter()
            .zip(1..)
            .map(|(ledger, pid)| scope.spawn(move || ledger.acquire("deploy", holder(pid), TTL).ok()))
            .collect();
        asked.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(got.iter().flatten().count(), 1);
}

#[derive(Debug, Clone)]
enum Act {
    Acquire(usize),
    Renew(usize),
    Release(usize),
    Steal(bool),
    Advance(u64),
    Jump(i64),
}

fn act() -> impl Strategy<Value = Act> {
    let who = 0_usize..3;
    prop_oneof![
        4 => who.clone().prop_map(Act::Acquire),
        2 => who.clone().prop_map(Act::Renew),
        1 => who.prop_map(Act::Release),
        1 => any::<bool>().prop_map(Act::Steal),
        3 => (0_u64..40_000).prop_map(Act::Advance),
        2 => (-100_000_i64..100_000).prop_map(Act::Jump),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever holders do and wherever the clock jumps, of all leases ever given at most one passes the fence.
    #[test]
    fn two_holders_never_hold_valid_tokens(acts in prop::collection::vec(act(), 1..60)) {
        let (ledger, clock) = bench();
        let mut now = 1_767_225_600_000_i64;
        let mut given: Vec<Vec<Lease>> = vec![Vec::new(); 3];
        let mut newest = 0;
        for act in acts {
            match act {
                Act::Acquire(who) => if let Ok(lease) = ledger.acquire("deploy", holder(who as u32), TTL) {
                    prop_assert!(lease.token > newest, "a token was given twice");
                    newest = lease.token;
                    given[who].push(lease);
                },
                Act::Renew(who) => if let Some(lease) = given[who].last().cloned()
                    && let Ok(renewed) = ledger.renew(&lease) { given[who].push(renewed); },
                Act::Release(who) => if let Some(lease) = given[who].last() { ledger.release(lease).unwrap(); },
                Act::Steal(alive) => { ledger.steal_if_dead("deploy", |_| alive).unwrap(); }
                Act::Advance(by) => { clock.advance(Duration::from_millis(by)); now += by as i64; }
                Act::Jump(by) => { now += by; clock.jump_to(now); }
            }
            let valid: std::collections::BTreeSet<u64> =
                given.iter().flatten().filter(|lease| ledger.check(lease).is_ok()).map(|lease| lease.token).collect();
            prop_assert!(valid.len() <= 1, "valid at once: {:?}", valid);
            prop_assert!(valid.iter().all(|token| *token == newest));
        }
    }
}
