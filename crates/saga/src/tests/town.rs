//! A small world with a saga in it: a house is moved from one street to another, and nobody may be without a roof.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ledger::Ledger;
use machine::clock::TestClock;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use spec::SagaId;

use crate::*;

/// What stands in the town, and what was called how often.
#[derive(Default)]
pub(super) struct Town {
    pub(super) things: Mutex<BTreeSet<String>>,
    pub(super) calls: Mutex<Vec<String>>,
    /// Calls that fail, each as often as it is listed here.
    pub(super) breaks: Mutex<Vec<String>>,
    /// Asked for in the middle of this call.
    pub(super) abort_in: Mutex<Option<(String, Abort)>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) rooms: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    pub(super) built: Vec<String>,
    pub(super) deed: Option<String>,
}

pub(super) struct Move;

impl Saga for Move {
    type World = Town;
    type Params = Plan;
    type State = Progress;
    const KIND: &'static str = "move";

    /// survey, build each room, hand over (commits), sweep.
    fn steps(plan: &Plan) -> Vec<Step<Self>> {
        let mut steps = vec![Step::new("survey", survey).no_undo("it only looks")];
        steps.extend(plan.rooms.iter().map(|room| build(room)));
        steps.push(Step::new("hand over", hand_over).undo(take_back).commits());
        steps.push(Step::new("sweep", sweep).no_undo("the way back is closed by then"));
        steps
    }
}

fn survey<'a>(town: &'a Town, _: &'a Plan, _: &'a mut Progress) -> BoxFuture<'a, Result<(), StepError>> {
    Box::pin(async move {
        town.call("survey")?;
        tokio::task::yield_now().await;
        Ok(())
    })
}

fn build(room: &str) -> Step<Move> {
    let (run, undo) = (room.to_owned(), room.to_owned());
    Step::new(format!("build {room}"), move |town: &Town, _, progress: &mut Progress| {
        let room = run.clone();
        Box::pin(async move {
            // Half of the work is done before it can fail.
            town.put(&format!("{room} floor"));
            progress.built.push(room.clone());
            town.call(&format!("build {room}"))?;
            town.put(&format!("{room} roof"));
            Ok(())
        })
    })
    .undo(move |town: &Town, _, progress: &mut Progress| {
        let room = undo.clone();
        Box::pin(async move {
            town.call(&format!("tear down {room}"))?;
            town.take(&format!("{room} floor"));
            town.take(&format!("{room} roof"));
            progress.built.retain(|built| *built != room);
            Ok(())
        })
    })
}

fn hand_over<'a>(town: &'a Town, _: &'a Plan, progress: &'a mut Progress) -> BoxFuture<'a, Result<(), StepError>> {
    Box::pin(async move {
        town.put("deed");
        progress.deed = Some("signed".to_owned());
        town.call("hand over")
    })
}

fn take_back<'a>(town: &'a Town, _: &'a Plan, progress: &'a mut Progress) -> BoxFuture<'a, Result<(), StepError>> {
    Box::pin(async move {
        town.call("take back")?;
        town.take("deed");
        progress.deed = None;
        Ok(())
    })
}

fn sweep<'a>(town: &'a Town, _: &'a Plan, _: &'a mut Progress) -> BoxFuture<'a, Result<(), StepError>> {
    Box::pin(async move {
        town.call("sweep")?;
        town.take("old house");
        Ok(())
    })
}

impl Town {
    pub(super) fn new() -> Self {
        let town = Self::default();
        town.put("old house");
        town
    }

    pub(super) fn breaking(calls: &[&str]) -> Self {
        let town = Self::new();
        *town.breaks.lock() = calls.iter().map(|call| (*call).to_owned()).collect();
        town
    }

    pub(super) fn things(&self) -> Vec<String> {
        self.things.lock().iter().cloned().collect()
    }

    pub(super) fn calls(&self) -> String {
        self.calls.lock().join(", ")
    }

    fn put(&self, thing: &str) {
        self.things.lock().insert(thing.to_owned());
    }

    fn take(&self, thing: &str) {
        self.things.lock().remove(thing);
    }

    fn call(&self, name: &str) -> Result<(), StepError> {
        self.calls.lock().push(name.to_owned());
        if let Some((at, abort)) = &*self.abort_in.lock()
            && at == name
        {
            abort.request();
        }
        let mut breaks = self.breaks.lock();
        match breaks.iter().position(|broken| broken == name) {
            Some(at) => {
                let broken = breaks.remove(at);
                Err(StepError::failed(format!("could not {broken}"), std::io::Error::other("it rains")))
            }
            None => Ok(()),
        }
    }
}

/// A ledger with one saga created in it, and a clock that stands still.
pub(super) struct Office {
    pub(super) ledger: Ledger,
    pub(super) clock: Arc<TestClock>,
    pub(super) id: SagaId,
}

impl Office {
    pub(super) fn new() -> Self {
        let office = Self::empty();
        office.runner().create::<Move>(&office.id, &plan()).unwrap();
        office
    }

    pub(super) fn empty() -> Self {
        let clock = Arc::new(TestClock::default());
        Self { ledger: Ledger::in_memory(clock.clone()).unwrap(), clock, id: SagaId::parse("m1").unwrap() }
    }

    pub(super) fn runner(&self) -> Runner {
        let retries = Retries { attempts: 3, first: Duration::from_millis(500), longest: Duration::from_secs(10) };
        Runner::new(self.ledger.clone(), self.clock.clone()).retries(retries)
    }

    pub(super) fn tripped(&self, faults: impl Fn(u64, &LogEvent) -> Inject + Send + Sync + 'static) -> Runner {
        self.runner().faults(Arc::new(faults))
    }

    pub(super) async fn run(&self, town: &Town) -> Outcome<Progress> {
        self.runner().run::<Move>(town, &self.id, &Abort::new()).await
    }

    pub(super) fn log(&self) -> Vec<String> {
        let events = self.ledger.saga_events(&self.id).unwrap();
        events.into_iter().map(|row| serde_json::from_value::<LogEvent>(row.event).unwrap().to_string()).collect()
    }

    pub(super) fn status(&self) -> SagaStatus {
        self.runner().status(&self.id).unwrap()
    }
}

pub(super) fn plan() -> Plan {
    Plan { rooms: vec!["hall".to_owned(), "attic".to_owned()] }
}

pub(super) const BEFORE: [&str; 1] = ["old house"];
pub(super) const AFTER: [&str; 5] = ["attic floor", "attic roof", "deed", "hall floor", "hall roof"];
