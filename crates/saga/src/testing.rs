//! The four tests every saga must pass, as functions for the tests of the crates that have sagas.
//!
//! Each takes `make`, which builds a fresh world, and the params; a violated rule is a failed assertion that names the spot.
//! The ledger is in memory and the clock stands still, so a saga of ten steps takes milliseconds for all four.
//!
//! ```ignore
//! #[tokio::test]
//! async fn a_failure_at_any_step_leaves_the_world_as_before() {
//!     saga::testing::fail_at_each_step_leaves_world_as_before::<BlueGreen, _>(
//!         async || World::with_release("r1"), &params(), async |world| world.snapshot()).await;
//! }
//! ```

#![allow(clippy::expect_used, clippy::panic, reason = "these functions are called by tests, and fail by assertion")]

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use ledger::Ledger;
use machine::clock::TestClock;
use parking_lot::Mutex;
use spec::SagaId;

use crate::faults::{Abort, Faults, Inject};
use crate::log::{LogEvent, Shape};
use crate::runner::{Outcome, Retries, Runner};
use crate::step::Saga;

/// The saga runs to its end. Returns its state, to look at.
pub async fn runs_to_the_end<S: Saga>(world: &S::World, params: &S::Params) -> S::State {
    let bench = Bench::new::<S>(params);
    done(bench.run::<S>(world, no_faults()).await, "without any fault")
}

/// Every step may run twice, as it does after a crash, and so may every undo: the world ends up the same.
pub async fn each_step_twice<S: Saga, T: PartialEq + Debug>(
    make: impl AsyncFn() -> S::World,
    params: &S::Params,
    snapshot: impl AsyncFn(&S::World) -> T,
) {
    let (once, twice) = (make().await, make().await);
    done(Bench::new::<S>(params).run::<S>(&once, no_faults()).await, "with each step once");
    done(Bench::new::<S>(params).run::<S>(&twice, faults(|_, _| Inject::Repeat)).await, "with each step twice");
    assert_eq!(snapshot(&once).await, snapshot(&twice).await, "the world differs after each step ran twice");

    for failing in before_the_commit::<S>(params) {
        let world = make().await;
        let before = snapshot(&world).await;
        let outcome = Bench::new::<S>(params).run::<S>(&world, failing_at(&failing, Inject::Repeat)).await;
        undone(&outcome, &failing);
        assert_eq!(
            before,
            snapshot(&world).await,
            "`{failing}` failed, each undo ran twice, and the world is not as before"
        );
    }
}

/// Wherever a step fails, the world is as before. After the step that commits, a failure that passes is overcome.
pub async fn fail_at_each_step_leaves_world_as_before<S: Saga, T: PartialEq + Debug>(
    make: impl AsyncFn() -> S::World,
    params: &S::Params,
    snapshot: impl AsyncFn(&S::World) -> T,
) {
    let before_the_commit = before_the_commit::<S>(params);
    for failing in names::<S>(params) {
        let world = make().await;
        let before = snapshot(&world).await;
        if before_the_commit.contains(&failing) {
            let outcome = Bench::new::<S>(params).run::<S>(&world, failing_at(&failing, Inject::None)).await;
            undone(&outcome, &failing);
            assert_eq!(before, snapshot(&world).await, "`{failing}` failed and the world is not as before");
        } else {
            let outcome = Bench::new::<S>(params).run::<S>(&world, failing_once_at(&failing)).await;
            done(outcome, &format!("after `{failing}` failed once"));
        }
    }
}

/// The process dies after every entry of the log in turn, with the result of the step lost or not, on the way forward and on
/// the way back from a failure at every step; a new process then brings the saga to an end that `legal` asserts.
/// At last it dies after *every* entry of one run.
pub async fn crash_after_each_event_and_recover<S: Saga>(
    make: impl AsyncFn() -> S::World,
    params: &S::Params,
    legal: impl AsyncFn(&S::World, &Outcome<S::State>),
) {
    let failures = before_the_commit::<S>(params).into_iter().map(Some);
    for failing in std::iter::once(None).chain(failures) {
        let fails = failing.as_deref();
        for crash in [Inject::Crash, Inject::CrashBeforeResult] {
            let mut at = 0;
            // The log ends where the crash is no longer reached.
            loop {
                let (world, bench) = (make().await, Bench::new::<S>(params));
                let crashed = bench.run::<S>(&world, crashing_at(fails, at, crash)).await;
                if !matches!(crashed, Outcome::Crashed) {
                    break;
                }
                let entries = bench.entries();
                let outcome = bench.run::<S>(&world, no_faults()).await;
                ended(&outcome, &format!("after a crash at entry {at}, failing at {fails:?}"));
                legal(&world, &outcome).await;
                at = entries;
            }
        }
        let (world, bench) = (make().await, Bench::new::<S>(params));
        let outcome = bench.run_crashing_all_the_way::<S>(&world, fails).await;
        ended(&outcome, &format!("after a crash at every entry, failing at {fails:?}"));
        legal(&world, &outcome).await;
    }
}

// === private ===

/// One saga in a ledger of its own.
struct Bench {
    ledger: Ledger,
    id: SagaId,
}

impl Bench {
    fn new<S: Saga>(params: &S::Params) -> Self {
        let ledger = Ledger::in_memory(Arc::new(TestClock::default())).expect("a ledger in memory");
        let bench = Self { ledger, id: SagaId::parse("under-test").expect("an id") };
        bench.runner(no_faults()).create::<S>(&bench.id, params).expect("the saga can be created");
        bench
    }

    /// A new runner each time, as after a new start of the process: only the ledger is carried over.
    fn runner(&self, faults: Arc<dyn Faults>) -> Runner {
        let impatient = Retries { attempts: 3, first: Duration::ZERO, longest: Duration::ZERO };
        Runner::new(self.ledger.clone(), Arc::new(TestClock::default())).faults(faults).retries(impatient)
    }

    async fn run<S: Saga>(&self, world: &S::World, faults: Arc<dyn Faults>) -> Outcome<S::State> {
        self.runner(faults).run::<S>(world, &self.id, &Abort::new()).await
    }

    /// Dies after each entry the first time it is written, and starts again.
    async fn run_crashing_all_the_way<S: Saga>(&self, world: &S::World, failing: Option<&str>) -> Outcome<S::State> {
        let seen = Arc::new(Mutex::new(BTreeSet::new()));
        let failing = failing.map(str::to_owned);
        let faults = faults(move |_, event| match seen.lock().insert(event.to_string()) {
            true => Inject::Crash,
            false => fail_if(failing.as_deref(), event),
        });
        loop {
            match self.run::<S>(world, faults.clone()).await {
                Outcome::Crashed => {}
                outcome => return outcome,
            }
        }
    }

    fn entries(&self) -> u64 {
        self.ledger.saga_events(&self.id).expect("the log can be read").len() as u64
    }
}

fn names<S: Saga>(params: &S::Params) -> Vec<String> {
    Shape::of(&S::steps(params)).steps.into_iter().map(|step| step.name).collect()
}

/// The names of the steps from which there is a way back: up to the first that commits, and that one.
fn before_the_commit<S: Saga>(params: &S::Params) -> Vec<String> {
    let shape = Shape::of(&S::steps(params));
    let reversible = (0..shape.steps.len()).take_while(|step| !shape.committed(*step)).count();
    shape.steps.into_iter().take(reversible).map(|step| step.name).collect()
}

fn faults(at: impl Fn(u64, &LogEvent) -> Inject + Send + Sync + 'static) -> Arc<dyn Faults> {
    Arc::new(at)
}

fn no_faults() -> Arc<dyn Faults> {
    faults(|_, _| Inject::None)
}

fn fail_if(failing: Option<&str>, event: &LogEvent) -> Inject {
    match event {
        LogEvent::Started { step } if failing == Some(step) => Inject::Fail,
        _ => Inject::None,
    }
}

/// Fails at a step; everything else gets `otherwise`.
fn failing_at(failing: &str, otherwise: Inject) -> Arc<dyn Faults> {
    let failing = failing.to_owned();
    faults(move |_, event| match fail_if(Some(&failing), event) {
        Inject::None => otherwise,
        fail => fail,
    })
}

fn failing_once_at(failing: &str) -> Arc<dyn Faults> {
    let (failing, failed) = (failing.to_owned(), Mutex::new(false));
    faults(move |_, event| {
        let fail = fail_if(Some(&failing), event);
        if fail == Inject::Fail && std::mem::replace(&mut *failed.lock(), true) { Inject::None } else { fail }
    })
}

/// Crashes at entry `at`, or at the first entry from there at which this kind of crash can happen.
fn crashing_at(failing: Option<&str>, at: u64, crash: Inject) -> Arc<dyn Faults> {
    let failing = failing.map(str::to_owned);
    faults(move |index, event| {
        let fail = fail_if(failing.as_deref(), event);
        let possible = crash == Inject::Crash || (event.is_intent() && fail == Inject::None);
        if index >= at && possible { crash } else { fail }
    })
}

fn done<T>(outcome: Outcome<T>, when: &str) -> T {
    match outcome {
        Outcome::Done(state) => state,
        other => panic!("the saga is not done {when}: {}", told(&other)),
    }
}

fn undone<T>(outcome: &Outcome<T>, failing: &str) {
    match outcome {
        Outcome::Undone { failed_step, .. } if failed_step == failing => {}
        other => panic!("`{failing}` failed, and the saga is not undone because of it: {}", told(other)),
    }
}

fn ended<T>(outcome: &Outcome<T>, when: &str) {
    assert!(matches!(outcome, Outcome::Done(_) | Outcome::Undone { .. }), "no end {when}: {}", told(outcome));
}

fn told<T>(outcome: &Outcome<T>) -> String {
    match outcome {
        Outcome::Done(_) => "done".to_owned(),
        Outcome::Undone { failed_step, error, .. } => format!("undone at `{failed_step}`: {error:?}"),
        Outcome::Stuck { step, error, .. } => format!("stuck at `{step}`: {error:?}"),
        Outcome::Stopped { error } => format!("stopped: {error:?}"),
        Outcome::Crashed => "crashed".to_owned(),
    }
}
