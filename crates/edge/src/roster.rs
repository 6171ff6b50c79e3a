//! The living things of one kind, so that one sweeper can look after all of them.
//!
//! A timer per connection would cost a queue operation per request; one walk a few times a second costs nothing
//! that can be measured.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

/// Weak references, tidied whenever somebody walks over them.
#[derive(Debug)]
pub(crate) struct Roster<T> {
    members: Mutex<Vec<Weak<T>>>,
}

impl<T> Roster<T> {
    pub(crate) fn new() -> Roster<T> {
        Roster { members: Mutex::new(Vec::new()) }
    }

    /// Adds one; it leaves by being dropped.
    pub(crate) fn add(&self, member: &Arc<T>) {
        self.members.lock().push(Arc::downgrade(member));
    }

    /// Visits all that live, and forgets the others.
    pub(crate) fn visit(&self, mut visitor: impl FnMut(&Arc<T>)) {
        let mut living = Vec::new();
        {
            let mut members = self.members.lock();
            members.retain(|weak| match weak.upgrade() {
                Some(member) => {
                    living.push(member);
                    true
                }
                None => false,
            });
            // A burst of connections must not pin its memory for ever.
            if members.capacity() > 1024 && members.len() < members.capacity() / 4 {
                members.shrink_to_fit();
            }
        }
        // Visited outside the lock: waking a task may drop members, and dropping must not wait for us.
        living.iter().for_each(&mut visitor);
    }
}
