//! Amounts of memory and disk, counted as Docker counts them: 1 KB is 1,024 bytes.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::split_number;
use crate::error::InvalidUnit;

const UNITS: [(u64, &str); 4] = [(1 << 40, "TB"), (1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")];

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub u64);

impl Bytes {
    /// This many times 1,048,576 bytes.
    pub const fn mib(count: u64) -> Self {
        Bytes(count << 20)
    }

    /// This many times 1,073,741,824 bytes.
    pub const fn gib(count: u64) -> Self {
        Bytes(count << 30)
    }

    /// Reads `512m`, `16G`, `64 MB`, `1.5GiB`, `1048576b`, or a plain number of bytes.
    pub fn parse(text: &str) -> Result<Self, InvalidUnit> {
        let invalid = || InvalidUnit {
            kind: "an amount of memory",
            found: text.to_owned(),
            allowed: "a number with `k`, `m`, `g` or `t`, such as `512m`, `1.5g` or `64 MB`",
            nearest: None,
        };
        if let Ok(whole) = text.trim().parse::<u64>() {
            return Ok(Bytes(whole));
        }
        let (number, unit) = split_number(text).ok_or_else(invalid)?;
        let bytes = number * scale(unit).ok_or_else(invalid)? as f64;
        if bytes > u64::MAX as f64 / 2.0 {
            return Err(invalid());
        }
        Ok(Bytes(bytes.round() as u64))
    }

    /// The shortest text that reads back as exactly this many bytes; Compose understands it too.
    pub fn compact(self) -> String {
        for (size, unit) in UNITS {
            if self.0 >= size && self.0.is_multiple_of(size) {
                return format!("{}{}", self.0 / size, unit[..1].to_lowercase());
            }
        }
        format!("{}b", self.0)
    }

    /// This amount times a factor, rounded down to whole megabytes when it has any.
    pub fn scaled(self, factor: f64) -> Self {
        let exact = (self.0 as f64 * factor) as u64;
        if exact < 1 << 20 { Bytes(exact) } else { Bytes(exact >> 20 << 20) }
    }
}

fn scale(unit: &str) -> Option<u64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return None,
    })
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = UNITS.iter().find(|(size, _)| self.0 >= *size).map_or_else(
            || format!("{} B", self.0),
            |(size, unit)| {
                let tenths = (self.0 as f64 / *size as f64 * 10.0).round() / 10.0;
                format!("{tenths} {unit}")
            },
        );
        f.pad(&text)
    }
}

impl FromStr for Bytes {
    type Err = InvalidUnit;
    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        Bytes::parse(text)
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.compact())
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(number) => Ok(Bytes(number)),
            Written::Text(text) => Bytes::parse(&text).map_err(serde::de::Error::custom),
        }
    }
}

impl JsonSchema for Bytes {
    fn schema_name() -> Cow<'static, str> {
        "Bytes".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "format": "bytes",
            "pattern": "^[0-9.]+ ?([bB]|[kKmMgGtT]([iI]?[bB])?)?$",
        })
    }
}
