//! The format of environment files, as Docker Compose reads them, less what would make a value depend on its surroundings.
//!
//! `NAME=value`, `export NAME=value`, comments, `'literal'` and `"escaped \n"` values, both of which may span lines.
//! Not taken: `${OTHER}` is not replaced but kept as written, as for a single-quoted value in Compose;
//! a name without `=` and a name written twice are mistakes.

use std::collections::BTreeMap;

use crate::error::{Fault, Faults};
use crate::secret::Secret;

/// Parses a whole file, or tells every mistake in it.
pub(crate) fn parse(text: &str) -> Result<BTreeMap<String, Secret>, Faults> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        lines: text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).enumerate(),
        faults: Vec::new(),
    };
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut values = BTreeMap::new();
    while let Some((index, line)) = reader.lines.next() {
        let number = index + 1;
        let Some((name, value)) = reader.assignment(number, line) else {
            continue;
        };
        if let Some(first) = seen.insert(name.clone(), number) {
            reader.fault::<()>(number, format!("`{name}` is already set in line {first}"));
        }
        values.insert(name, Secret::new(value));
    }
    if reader.faults.is_empty() { Ok(values) } else { Err(Faults(reader.faults)) }
}

struct Reader<L> {
    lines: L,
    faults: Vec<Fault>,
}

impl<'t, L: Iterator<Item = (usize, &'t str)>> Reader<L> {
    fn assignment(&mut self, number: usize, line: &str) -> Option<(String, String)> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let line = line.strip_prefix("export ").map_or(line, str::trim_start);
        let Some((name, value)) = line.split_once('=') else {
            return self.fault(number, "no `=`: a line is `NAME=value`, a comment or empty");
        };
        let name = name.trim_end();
        if !is_name(name) {
            // What stands before the `=` may be a piece of a value from the line above: it is not quoted.
            return self.fault(number, "what stands before `=` is not a name: letters, digits and `_`, first no digit");
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
                Some(rest) => return self.closed(number, name, rest).then_some(value),
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

    /// After the closing quote only a comment may follow.
    fn closed(&mut self, number: usize, name: &str, rest: &str) -> bool {
        let fine = rest.trim().is_empty() || (rest.starts_with([' ', '\t']) && rest.trim_start().starts_with('#'));
        if !fine {
            self.fault::<()>(number, format!("something follows the closing quote of `{name}`"));
        }
        fine
    }

    fn fault<T>(&mut self, line: usize, problem: impl Into<String>) -> Option<T> {
        self.faults.push(Fault { line, problem: problem.into() });
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
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests;
