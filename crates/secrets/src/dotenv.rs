//! The names and values of an environment file as they are written, for what must never be shown.
//!
//! What a value means is Docker Compose's word: it fills in `${OTHER}`, knows the shell, and is asked for it.
//! So this reader takes whatever Compose takes (odd names, `NAME: value`, names that are written twice, names without a
//! value), and only remembers what Compose will refuse, to tell it without quoting a line that may hold a password.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Fault, Faults};
use crate::secret::Secret;

/// What is written in a file.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// The last value of each name.
    pub(crate) values: BTreeMap<String, Secret>,
    /// Names without a value: the shell's is meant.
    pub(crate) inherited: BTreeSet<String>,
    pub(crate) faults: Faults,
}

/// Reads a whole file.
pub(crate) fn parse(text: &str) -> Written {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        lines: text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).enumerate(),
        written: Written::default(),
    };
    while let Some((index, line)) = reader.lines.next() {
        if let Some((name, value)) = reader.assignment(index + 1, line) {
            reader.written.values.insert(name, Secret::new(value));
        }
    }
    reader.written
}

struct Reader<L> {
    lines: L,
    written: Written,
}

impl<'t, L: Iterator<Item = (usize, &'t str)>> Reader<L> {
    fn assignment(&mut self, number: usize, line: &str) -> Option<(String, String)> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let line = line.strip_prefix("export ").map_or(line, str::trim_start);
        let Some((name, value)) = line.split_once(['=', ':']) else {
            if is_name(line) {
                self.written.inherited.insert(line.to_owned());
                return None;
            }
            return self.fault(number, "no `=`: a line is `NAME=value`, a name, a comment or empty");
        };
        let name = name.trim_end();
        if !is_name(name) {
            // What stands before the `=` may be a piece of a value from the line above: it is not quoted.
            return self.fault(number, "what stands before `=` is not a name: letters, digits and any of `_.-[]`");
        }
        let value = value.trim_start();
        let value = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(number, name, quote, value.get(1..).unwrap_or_default())?,
            _ => unquoted(value),
        };
        if value.contains('\0') {
            return self
                .fault(number, format!("the value of `{name}` has a NUL byte, which an environment cannot carry"));
        }
        Some((name.to_owned(), value))
    }

    /// Reads on until the closing quote, over line ends if need be.
    fn quoted(&mut self, number: usize, name: &str, quote: char, first: &str) -> Option<String> {
        let (mut value, mut line) = (String::new(), first);
        loop {
            match take_quoted(line, quote, &mut value) {
                // What follows the closing quote is nothing to Compose.
                Some(_) => return Some(value),
                None => value.push('\n'),
            }
            match self.lines.next() {
                Some((_, next)) => line = next,
                None => {
                    return self.fault(number, format!("the value of `{name}` has no closing {quote}"));
                }
            }
        }
    }

    fn fault<T>(&mut self, line: usize, problem: impl Into<String>) -> Option<T> {
        self.written.faults.0.push(Fault { line, problem: problem.into() });
        None
    }
}

/// Takes characters up to the closing quote and returns what follows it; `None` when the line ends first.
fn take_quoted<'l>(line: &'l str, quote: char, value: &mut String) -> Option<&'l str> {
    let mut characters = line.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            found if found == quote => return line.get(at + 1..),
            '\\' if quote == '"' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, 't')) => value.push('\t'),
                Some((_, escaped @ ('"' | '\\' | '$'))) => value.push(escaped),
                Some((_, other)) => value.extend(['\\', other]),
                None => value.push('\\'),
            },
            other => value.push(other),
        }
    }
    None
}

/// A value without quotes ends at a comment, which needs a space before it: `a#b` is a value.
fn unquoted(value: &str) -> String {
    let comment = value.char_indices().find(|(at, character)| {
        *character == '#' && value.get(..*at).is_some_and(|before| before.is_empty() || before.ends_with([' ', '\t']))
    });
    let end = comment.map_or(value.len(), |(at, _)| at);
    value.get(..end).unwrap_or_default().trim_end().to_owned()
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_.-[]".contains(c))
}

#[cfg(test)]
mod tests;
