//! Prefixes of one host, found by hashing the request's own prefixes from the longest to the shortest.
//!
//! The number of look-ups is bounded by the deepest prefix in the table, not by the number of prefixes; most hosts
//! have `/` alone and need none.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::Way;

#[derive(Default)]
pub(super) struct Paths {
    /// Prefixes without a trailing slash.
    by_prefix: HashMap<Box<str>, Way>,
    root: Option<Way>,
    /// Segments of the deepest prefix.
    deepest: usize,
}

impl Paths {
    /// Adds a prefix as [`super::way::prefix`] gives it; of two equal ones, the first is asked first.
    pub(super) fn insert(&mut self, prefix: &str, way: Way) {
        if prefix.is_empty() {
            match &mut self.root {
                Some(first) => first.then(way),
                None => self.root = Some(way),
            }
            return;
        }
        self.deepest = self.deepest.max(prefix.bytes().filter(|b| *b == b'/').count());
        match self.by_prefix.entry(prefix.into()) {
            Entry::Occupied(mut first) => first.get_mut().then(way),
            Entry::Vacant(place) => drop(place.insert(way)),
        }
    }

    pub(super) fn find(&self, path: &str) -> Option<&Way> {
        if self.by_prefix.is_empty() {
            return self.root.as_ref();
        }
        let mut end = self.deepest_end(path);
        while end > 0 {
            if let Some(way) = self.by_prefix.get(&path[..end]) {
                return Some(way);
            }
            end = path[..end].rfind('/').unwrap_or(0);
        }
        self.root.as_ref()
    }

    /// The end of as many segments of the path as the deepest prefix has.
    fn deepest_end(&self, path: &str) -> usize {
        let mut boundaries = path.bytes().enumerate().filter(|(at, byte)| *byte == b'/' && *at > 0).map(|(at, _)| at);
        boundaries.nth(self.deepest.saturating_sub(1)).unwrap_or(path.len())
    }
}
