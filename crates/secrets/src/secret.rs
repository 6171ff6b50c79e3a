//! A value that does not leak by accident.

use std::fmt;

/// A secret value. Printed it is `[redacted]`, it cannot be serialised, and its length is not shown.
///
/// `Eq` compares in a time that does not depend on where two values differ.
#[derive(Clone)]
pub struct Secret(String);

const REDACTED: &str = "[redacted]";

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself. Every place that calls this is a place to audit.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(REDACTED)
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        let (one, two) = (self.0.as_bytes(), other.0.as_bytes());
        one.len() == two.len() && one.iter().zip(two).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
    }
}

impl Eq for Secret {}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_nothing_of_itself_however_it_is_printed() {
        let secret = Secret::new("hunter2hunter2");
        assert_eq!(
            format!("{secret} {secret:?} {secret:#?} {secret:>30}"),
            "[redacted] [redacted] [redacted] [redacted]"
        );
        assert_eq!(format!("{:?}", Some((&secret, "x"))), r#"Some(([redacted], "x"))"#);
        assert_eq!(secret.expose(), "hunter2hunter2");
    }

    #[test]
    fn secrets_are_equal_when_their_values_are() {
        assert_eq!(Secret::new("a"), Secret::from("a".to_owned()));
        assert_ne!(Secret::new("a"), Secret::new("b"));
        assert_ne!(Secret::new("a"), Secret::new("aa"));
    }
}
