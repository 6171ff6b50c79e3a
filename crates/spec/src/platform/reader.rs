//! The typed reader: it walks the tree, notes every problem with its place, and goes on.
//! A mapping is read key by key; the keys that were asked for are the known words, so the two can never differ.

use std::str::FromStr;

use serde_json::Value;

use super::Source;
use crate::error::{InvalidId, InvalidUnit};
use crate::problem::{Problem, Problems, nearest};
use crate::yaml::{Entry, Node, Shape, shorten};

/// What is noted on the way.
pub(super) struct Reader {
    pub(super) problems: Problems,
    pub(super) source: Source,
}

/// One value of the tree and the keys that lead to it.
#[derive(Clone)]
pub(super) struct At<'n> {
    pub(super) node: &'n Node,
    pub(super) path: String,
}

/// A mapping that is being read.
pub(super) struct Fields<'n> {
    entries: &'n [Entry],
    path: String,
    what: &'static str,
    place: (usize, usize),
    asked: Vec<&'static str>,
}

impl Reader {
    pub(super) fn new(file: &str) -> Self {
        Reader { problems: Problems::default(), source: Source::new(file) }
    }

    /// Notes a problem with the value at this place.
    pub(super) fn refuse(&mut self, at: &At<'_>, message: impl Into<String>, allowed: impl Into<String>) {
        self.refuse_meant(at, message, allowed, None);
    }

    /// The same with the word that was probably meant.
    pub(super) fn refuse_meant(
        &mut self,
        at: &At<'_>,
        message: impl Into<String>,
        allowed: impl Into<String>,
        meant: Option<String>,
    ) {
        self.problems.0.push(Problem {
            file: self.source.file.clone(),
            line: at.node.line,
            column: at.node.column,
            path: at.path.clone(),
            found: at.node.shown(),
            allowed: allowed.into(),
            nearest: meant,
            message: message.into(),
        });
    }

    /// Notes a problem with a key of this mapping, at the key's place if it is written.
    pub(super) fn refuse_at(&mut self, at: &At<'_>, key: &str, message: &str, allowed: &str) {
        let path = if key.is_empty() { at.path.clone() } else { join(&at.path, key) };
        let value = match &at.node.shape {
            Shape::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node),
            _ => None,
        };
        self.refuse(&At { node: value.unwrap_or(at.node), path }, message, allowed);
    }

    fn refuse_key(&mut self, entry: &Entry, path: String, problem: Problem) {
        self.problems.0.push(Problem {
            file: self.source.file.clone(),
            line: entry.line,
            column: entry.column,
            path,
            found: shorten(&entry.key),
            ..problem
        });
    }
}

impl<'n> At<'n> {
    pub(super) fn root(node: &'n Node) -> Self {
        At { node, path: String::new() }
    }

    fn item(&self, node: &'n Node, index: usize) -> At<'n> {
        At { node, path: format!("{}[{index}]", self.path) }
    }
}

impl<'n> Fields<'n> {
    /// Opens a mapping; nothing at all counts as an empty one, so that `api:` alone means "with the defaults".
    pub(super) fn open(at: &At<'n>, what: &'static str, reader: &mut Reader) -> Option<Fields<'n>> {
        let entries: &[Entry] = match &at.node.shape {
            Shape::Map(entries) => entries,
            Shape::Null => &[],
            Shape::Text { .. } | Shape::List(_) => {
                reader.refuse(at, format!("{what} is a mapping"), "keys with values, such as `key: value`");
                return None;
            }
        };
        let place = (at.node.line, at.node.column);
        Some(Fields { entries, path: at.path.clone(), what, place, asked: Vec::new() })
    }

    /// Reads the value of a key, if the key is there.
    pub(super) fn get<T>(
        &mut self,
        reader: &mut Reader,
        key: &'static str,
        read: impl FnOnce(&At<'n>, &mut Reader) -> Option<T>,
    ) -> Option<T> {
        self.asked.push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        let at = At { node: &entry.node, path: join(&self.path, key) };
        reader.source.note(&at.path, entry.line, entry.column);
        read(&at, reader)
    }

    /// The same for a key that must be there.
    pub(super) fn require<T>(
        &mut self,
        reader: &mut Reader,
        key: &'static str,
        example: &str,
        read: impl FnOnce(&At<'n>, &mut Reader) -> Option<T>,
    ) -> Option<T> {
        if !self.has(key) {
            reader.problems.0.push(Problem {
                file: reader.source.file.clone(),
                line: self.place.0,
                column: self.place.1,
                path: join(&self.path, key),
                found: "nothing".to_owned(),
                allowed: example.to_owned(),
                message: format!("{} needs `{key}`", self.what),
                ..Problem::default()
            });
        }
        self.get(reader, key, read)
    }

    /// Whether the key is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// The entries whose key begins so; they count as known.
    pub(super) fn beginning(&self, prefix: &str) -> Vec<(&'n str, At<'n>)> {
        let begins = |entry: &&Entry| entry.key.starts_with(prefix);
        let at = |entry: &'n Entry| (entry.key.as_str(), At { node: &entry.node, path: join(&self.path, &entry.key) });
        self.entries.iter().filter(begins).map(at).collect()
    }

    /// Refuses every key that was not asked for and does not begin with one of these.
    pub(super) fn close(self, reader: &mut Reader, open_ended: &[&str]) {
        for entry in self.entries {
            let known = self.asked.iter().any(|key| *key == entry.key);
            if known || open_ended.iter().any(|prefix| entry.key.starts_with(prefix)) {
                continue;
            }
            let named = self.asked.iter().map(|key| (*key).to_owned());
            let open = open_ended.iter().map(|prefix| format!("{prefix}..."));
            let problem = Problem {
                allowed: named.chain(open).collect::<Vec<_>>().join(", "),
                nearest: nearest(&entry.key, self.asked.iter().copied()),
                message: format!("`{}` is not a key of {}", shorten(&entry.key), self.what),
                ..Problem::default()
            };
            reader.refuse_key(entry, join(&self.path, &entry.key), problem);
        }
    }
}

/// A mapping whose keys are names; every name and every value is read.
pub(super) fn named<'n, K, V>(
    at: &At<'n>,
    reader: &mut Reader,
    what: &'static str,
    mut read: impl FnMut(&At<'n>, &mut Reader) -> Option<V>,
) -> Option<std::collections::BTreeMap<K, V>>
where
    K: Ord + FromStr<Err = InvalidId>,
{
    let fields = Fields::open(at, what, reader)?;
    let mut all = std::collections::BTreeMap::new();
    for entry in fields.entries {
        let path = join(&at.path, &entry.key);
        reader.source.note(&path, entry.line, entry.column);
        let value = read(&At { node: &entry.node, path: path.clone() }, reader);
        match entry.key.parse::<K>() {
            Ok(key) => all.extend(value.map(|value| (key, value))),
            Err(invalid) => {
                let problem = Problem {
                    allowed: invalid.allowed.to_owned(),
                    message: format!("this cannot be {}", invalid.kind),
                    ..Problem::default()
                };
                reader.refuse_key(entry, path, problem);
            }
        }
    }
    Some(all)
}

/// A mapping whose keys are the file's own words, such as the names of headers.
pub(super) fn texts<'n>(at: &At<'n>, reader: &mut Reader, what: &'static str) -> Option<Vec<(&'n str, At<'n>)>> {
    let fields = Fields::open(at, what, reader)?;
    let mut all = Vec::new();
    for entry in fields.entries {
        let path = join(&at.path, &entry.key);
        reader.source.note(&path, entry.line, entry.column);
        all.push((entry.key.as_str(), At { node: &entry.node, path }));
    }
    Some(all)
}

/// A list; a single value is a list of one.
pub(super) fn list<'n, T>(
    at: &At<'n>,
    reader: &mut Reader,
    mut read: impl FnMut(&At<'n>, &mut Reader) -> Option<T>,
) -> Option<Vec<T>> {
    match &at.node.shape {
        Shape::List(items) => {
            let read_one = |(index, node)| read(&at.item(node, index), reader);
            // Items that could not be read have left their problem; the others are still worth reading.
            Some(items.iter().enumerate().filter_map(read_one).collect())
        }
        _ => read(at, reader).map(|single| vec![single]),
    }
}

/// The text of a value; numbers and truth values are texts too when a text is wanted.
pub(super) fn text<'n>(at: &At<'n>, reader: &mut Reader, what: &str) -> Option<&'n str> {
    match &at.node.shape {
        Shape::Text { text, .. } if !text.trim().is_empty() => Some(text),
        Shape::Text { .. } => {
            reader.refuse(at, format!("{what} is empty"), "a text");
            None
        }
        Shape::Null => {
            reader.refuse(at, format!("{what} is missing its value"), "a text");
            None
        }
        Shape::List(_) | Shape::Map(_) => {
            reader.refuse(at, format!("{what} is a single value"), "a text");
            None
        }
    }
}

/// A quantity with its unit.
pub(super) fn unit<T>(
    at: &At<'_>,
    reader: &mut Reader,
    what: &str,
    parse: impl Fn(&str) -> Result<T, InvalidUnit>,
) -> Option<T> {
    let text = text(at, reader, what)?;
    parse(text)
        .map_err(|invalid| {
            reader.refuse_meant(at, format!("this is not {}", invalid.kind), invalid.allowed, invalid.nearest);
        })
        .ok()
}

/// A name.
pub(super) fn id<T: FromStr<Err = InvalidId>>(at: &At<'_>, reader: &mut Reader, what: &str) -> Option<T> {
    let text = text(at, reader, what)?;
    text.parse::<T>()
        .map_err(|invalid| reader.refuse(at, format!("this cannot be {}", invalid.kind), invalid.allowed))
        .ok()
}

/// One of a few words.
pub(super) fn word<T: Copy>(at: &At<'_>, reader: &mut Reader, what: &str, words: &[(&'static str, T)]) -> Option<T> {
    let text = text(at, reader, what)?;
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    if found.is_none() {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let meant = nearest(text, known.iter().copied());
        reader.refuse_meant(at, format!("this is not a known {what}"), known.join(", "), meant);
    }
    found
}

/// `true` or `false`.
pub(super) fn flag(at: &At<'_>, reader: &mut Reader, what: &str) -> Option<bool> {
    let text = text(at, reader, what)?;
    let meant = match text.to_ascii_lowercase().as_str() {
        _ if text == "true" => return Some(true),
        _ if text == "false" => return Some(false),
        "true" | "yes" | "on" | "y" | "1" => Some("true".to_owned()),
        "false" | "no" | "off" | "n" | "0" => Some("false".to_owned()),
        _ => None,
    };
    reader.refuse_meant(at, format!("{what} is a yes-or-no value"), "true, false", meant);
    None
}

/// A whole number between two bounds, both included.
pub(super) fn whole(at: &At<'_>, reader: &mut Reader, what: &str, from: u32, to: u32) -> Option<u32> {
    let text = text(at, reader, what)?;
    let number = text.parse::<u32>().ok().filter(|number| (from..=to).contains(number));
    if number.is_none() {
        reader.refuse(at, format!("{what} is a whole number"), format!("a number from {from} to {to}"));
    }
    number
}

/// Anything, as it is; numbers and truth values in plain writing become such.
pub(super) fn anything(node: &Node) -> Value {
    match &node.shape {
        Shape::Null => Value::Null,
        Shape::Text { text, plain: true } => serde_json::from_str::<Value>(text)
            .ok()
            .filter(|value| value.is_number() || value.is_boolean())
            .unwrap_or_else(|| Value::String(text.clone())),
        Shape::Text { text, .. } => Value::String(text.clone()),
        Shape::List(items) => items.iter().map(anything).collect(),
        Shape::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), anything(&entry.node))).collect(),
    }
}

pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
