//! Where each key of a platform file was written, so that a problem found much later still points at its line.

use std::collections::BTreeMap;

/// The places of the keys by their dotted path.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// The file as its reader named it.
    pub file: String,
    places: BTreeMap<String, (usize, usize)>,
}

impl Source {
    pub(crate) fn new(file: &str) -> Self {
        Source { file: file.to_owned(), places: BTreeMap::new() }
    }

    pub(crate) fn note(&mut self, path: &str, line: usize, column: usize) {
        self.places.insert(path.to_owned(), (line, column));
    }

    /// Line and column of the value at this path, or of the nearest enclosing key that was written; zeros if none was.
    pub fn place(&self, path: &str) -> (usize, usize) {
        let mut path = path;
        loop {
            if let Some(place) = self.places.get(path) {
                return *place;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return (0, 0),
            }
        }
    }

    /// Whether this very path was written.
    pub fn wrote(&self, path: &str) -> bool {
        self.places.contains_key(path)
    }
}

impl PartialEq for Source {
    /// Two files that say the same are equal, wherever they say it.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
