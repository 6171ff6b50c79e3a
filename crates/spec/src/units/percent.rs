//! Shares of a hundred, such as the promised uptime.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::split_number;
use crate::error::InvalidUnit;

/// A percentage between 0 and 100.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Percent(f64);

impl Percent {
    /// A whole number of hundredths; more than a hundred of them are a hundred.
    pub const fn of(hundredths: u8) -> Self {
        Percent(if hundredths > 100 { 100.0 } else { hundredths as f64 })
    }

    /// Reads `95%` or `99.9 %`.
    pub fn parse(text: &str) -> Result<Self, InvalidUnit> {
        let invalid = |nearest| InvalidUnit {
            kind: "a percentage",
            found: text.to_owned(),
            allowed: "a number from 0 to 100 with `%`, such as `99.9%`",
            nearest,
        };
        match split_number(text) {
            Some((number, "%")) if (0.0..=100.0).contains(&number) => Ok(Percent(number)),
            Some((number, "")) if (1.0..=100.0).contains(&number) => Err(invalid(Some(format!("{number}%")))),
            _ => Err(invalid(None)),
        }
    }

    /// The number in front of the sign: 95 % is 95.0.
    pub fn value(self) -> f64 {
        self.0
    }

    /// The share of one: 95 % is 0.95.
    pub fn ratio(self) -> f64 {
        self.0 / 100.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}%", self.0))
    }
}

impl FromStr for Percent {
    type Err = InvalidUnit;
    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        Percent::parse(text)
    }
}

impl TryFrom<String> for Percent {
    type Error = InvalidUnit;
    fn try_from(text: String) -> Result<Self, InvalidUnit> {
        Percent::parse(&text)
    }
}

impl From<Percent> for String {
    fn from(percent: Percent) -> String {
        percent.to_string()
    }
}

impl JsonSchema for Percent {
    fn schema_name() -> Cow<'static, str> {
        "Percent".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "percent", "pattern": "^[0-9.]+ ?%$" })
    }
}
