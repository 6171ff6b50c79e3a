//! Operations that wait for the one that is under way, scope by scope, in the order in which they came.
//!
//! A newer deploy takes the place of an older waiting one when it does everything that one would have done: of five
//! pushes in a row the first and the last are deployed. Anything else waits for its turn.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use deploy::{Ending, Scope};

use super::operations::Live;
use super::{Agent, telling, work};
use crate::errors::Failure;
use crate::messages::{Ended, Operation, Work};

#[derive(Clone, Default)]
pub struct Queue(Arc<Mutex<BTreeMap<String, VecDeque<Waiting>>>>);

/// An operation that has a number and nothing else yet.
pub struct Waiting {
    pub operation: Operation,
    pub scope: Scope,
    pub live: Arc<Live>,
}

impl Queue {
    /// Takes a place at the end; answers those whose place is taken.
    fn join(&self, newer: Waiting) -> Vec<Waiting> {
        let mut all = self.lock();
        let queue = all.entry(newer.scope.key()).or_default();
        let (superseded, stay): (Vec<Waiting>, Vec<Waiting>) =
            queue.drain(..).partition(|older| supersedes(&newer.operation, &older.operation));
        queue.extend(stay);
        queue.push_back(newer);
        superseded
    }

    fn next(&self, scope: &Scope) -> Option<Waiting> {
        self.lock().get_mut(&scope.key()).and_then(VecDeque::pop_front)
    }

    fn put_back(&self, waiting: Waiting) {
        self.lock().entry(waiting.scope.key()).or_default().push_front(waiting);
    }

    /// Whoever waits no longer wants to.
    fn leave(&self, id: &str) -> Option<Waiting> {
        let mut all = self.lock();
        all.values_mut().find_map(|queue| {
            let at = queue.iter().position(|waiting| waiting.operation.id == id)?;
            queue.remove(at)
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, VecDeque<Waiting>>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Lets an operation wait; it begins when its turn has come.
pub fn wait(agent: &Agent, waiting: Waiting) {
    let (id, scope) = (waiting.operation.id.clone(), waiting.scope.clone());
    for older in agent.queue.join(waiting) {
        end(agent, older, Failure::new(format!("superseded by {id}"), Ending::Refused));
    }
    // What it waits for may have ended meanwhile.
    go_on(agent, &scope);
}

/// The lock is free, as far as is known: whoever waits longest begins.
pub fn go_on(agent: &Agent, scope: &Scope) {
    while let Some(next) = agent.queue.next(scope) {
        match work::take_turn(agent, next) {
            work::Turn::Begun => return,
            work::Turn::NotYet(next) => return agent.queue.put_back(*next),
            work::Turn::Refused(next, failure) => end(agent, *next, failure),
        }
    }
}

/// Ends an operation that has not begun; `false` when it does not wait.
pub fn give_up(agent: &Agent, id: &str) -> bool {
    match agent.queue.leave(id) {
        Some(waiting) => {
            end(agent, waiting, Failure::new("given up while it waited; nothing was changed", Ending::Refused));
            true
        }
        None => false,
    }
}

fn end(agent: &Agent, mut waiting: Waiting, failure: Failure) {
    let ended = Ended::Failed { failure };
    work::write_end(agent, &waiting.scope, &mut waiting.operation, &ended);
    telling::ended(agent, &waiting.scope, &waiting.operation, &ended);
    waiting.live.end(ended);
}

fn supersedes(newer: &Operation, older: &Operation) -> bool {
    match (&newer.work, &older.work) {
        (Some(Work::Up(newer)), Some(Work::Up(older))) => covers(newer, older),
        _ => false,
    }
}

/// Whether the newer deploy leaves nothing undone that the older one would have done.
fn covers(newer: &deploy::up::Request, older: &deploy::up::Request) -> bool {
    let (new, old) = (&newer.selection, &older.selection);
    let services = new.services.is_empty()
        || (!old.services.is_empty() && old.services.iter().all(|service| new.services.contains(service)));
    let images = older.images.keys().all(|service| newer.images.contains_key(service));
    let flags = new.force >= old.force
        && new.update_kept >= old.update_kept
        && newer.build >= older.build
        && newer.all_or_nothing >= older.all_or_nothing;
    services && images && flags
}

#[cfg(test)]
mod tests {
    use super::*;
    use deploy::up::Request;
    use spec::ServiceName;

    fn request(services: &[&str], images: &[&str]) -> Request {
        let name = |name: &&str| ServiceName::parse(name).unwrap();
        let mut request = Request { by: "test".into(), ..Request::default() };
        request.selection.services = services.iter().map(name).collect();
        request.images = images.iter().map(|service| (name(service), "shop/x:1".into())).collect();
        request
    }

    #[test]
    fn a_deploy_takes_the_place_of_one_that_wants_no_more_than_itself() {
        let all = || request(&[], &[]);
        assert!(covers(&all(), &all()));
        assert!(covers(&all(), &request(&["web"], &[])));
        assert!(covers(&request(&["web", "api"], &["web"]), &request(&["web"], &["web"])));
    }

    #[test]
    fn a_deploy_that_would_leave_something_undone_takes_nobodys_place() {
        assert!(!covers(&request(&["web"], &[]), &request(&["api"], &[])));
        assert!(!covers(&request(&["web"], &[]), &request(&[], &[])));
        assert!(!covers(&request(&[], &[]), &request(&["web"], &["web"])), "nobody else names this image");
        let forced = {
            let mut forced = request(&["web"], &[]);
            forced.selection.force = true;
            forced
        };
        assert!(!covers(&request(&["web"], &[]), &forced));
    }
}
