//! Quantities with their units: bytes, durations, percentages, money, rates.
//! A number without a unit is how "30" becomes 30 ms in one place and 30 s in another, so none is accepted.

mod bytes;
pub mod duration;
mod money;
mod percent;
mod rate;

pub use bytes::Bytes;
pub use duration::{compact_duration, human_duration, parse_duration};
pub use money::{Currency, Money};
pub use percent::Percent;
pub use rate::Rate;

/// Splits `12.5 MB` into its number and its unit; the unit may be empty.
fn split_number(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    number.is_finite().then_some((number, unit.trim()))
}
