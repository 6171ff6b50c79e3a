//! Taking known values out of text that others wrote.

use std::borrow::Cow;
use std::fmt;

use crate::secret::Secret;

/// Values shorter than this many bytes are left alone. A value such as `1`, `true` or `dev` is in every second line:
/// taking it out would make logs unreadable, and the pattern of the gaps would show where it stood and so what it is.
/// A secret this short protects nothing anyway; checks of the platform say so instead.
pub const SHORTEST: usize = 6;

/// Replaces every known value by `[NAME redacted]`.
///
/// It works on what it is given: a value that was encoded (base64, URL) or cut in two by line breaks is not recognised,
/// except that each line of a value with several lines, such as a private key, is known by itself.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Value and its replacement, longest value first, so that a value inside a longer one does not leave the rest standing.
    known: Vec<(Secret, String)>,
}

impl Redactor {
    pub fn new<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a Secret)>) -> Self {
        let mut redactor = Self::default();
        for (name, secret) in secrets {
            redactor.know(name, secret);
        }
        redactor
    }

    /// Adds a value, for secrets that come from elsewhere.
    pub fn know(&mut self, name: &str, secret: &Secret) {
        let whole = secret.expose();
        let lines = whole.lines().map(str::trim).filter(|line| *line != whole);
        for value in std::iter::once(whole).chain(lines).filter(|value| value.len() >= SHORTEST) {
            let secret = Secret::new(value);
            if !self.known.iter().any(|(known, _)| *known == secret) {
                self.known.push((secret, format!("[{name} redacted]")));
            }
        }
        self.known.sort_by_key(|(secret, _)| std::cmp::Reverse(secret.expose().len()));
    }

    /// The text without the known values. Text without any is not copied.
    ///
    /// The text is walked once, from the left: what was put in is not searched again.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let Some(first) = self.first_in(text) else {
            return Cow::Borrowed(text);
        };
        let mut clean = String::with_capacity(text.len());
        let (mut rest, mut found) = (text, Some(first));
        while let Some((start, length, replacement)) = found {
            let (before, after) = rest.split_at(start);
            clean.push_str(before);
            clean.push_str(replacement);
            rest = after.get(length..).unwrap_or_default();
            found = self.first_in(rest);
        }
        clean.push_str(rest);
        Cow::Owned(clean)
    }

    /// The leftmost known value, the longest of those that start there.
    fn first_in(&self, text: &str) -> Option<(usize, usize, &str)> {
        let places = self.known.iter().filter_map(|(secret, replacement)| {
            text.find(secret.expose()).map(|start| (start, secret.expose().len(), replacement.as_str()))
        });
        places.min_by_key(|(start, length, _)| (*start, std::cmp::Reverse(*length)))
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Redactor({} values)", self.known.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(pairs: &[(&str, &str)]) -> Redactor {
        let secrets: Vec<(&str, Secret)> = pairs.iter().map(|(name, value)| (*name, Secret::new(*value))).collect();
        Redactor::new(secrets.iter().map(|(name, secret)| (*name, secret)))
    }

    #[test]
    fn every_occurrence_of_every_value_is_replaced_by_its_name() {
        let redactor = redactor(&[("DB", "s3cret-db"), ("KEY", "k-123456")]);
        assert_eq!(redactor.redact("s3cret-db k-123456 s3cret-db!"), "[DB redacted] [KEY redacted] [DB redacted]!");
    }

    #[test]
    fn a_value_inside_a_longer_one_leaves_nothing_of_the_longer_one() {
        let redactor = redactor(&[("SHORT", "secret"), ("LONG", "secret-and-more")]);
        assert_eq!(redactor.redact("x secret-and-more secret"), "x [LONG redacted] [SHORT redacted]");
    }

    #[test]
    fn values_that_overlap_in_the_text_leave_no_whole_value() {
        let redactor = redactor(&[("A", "abcdef"), ("B", "defghi")]);
        assert_eq!(redactor.redact("abcdefghi"), "[A redacted]ghi");
    }

    #[test]
    fn what_is_put_in_is_not_searched_again() {
        assert_eq!(redactor(&[("A", "redacted"), ("B", "longer-value")]).redact("longer-value"), "[B redacted]");
    }

    #[test]
    fn short_and_empty_values_are_left_alone() {
        let redactor = redactor(&[("EMPTY", ""), ("DEBUG", "true"), ("PORT", "5432"), ("FIVE", "12345")]);
        assert!(matches!(redactor.redact("true 5432 12345"), Cow::Borrowed("true 5432 12345")));
    }

    #[test]
    fn each_line_of_a_private_key_is_known() {
        let redactor = redactor(&[("PEM", "-----BEGIN KEY-----\nMIIEvQIBADAN\n-----END KEY-----")]);
        assert_eq!(redactor.redact("log: MIIEvQIBADAN"), "log: [PEM redacted]");
    }

    #[test]
    fn text_that_is_not_ascii_is_cut_at_the_right_places() {
        assert_eq!(redactor(&[("W", "pässwörd")]).redact("é pässwörd ß"), "é [W redacted] ß");
    }

    #[test]
    fn a_redactor_prints_no_value() {
        assert_eq!(format!("{:?}", redactor(&[("A", "s3cret-db")])), "Redactor(1 values)");
    }
}
