//! From the events of the YAML parser to the tree.

use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::{Entry, Node, Shape, shorten};
use crate::problem::{Problem, Problems};

/// Deepest nesting that is read; a platform file needs six, and reading is recursive.
const DEEPEST: usize = 40;

pub(super) fn document(text: &str, file: &str) -> (Option<Node>, Problems) {
    let mut options = Options::default();
    options.flow_nesting_limit = DEEPEST;
    options.block_nesting_limit = DEEPEST;
    options.emit_comments = false;
    options.emit_unresolved_aliases = true;
    let parser = Parser::new_from_str_with_options(text, options);
    let mut builder = Builder { parser, text, file, problems: Problems::default() };
    let root = builder.stream().unwrap_or_default();
    (root, builder.problems)
}

struct Builder<'t> {
    parser: Parser<'t, StrInput<'t>>,
    text: &'t str,
    file: &'t str,
    problems: Problems,
}

/// The parser has said all it will say: what is wrong has been noted.
struct Stopped;

type Built<T> = Result<T, Stopped>;

impl<'t> Builder<'t> {
    fn next(&mut self) -> Built<(Event<'t>, Span)> {
        match self.parser.next() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => {
                self.syntax(&error);
                Err(Stopped)
            }
            None => Err(Stopped),
        }
    }

    /// The first document; a second one is a problem.
    fn stream(&mut self) -> Built<Option<Node>> {
        let mut root = None;
        loop {
            let (event, span) = match self.next() {
                Ok(next) => next,
                Err(Stopped) => return Ok(root),
            };
            match event {
                Event::StreamEnd => return Ok(root),
                Event::DocumentStart(..) if root.is_some() => {
                    self.note(span, "---", "one document", "a second document begins here");
                    return Ok(root);
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => root = Some(self.node(event, span)?),
            }
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span) -> Built<Node> {
        let shape = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_properties(span, anchor, tag.is_some());
                scalar(text.into_owned(), style)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_properties(span, anchor, tag.is_some());
                Shape::List(self.items()?)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_properties(span, anchor, tag.is_some());
                Shape::Map(self.entries()?)
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.note(span, "an alias", "the value itself", "aliases (`*name`) are not read in a platform file");
                Shape::Null
            }
            // Nothing else can stand where a value is expected; if it ever does, it has no value.
            _ => Shape::Null,
        };
        Ok(Node { line: span.start.line(), column: span.start.col() + 1, shape })
    }

    fn items(&mut self) -> Built<Vec<Node>> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span)?),
            }
        }
    }

    fn entries(&mut self) -> Built<Vec<Entry>> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut known = std::collections::HashMap::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(entries);
            }
            let key = self.node(event, span)?;
            let (event, value_span) = self.next()?;
            let node = self.node(event, value_span)?;
            let Some(name) = self.key(&key, span) else { continue };
            if let Some(first) = known.insert(name.clone(), key.line) {
                self.note(span, &name, "each key once", &format!("this key was already written in line {first}"));
                continue;
            }
            entries.push(Entry { key: name, line: key.line, column: key.column, node });
        }
    }

    /// The text of a key; anything else cannot be one.
    fn key(&mut self, key: &Node, span: Span) -> Option<String> {
        match &key.shape {
            Shape::Text { text, plain: true } if text == "<<" => {
                self.note(span, "<<", "the keys themselves", "merge keys (`<<`) are not read in a platform file");
                None
            }
            Shape::Text { text, .. } => Some(text.clone()),
            Shape::Null => {
                self.note(span, "nothing", "a word", "a key is missing before the colon");
                None
            }
            Shape::List(_) | Shape::Map(_) => {
                self.note(span, &key.shown(), "a word", "a key cannot be a list or a mapping");
                None
            }
        }
    }

    fn refuse_properties(&mut self, span: Span, anchor: usize, tagged: bool) {
        if anchor != 0 {
            self.note(span, "an anchor", "the value alone", "anchors (`&name`) are not read in a platform file");
        }
        if tagged {
            self.note(span, "a tag", "the value alone", "tags (`!name`) are not read in a platform file");
        }
    }

    fn note(&mut self, span: Span, found: &str, allowed: &str, message: &str) {
        self.problems.0.push(Problem {
            file: self.file.to_owned(),
            line: span.start.line(),
            column: span.start.col() + 1,
            found: shorten(found),
            allowed: allowed.to_owned(),
            message: message.to_owned(),
            ..Problem::default()
        });
    }

    /// One problem for what the parser could not read; tabs get a sentence of their own, they are the usual cause.
    fn syntax(&mut self, error: &ScanError) {
        let (line, column) = (error.marker().line().max(1), error.marker().col() + 1);
        let written = self.text.lines().nth(line - 1).unwrap_or_default();
        let indent = &written[..written.len() - written.trim_start().len()];
        let tabbed = indent.contains('\t');
        let message = match error.info() {
            _ if tabbed => "a tab is used for indentation".to_owned(),
            info if info.contains("recursion") => format!("values are nested more than {DEEPEST} levels deep"),
            info => format!("this is not YAML: {info}"),
        };
        self.problems.0.push(Problem {
            file: self.file.to_owned(),
            line,
            column,
            found: shorten(written.trim()),
            allowed: if tabbed { "spaces".to_owned() } else { String::new() },
            message,
            ..Problem::default()
        });
    }
}

fn scalar(text: String, style: ScalarStyle) -> Shape {
    let plain = matches!(style, ScalarStyle::Plain);
    if plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL") {
        return Shape::Null;
    }
    Shape::Text { text, plain }
}
