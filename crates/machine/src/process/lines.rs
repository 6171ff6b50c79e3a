//! Output cut into lines with bounded memory.

/// A longer line is handed over in pieces.
pub(super) const LONGEST_LINE: usize = 16 * 1024;
/// How many last lines an error carries.
const LAST_LINES: usize = 20;

/// Collects bytes and hands out whole lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Takes more bytes and calls back with each line that is now complete.
    pub(super) fn push(&mut self, mut bytes: &[u8], on_line: &mut dyn FnMut(String)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, after) = bytes.split_at(end);
            self.extend(line, on_line);
            on_line(self.take());
            bytes = &after[1..];
        }
        self.extend(bytes, on_line);
    }

    /// What is left after the last line break.
    pub(super) fn finish(&mut self, on_line: &mut dyn FnMut(String)) {
        if !self.rest.is_empty() {
            on_line(self.take());
        }
    }

    fn extend(&mut self, mut bytes: &[u8], on_line: &mut dyn FnMut(String)) {
        while self.rest.len() + bytes.len() > LONGEST_LINE {
            let (piece, after) = bytes.split_at(LONGEST_LINE - self.rest.len());
            self.rest.extend_from_slice(piece);
            on_line(self.take());
            bytes = after;
        }
        self.rest.extend_from_slice(bytes);
    }

    fn take(&mut self) -> String {
        if self.rest.last() == Some(&b'\r') {
            self.rest.pop();
        }
        let line = String::from_utf8_lossy(&self.rest).into_owned();
        self.rest.clear();
        line
    }
}

/// The last lines of a stream, for the error that may follow.
#[derive(Debug, Default)]
pub(super) struct Tail {
    lines: std::collections::VecDeque<String>,
}

impl Tail {
    pub(super) fn push(&mut self, line: &str) {
        if self.lines.len() == LAST_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line.to_owned());
    }

    pub(super) fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}

/// The last lines that say something.
pub(super) fn last_of(bytes: &[u8]) -> Vec<String> {
    let mut tail = Tail::default();
    let mut lines = Lines::default();
    let mut keep = |line: String| {
        if !line.trim().is_empty() {
            tail.push(&line);
        }
    };
    lines.push(bytes, &mut keep);
    lines.finish(&mut keep);
    tail.into_lines()
}
