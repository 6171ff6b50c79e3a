//! What is shown of a frame, and how keys change it.

use super::columns::{ROUTES, SERVICES, TARGETS, TargetRow, release};
use super::grid::{Grid, Sort, grid, shortened};
use super::numbers::rate;
use super::rates::{Frame, Overall};

/// The three tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Kind {
    /// Services and their releases
    #[default]
    Services,
    /// Routes, by host and path as configured
    Routes,
    /// The targets of each release, and how they are doing
    Targets,
}

impl Kind {
    fn titles(self) -> Vec<&'static str> {
        match self {
            Kind::Services => SERVICES.iter().map(|column| column.title).collect(),
            Kind::Routes => ROUTES.iter().map(|column| column.title).collect(),
            Kind::Targets => TARGETS.iter().map(|column| column.title).collect(),
        }
    }

    fn next(self) -> Kind {
        match self {
            Kind::Services => Kind::Routes,
            Kind::Routes => Kind::Targets,
            Kind::Targets => Kind::Services,
        }
    }

    /// The busiest first; targets by name.
    fn usual(self) -> Sort {
        let column = self.titles().iter().position(|title| *title == "REQ/S").unwrap_or(0);
        Sort { column, is_reversed: false }
    }
}

/// How a line is to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    Plain,
    /// The edge as a whole.
    Title,
    /// The titles of the columns.
    Head,
    /// Something wants a person's eye.
    Troubled,
    /// What the keys do.
    Dim,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub look: Look,
    pub text: String,
}

/// What a key asks for beyond another look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Stay,
    Quit,
}

/// A key, as far as the view knows any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Char(char),
    Tab,
    Enter,
    Escape,
    Backspace,
    Left,
    Right,
    Up,
    Down,
}

/// See the module's text.
#[derive(Debug, Clone)]
pub struct View {
    pub kind: Kind,
    pub sort: Sort,
    pub filter: String,
    pub is_paused: bool,
    is_typing: bool,
    /// Rows that are scrolled away.
    offset: usize,
}

impl View {
    pub fn new(kind: Kind, filter: String) -> View {
        View { kind, sort: kind.usual(), filter, is_paused: false, is_typing: false, offset: 0 }
    }

    /// Sorts by the column of this name, `req` for `REQ/S`; the known names when there is none.
    pub fn sorted_by(self, name: &str) -> Result<View, Vec<String>> {
        let names: Vec<String> =
            self.kind.titles().iter().map(|title| title.trim_end_matches("/S").to_lowercase()).collect();
        match names.iter().position(|known| *known == name.trim_end_matches("/s").to_lowercase()) {
            Some(column) => Ok(View { sort: Sort { column, is_reversed: false }, ..self }),
            None => Err(names),
        }
    }

    pub fn is_typing(&self) -> bool {
        self.is_typing
    }

    pub fn press(&mut self, key: Key) -> Wish {
        if self.is_typing {
            self.type_filter(key);
            return Wish::Stay;
        }
        let columns = self.kind.titles().len();
        match key {
            Key::Char('q') => return Wish::Quit,
            Key::Tab => *self = View { is_paused: self.is_paused, ..View::new(self.kind.next(), self.filter.clone()) },
            Key::Char('<') | Key::Left => self.sort = by((self.sort.column + columns - 1) % columns),
            Key::Char('>') | Key::Right => self.sort = by((self.sort.column + 1) % columns),
            Key::Char('r') => self.sort.is_reversed = !self.sort.is_reversed,
            Key::Char('/') => self.is_typing = true,
            Key::Escape => self.filter.clear(),
            Key::Char(' ') => self.is_paused = !self.is_paused,
            Key::Up | Key::Char('k') => self.offset = self.offset.saturating_sub(1),
            Key::Down | Key::Char('j') => self.offset += 1,
            Key::Char(_) | Key::Enter | Key::Backspace => {}
        }
        Wish::Stay
    }

    fn type_filter(&mut self, key: Key) {
        match key {
            Key::Char(letter) => self.filter.push(letter),
            Key::Backspace => drop(self.filter.pop()),
            Key::Enter | Key::Tab => self.is_typing = false,
            Key::Escape => (self.is_typing, self.filter) = (false, String::new()),
            Key::Left | Key::Right | Key::Up | Key::Down => {}
        }
        self.offset = 0;
    }

    /// The lines that fill a screen of this size: the edge, the table, the keys.
    pub fn screen(&mut self, frame: &Frame, (width, height): (usize, usize)) -> Vec<Line> {
        let mut lines = overall(&frame.edge);
        let (grid, troubled) = self.grid(frame, Some(width));
        // The titles and the last line.
        let room = height.saturating_sub(lines.len() + 2).max(1);
        self.offset = self.offset.min(grid.rows.len().saturating_sub(room));
        lines.push(Line { look: Look::Head, text: grid.head });
        let empty = grid.rows.is_empty();
        let shown = grid.rows.into_iter().skip(self.offset).take(room);
        lines.extend(shown.map(|(number, text)| Line { look: looks(troubled[number]), text }));
        if empty {
            lines.push(Line { look: Look::Dim, text: self.nothing().to_owned() });
        }
        lines.truncate(height.saturating_sub(1));
        lines.resize(height.saturating_sub(1), Line { look: Look::Plain, text: String::new() });
        lines.push(Line { look: Look::Dim, text: self.keys(frame.seconds) });
        for line in &mut lines {
            line.text = shortened(&line.text, width);
        }
        lines
    }

    /// One look as a table for a file or a pipe: all rows, all columns that fit.
    pub fn table(&self, frame: &Frame, width: Option<usize>) -> Vec<Line> {
        let mut lines = overall(&frame.edge);
        let (grid, troubled) = self.grid(frame, width);
        lines.push(Line { look: Look::Plain, text: String::new() });
        lines.push(Line { look: Look::Head, text: grid.head });
        if grid.rows.is_empty() {
            lines.push(Line { look: Look::Dim, text: self.nothing().to_owned() });
        }
        lines.extend(grid.rows.into_iter().map(|(number, text)| Line { look: looks(troubled[number]), text }));
        lines
    }

    /// The table, and which of the frame's rows are troubled.
    fn grid(&self, frame: &Frame, width: Option<usize>) -> (Grid, Vec<bool>) {
        let (sort, filter) = (self.sort, self.filter.as_str());
        match self.kind {
            Kind::Services => {
                let troubled = |row: &super::rates::Service| {
                    row.answers.server_errors_per_s > 0.0 || row.targets.iter().any(|target| !target.is_well())
                };
                let rows = &frame.services;
                (grid(rows, SERVICES, sort, filter, width), rows.iter().map(troubled).collect())
            }
            Kind::Routes => {
                let troubled = frame.routes.iter().map(|row| row.answers.server_errors_per_s > 0.0).collect();
                (grid(&frame.routes, ROUTES, sort, filter, width), troubled)
            }
            Kind::Targets => {
                let rows: Vec<TargetRow> = frame.services.iter().flat_map(targets).collect();
                let troubled = rows.iter().map(|row| !row.target.is_well()).collect();
                (grid(&rows, TARGETS, sort, filter, width), troubled)
            }
        }
    }

    fn nothing(&self) -> &'static str {
        match self.filter.is_empty() {
            true => "nothing is routed yet; `mainstay up` brings a platform up",
            false => "nothing fits the filter",
        }
    }

    fn keys(&self, seconds: f64) -> String {
        if self.is_typing {
            return format!("filter: {}_   (enter keeps it, esc drops it)", self.filter);
        }
        let filter = if self.filter.is_empty() { String::new() } else { format!("  filter: {} (esc)", self.filter) };
        let state = if self.is_paused { "PAUSED".to_owned() } else { format!("every {seconds:.1} s") };
        format!("{state}{filter}   q quit  tab view  <> sort  r reverse  / filter  space pause  +- interval  ↑↓ scroll")
    }
}

fn by(column: usize) -> Sort {
    Sort { column, is_reversed: false }
}

fn looks(is_troubled: bool) -> Look {
    if is_troubled { Look::Troubled } else { Look::Plain }
}

fn targets(service: &super::rates::Service) -> impl Iterator<Item = TargetRow> {
    service.targets.iter().map(|target| TargetRow {
        service: service.service.clone(),
        release: release(service),
        target: target.clone(),
    })
}

/// The edge as a whole, in two or three lines.
fn overall(edge: &Overall) -> Vec<Line> {
    let share = if edge.handshakes_per_s > 0.0 { edge.resumed_per_s / edge.handshakes_per_s * 100.0 } else { 0.0 };
    let mut texts = vec![
        format!("edge {} (process {})  epoch {}", edge.version, edge.pid, edge.epoch),
        format!(
            "{} req/s  {} in flight  {} held  {} connections  TLS {}/s, {share:.0} % resumed, {}/s failed",
            rate(edge.requests_per_s),
            edge.in_flight,
            edge.held,
            edge.connections,
            rate(edge.handshakes_per_s),
            rate(edge.handshakes_failed_per_s),
        ),
    ];
    let mut refused: Vec<_> = edge.refused_per_s.iter().collect();
    refused.sort_by(|one, two| two.1.total_cmp(one.1));
    let words: Vec<String> =
        refused.iter().map(|(word, per_second)| format!("{word} {}", rate(**per_second))).collect();
    texts.push(match words.is_empty() {
        true => "nothing refused".to_owned(),
        false => format!("refused/s: {}", words.join(", ")),
    });
    if edge.log_dropped_per_s > 0.0 {
        texts.push(format!("lines of the access log lost: {}/s", rate(edge.log_dropped_per_s)));
    }
    texts.into_iter().map(|text| Line { look: Look::Title, text }).collect()
}
