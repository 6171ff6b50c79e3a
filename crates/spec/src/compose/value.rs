//! Small look-ups in the JSON that Compose prints, which writes the same thing as a number here and as a text there.

use std::time::Duration;

use serde_json::Value;

use crate::units::{Bytes, parse_duration};

/// A text, or a number as its text.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// A number, or a text that is one.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|number: &f64| number.is_finite())
}

/// A whole number that is not negative, or a text that is one.
pub(super) fn whole(value: &Value) -> Option<u64> {
    number(value).filter(|number| *number >= 0.0 && number.fract() == 0.0).map(|number| number as u64)
}

/// A duration as a text, or in nanoseconds.
pub(super) fn duration(value: &Value) -> Option<Duration> {
    match value {
        Value::String(text) => parse_duration(text).ok(),
        Value::Number(nanoseconds) => nanoseconds.as_u64().map(Duration::from_nanos),
        _ => None,
    }
}

/// An amount of memory; zero means "no limit" in Compose.
pub(super) fn bytes(value: &Value) -> Option<Bytes> {
    Bytes::parse(&text(value)?).ok().filter(|bytes| bytes.0 > 0)
}

/// The texts of a list; a single text is a list of one.
pub(crate) fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(items)) => items.iter().filter_map(text).collect(),
        Some(Value::Object(fields)) => fields.keys().cloned().collect(),
        Some(single) => text(single).into_iter().collect(),
        None => Vec::new(),
    }
}

/// The value as a person would recognise it, cut short.
pub(super) fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 { text } else { text.chars().take(57).chain("...".chars()).collect() }
}
