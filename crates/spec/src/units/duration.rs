//! Durations as people write them: `250ms`, `30s`, `5m`, `1h30m`, `7d`.
//! Used as `#[serde(with = "spec::units::duration")]`, or `units::duration::optional` for an `Option`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

use super::split_number;
use crate::error::InvalidUnit;

const ALLOWED: &str = "a number with `ms`, `s`, `m`, `h` or `d`, such as `250ms`, `30s`, `5m` or `1h30m`";

/// Longest duration that is accepted; more is a typing error. Browsers are told to remember HTTPS for two years.
const LONGEST: Duration = Duration::from_secs(3_660 * 86_400);

/// Reads `250ms`, `30s`, `5m`, `1h30m`, `1.5h`, `7d`.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidUnit> {
    let invalid =
        |nearest: Option<String>| InvalidUnit { kind: "a duration", found: text.to_owned(), allowed: ALLOWED, nearest };
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(invalid(None));
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let unit_end = unit_end(rest);
        let Some((part, tail)) = rest.split_at_checked(unit_end) else { return Err(invalid(None)) };
        let Some((number, unit)) = split_number(part) else { return Err(invalid(None)) };
        let Some(scale) = scale(unit) else {
            let meant = unit.is_empty().then(|| format!("{}s", text.trim()));
            return Err(invalid(meant));
        };
        seconds += number * scale;
        rest = tail.trim_start();
    }
    if seconds > LONGEST.as_secs_f64() {
        return Err(invalid(None));
    }
    // Nanoseconds are noise of the arithmetic: durations are judged and shown in whole microseconds.
    Ok(Duration::from_micros((seconds * 1e6).round() as u64))
}

/// Where the first number with its unit ends.
fn unit_end(text: &str) -> usize {
    let unit = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ' ').unwrap_or(text.len());
    text[unit..].find(|c: char| c.is_ascii_digit() || c == ' ').map_or(text.len(), |after| unit + after)
}

fn scale(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" | "sec" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    })
}

/// The shortest text that reads back as the same duration: `1h30m`, `250ms`, `0s`.
pub fn compact_duration(duration: Duration) -> String {
    parts(duration).iter().map(|(number, unit)| format!("{number}{unit}")).collect()
}

/// The duration for a person to read: `1 h 30 min`, `250 ms`; at most two parts, the rest is dropped.
pub fn human_duration(duration: Duration) -> String {
    let named = parts(duration);
    let shown: Vec<String> = named
        .iter()
        .filter(|(_, unit)| *unit != "us" || named.len() == 1)
        .take(2)
        .map(|(number, unit)| format!("{number} {}", if *unit == "m" { "min" } else { unit }))
        .collect();
    shown.join(" ")
}

fn parts(duration: Duration) -> Vec<(u64, &'static str)> {
    let seconds = duration.as_secs();
    let parts = [
        (seconds / 86_400, "d"),
        (seconds % 86_400 / 3600, "h"),
        (seconds % 3600 / 60, "m"),
        (seconds % 60, "s"),
        (u64::from(duration.subsec_millis()), "ms"),
        (u64::from(duration.subsec_micros() % 1000), "us"),
    ];
    let filled: Vec<_> = parts.into_iter().filter(|(number, _)| *number > 0).collect();
    if filled.is_empty() { vec![(0, "s")] } else { filled }
}

/// Writes the compact text.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&compact_duration(*duration))
}

/// Reads the compact text.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).map_err(serde::de::Error::custom)
}

/// The same for an `Option<Duration>`.
pub mod optional {
    use super::{Deserialize, Deserializer, Duration, Serializer, compact_duration, parse_duration};

    /// Writes the compact text, or nothing.
    pub fn serialize<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(duration) => serializer.serialize_some(&compact_duration(*duration)),
            None => serializer.serialize_none(),
        }
    }

    /// Reads the compact text, or nothing.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| parse_duration(&text).map_err(serde::de::Error::custom)).transpose()
    }
}

/// The JSON schema of a duration text.
pub(crate) fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "string",
        "format": "duration",
        "pattern": r"^\s*([0-9.]+\s*(ns|us|µs|ms|s|sec|m|min|h|d)\s*)+$",
    })
}
