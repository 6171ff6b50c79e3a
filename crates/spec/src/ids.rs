//! Names of things, checked once at the door.
//! Holding one of these types is the proof that the word is safe in a label, a path segment or a container name.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::error::InvalidId;

/// Longest id that is accepted: a container name is made of three of them and Docker allows 255 characters.
const LONGEST: usize = 63;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:ident, $allowed:literal, $pattern:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks the word and keeps it as it is.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                if text.len() <= LONGEST && $rule(text) {
                    return Ok(Self(text.to_owned()));
                }
                Err(InvalidId { kind: $kind, found: text.to_owned(), allowed: $allowed })
            }

            /// The word itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

text_id!(
    /// The name of a whole platform, such as `ytempire`; also the Compose project name.
    PlatformName, "a platform name", is_plain_name,
    "small letters, digits, `-` and `_`, first a letter or digit, at most 63 characters",
    "^[a-z0-9][a-z0-9_-]*$"
);
text_id!(
    /// The name of an environment, such as `production`.
    EnvironmentName, "an environment name", is_plain_name,
    "small letters, digits, `-` and `_`, first a letter or digit, at most 63 characters",
    "^[a-z0-9][a-z0-9_-]*$"
);
text_id!(
    /// The name of a service as the compose file writes it.
    ServiceName, "a service name", is_service_name,
    "letters, digits, `.`, `-` and `_`, first a letter or digit, at most 63 characters",
    "^[a-zA-Z0-9][a-zA-Z0-9._-]*$"
);
text_id!(
    /// One release of a platform in an environment: `r1`, `r2`, and so on.
    ReleaseId, "a release id", is_release_id,
    "`r` and a number without leading zeros, such as `r12`",
    "^r(0|[1-9][0-9]*)$"
);
text_id!(
    /// One run of one long operation.
    SagaId, "a saga id", is_saga_id,
    "letters, digits, `.`, `-`, `_` and `:`, at most 63 characters",
    "^[a-zA-Z0-9._:-]+$"
);

impl ReleaseId {
    /// The release with this number.
    pub fn new(number: u64) -> Self {
        Self(format!("r{number}"))
    }

    /// The number behind the `r`.
    pub fn number(&self) -> u64 {
        // The door checked that the digits fit; zero would only come from a bug there.
        self.0.get(1..).and_then(|digits| digits.parse().ok()).unwrap_or_default()
    }
}

fn is_plain_name(text: &str) -> bool {
    starts_with_alphanumeric(text) && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}

fn is_service_name(text: &str) -> bool {
    starts_with_alphanumeric(text) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

fn is_release_id(text: &str) -> bool {
    let Some(digits) = text.strip_prefix('r') else { return false };
    let canonical = digits == "0" || !digits.starts_with('0');
    canonical && digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u64>().is_ok()
}

fn is_saga_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':'))
}

fn starts_with_alphanumeric(text: &str) -> bool {
    text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
}
