//! Amounts of money, in millionths, because one video costs fractions of a cent in places.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::split_number;
use crate::error::InvalidUnit;

/// The currencies that a price may be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Currency {
    /// United States dollar.
    Usd,
    /// Euro.
    Eur,
    /// Pound sterling.
    Gbp,
}

/// An amount of money; amounts of different currencies are never compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Money {
    /// Millionths of the currency: $3 is 3,000,000.
    pub micros: u64,
    /// The currency.
    pub currency: Currency,
}

impl Money {
    /// Reads `$3`, `$0.0025`, `€10`, `3 USD`.
    pub fn parse(text: &str) -> Result<Self, InvalidUnit> {
        let invalid = |nearest| InvalidUnit {
            kind: "an amount of money",
            found: text.to_owned(),
            allowed: "a number with `$`, `€` or `£`, such as `$3` or `$0.25`",
            nearest,
        };
        let text = text.trim();
        let (currency, number) = match text.chars().next().and_then(symbol) {
            Some(currency) => (Some(currency), split_number(text.trim_start_matches(['$', '€', '£']))),
            None => (split_number(text).and_then(|(_, unit)| code(unit)), split_number(text).map(|(n, _)| (n, ""))),
        };
        match (currency, number) {
            (Some(currency), Some((number, ""))) if number < 1e12 => {
                Ok(Money { micros: (number * 1e6).round() as u64, currency })
            }
            (None, Some((number, ""))) if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') => {
                Err(invalid(Some(format!("${number}"))))
            }
            _ => Err(invalid(None)),
        }
    }

    /// The amount in whole units of the currency.
    pub fn value(self) -> f64 {
        self.micros as f64 / 1e6
    }
}

fn symbol(c: char) -> Option<Currency> {
    Some(match c {
        '$' => Currency::Usd,
        '€' => Currency::Eur,
        '£' => Currency::Gbp,
        _ => return None,
    })
}

fn code(unit: &str) -> Option<Currency> {
    Some(match unit {
        "USD" | "$" => Currency::Usd,
        "EUR" | "€" => Currency::Eur,
        "GBP" | "£" => Currency::Gbp,
        _ => return None,
    })
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.currency {
            Currency::Usd => '$',
            Currency::Eur => '€',
            Currency::Gbp => '£',
        };
        f.pad(&format!("{sign}{}", self.value()))
    }
}

impl FromStr for Money {
    type Err = InvalidUnit;
    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        Money::parse(text)
    }
}

impl TryFrom<String> for Money {
    type Error = InvalidUnit;
    fn try_from(text: String) -> Result<Self, InvalidUnit> {
        Money::parse(&text)
    }
}

impl From<Money> for String {
    fn from(money: Money) -> String {
        money.to_string()
    }
}

impl JsonSchema for Money {
    fn schema_name() -> Cow<'static, str> {
        "Money".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "money", "pattern": "^([$€£] ?[0-9.]+|[0-9.]+ ?(USD|EUR|GBP|[$€£]))$" })
    }
}
