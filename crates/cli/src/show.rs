//! How things look on a terminal.

pub mod ask;
pub mod follow;
pub mod report;
pub mod tables;

/// Data for programs: always complete, always on one shape.
pub fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
