//! YAML as a tree whose every node knows its line and column.
//! serde would stop at the first problem and forget the places, so the file is read through this tree instead.
//! Anchors, aliases, merge keys and tags are refused: one value in one place is what makes a platform file safe to review,
//! and it leaves nothing for an alias bomb to expand.

mod build;

use crate::problem::{Problem, Problems};

/// Longest file that is read; a real one has a few hundred lines.
const LONGEST: usize = 1 << 20;

/// One value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) shape: Shape,
}

/// What a value is, as YAML sees it; what a plain text means is for its reader to say.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    Null,
    /// `plain` is false when it was written in quotes or as a block.
    Text {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a mapping with its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) node: Node,
}

impl Node {
    /// The value as a person would recognise it, on one line and cut short.
    pub(crate) fn shown(&self) -> String {
        match &self.shape {
            Shape::Null => "nothing".to_owned(),
            Shape::Text { text, .. } => shorten(text),
            Shape::List(items) => format!("a list of {}", items.len()),
            Shape::Map(entries) => match entries.len() {
                0 => "an empty mapping".to_owned(),
                1 => format!("a mapping with the key `{}`", shorten(&entries[0].key)),
                count => format!("a mapping with {count} keys"),
            },
        }
    }
}

/// Cuts a text so that it fits into a line of a problem.
pub(crate) fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let whole = line.len() == text.trim_end().len() && line.chars().count() <= 60;
    if whole { line.to_owned() } else { line.chars().take(57).chain("...".chars()).collect() }
}

/// Reads one document; the tree is there whenever the text has a shape at all, even beside problems.
pub(crate) fn parse(text: &str, file: &str) -> (Option<Node>, Problems) {
    if text.len() > LONGEST {
        let problem = Problem {
            file: file.to_owned(),
            found: format!("{} bytes", text.len()),
            allowed: format!("at most {LONGEST} bytes"),
            message: "the file is too long for a platform file".to_owned(),
            ..Problem::default()
        };
        return (None, problem.into());
    }
    build::document(text.strip_prefix('\u{feff}').unwrap_or(text), file)
}
