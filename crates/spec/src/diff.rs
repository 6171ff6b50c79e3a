//! What differs between two values, for plans that a person reads before saying yes.

mod words;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use words::service_changes;

/// One difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The keys that lead there, such as `health.check.path` or `routes[1]`.
    pub path: String,
    /// Whether something came, went or became something else.
    pub kind: ChangeKind,
    /// What it was.
    pub old: Option<Value>,
    /// What it is to be.
    pub new: Option<Value>,
}

/// How something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// It was not there before.
    Added,
    /// It is not wanted any more.
    Removed,
    /// It is to be something else.
    Changed,
}

impl ChangeKind {
    /// The sign in front of a plan line.
    pub fn sign(self) -> char {
        match self {
            ChangeKind::Added => '+',
            ChangeKind::Removed => '-',
            ChangeKind::Changed => '~',
        }
    }
}

/// Everything in which two values differ, in the order of the paths.
/// Mappings are compared key by key and lists item by item; equal numbers of different spelling do not differ.
pub fn values(old: &Value, new: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare("", Some(old), Some(new), &mut changes);
    changes
}

fn compare(path: &str, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<Change>) {
    let mut note = |kind| changes.push(Change { path: path.to_owned(), kind, old: old.cloned(), new: new.cloned() });
    match (old, new) {
        (None, None) => {}
        (None, Some(_)) => note(ChangeKind::Added),
        (Some(_), None) => note(ChangeKind::Removed),
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                compare(&join(path, key), before.get(key), after.get(key), changes);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            for index in 0..before.len().max(after.len()) {
                compare(&format!("{path}[{index}]"), before.get(index), after.get(index), changes);
            }
        }
        (Some(before), Some(after)) if same(before, after) => {}
        (Some(_), Some(_)) => note(ChangeKind::Changed),
    }
}

fn same(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Number(old), Value::Number(new)) => old == new || old.as_f64() == new.as_f64(),
        _ => old == new,
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
