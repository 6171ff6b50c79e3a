//! How many things one client has open: a count per key that is gone when it is zero.
//!
//! Bounded by what is open, which other limits bound, so nothing is ever evicted here and no count is ever wrong.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

const SHARDS: usize = 16;

/// Counts by key, in shards so that two cores rarely meet.
pub(crate) struct Places {
    shards: [Mutex<HashMap<u64, u32>>; SHARDS],
}

/// One counted thing; given back when dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    key: u64,
}

impl Places {
    pub(crate) fn new() -> Places {
        Places { shards: std::array::from_fn(|_| Mutex::new(HashMap::new())) }
    }

    /// Takes a place, unless the key has `most` already.
    pub(crate) fn take(self: &Arc<Self>, key: u64, most: u32) -> Option<Place> {
        let mut shard = self.shard(key).lock();
        let count = shard.entry(key).or_insert(0);
        if *count >= most {
            if *count == 0 {
                shard.remove(&key);
            }
            return None;
        }
        *count += 1;
        Some(Place { places: self.clone(), key })
    }

    fn shard(&self, key: u64) -> &Mutex<HashMap<u64, u32>> {
        // The upper bits: the map inside uses the lower ones.
        &self.shards[(key >> 60) as usize % SHARDS]
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut shard = self.places.shard(self.key).lock();
        if let Some(count) = shard.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                shard.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_by_key_and_forgotten_when_given_back() {
        let places = Arc::new(Places::new());
        let (one, two) = (places.take(7, 2).unwrap(), places.take(7, 2).unwrap());
        assert!(places.take(7, 2).is_none());
        assert!(places.take(8, 2).is_some());
        drop(one);
        let again = places.take(7, 2);
        assert!(again.is_some());
        drop((two, again));
        assert!(places.take(9, 0).is_none());
        assert!(places.shards.iter().all(|shard| shard.lock().is_empty()));
    }
}
