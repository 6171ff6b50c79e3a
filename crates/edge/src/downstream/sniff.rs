//! Looks at the raw heads of HTTP/1 requests for the things that hyper repairs silently.
//!
//! A request with both `Content-Length` and `Transfer-Encoding` is how one proxy is made to disagree with the next
//! about where a request ends; a line that ends without a carriage return is how they are made to disagree about
//! where a header ends.
//! hyper makes something safe of both; but an honest client never sends either, so the edge refuses them, and for
//! that it must see them.
//!
//! Heads are followed through a pipeline, over bodies of both kinds, because hyper reads ahead: what is a head can
//! only be told by who has counted from the beginning.

use super::fault::Fault;

/// Reads heads byte by byte over any number of reads.
#[derive(Debug, Default)]
pub(crate) struct Sniff {
    /// The beginning of the current line, as far as it may be of interest.
    line: [u8; ROOM],
    length: usize,
    ends_in_return: bool,
    body: Body,
    has_length: bool,
    has_encoding: bool,
    part: Part,
}

/// `content-length:`, a space, and a length of sixteen digits; one that is written longer is not known.
const ROOM: usize = 32;

/// Where in the stream the look is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Part {
    #[default]
    Head,
    /// So many bytes of a body.
    Body(u64),
    /// So many bytes of a chunk and its line end.
    Chunk(u64),
    /// The line before a chunk.
    Size,
    /// The lines behind the last chunk.
    Trailers,
    /// Behind something that has no length; hyper closes such a connection.
    Lost,
}

/// The length of the head's body, as far as it is known.
#[derive(Debug, Default, Clone, Copy)]
enum Body {
    #[default]
    None,
    Known(u64),
    Unknown,
}

impl Sniff {
    /// Whether a new one would know as much.
    pub(super) fn is_as_new(&self) -> bool {
        let is_fresh_head = self.part == Part::Head && matches!(self.body, Body::None);
        is_fresh_head && self.length == 0 && !self.ends_in_return && !self.has_length && !self.has_encoding
    }

    /// Looks at bytes; names what is wrong with a head.
    pub(crate) fn look(&mut self, mut bytes: &[u8]) -> Option<Fault> {
        let mut fault = None;
        while !bytes.is_empty() {
            match self.part {
                Part::Lost => break,
                Part::Body(left) | Part::Chunk(left) => {
                    let skipped = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    bytes = &bytes[skipped..];
                    self.part = self.part.after(left - skipped as u64);
                }
                Part::Head | Part::Size | Part::Trailers => {
                    let end = bytes.iter().position(|byte| *byte == b'\n');
                    self.take(&bytes[..end.unwrap_or(bytes.len())]);
                    let Some(end) = end else { break };
                    bytes = &bytes[end + 1..];
                    fault = fault.or(self.end_line());
                }
            }
        }
        fault
    }

    fn take(&mut self, part: &[u8]) {
        let room = &mut self.line[self.length..];
        let taken = part.len().min(room.len());
        room[..taken].copy_from_slice(&part[..taken]);
        self.length += taken;
        if let Some(last) = part.last() {
            self.ends_in_return = *last == b'\r';
        }
    }

    fn end_line(&mut self) -> Option<Fault> {
        let fault = match self.part {
            Part::Size => {
                self.part = chunk_of(&self.line[..self.length]);
                None
            }
            Part::Trailers => {
                if matches!(&self.line[..self.length], [] | [b'\r']) {
                    self.part = Part::Head;
                }
                None
            }
            _ => self.end_head_line(),
        };
        self.length = 0;
        self.ends_in_return = false;
        fault
    }

    fn end_head_line(&mut self) -> Option<Fault> {
        let line = &self.line[..self.length];
        let after = |name: &[u8]| {
            let (head, rest) = line.split_at_checked(name.len())?;
            head.eq_ignore_ascii_case(name).then_some(rest)
        };
        if let Some(value) = after(b"content-length:") {
            self.has_length = true;
            let is_whole = self.length < ROOM;
            self.body = length_of(value).filter(|_| is_whole).map_or(Body::Unknown, Body::Known);
        }
        self.has_encoding |= after(b"transfer-encoding:").is_some();
        // An empty line ends the head; what follows is body, or the next request of a pipeline.
        let is_last = line.is_empty() || line == b"\r";
        let is_bare = !self.ends_in_return;
        let has_both = self.has_length && self.has_encoding;
        if is_last {
            self.end_head();
        }
        match (has_both, is_bare) {
            (true, _) => Some(Fault::TwoLengths),
            (false, true) => Some(Fault::BareLineFeed),
            (false, false) => None,
        }
    }

    fn end_head(&mut self) {
        let part = match self.body {
            _ if self.has_encoding => Part::Size,
            Body::None | Body::Known(0) => Part::Head,
            Body::Known(length) => Part::Body(length),
            Body::Unknown => Part::Lost,
        };
        *self = Sniff { part, ..Sniff::default() };
    }
}

impl Part {
    /// What comes next when so many bytes are left.
    fn after(self, left: u64) -> Part {
        match (self, left) {
            (Part::Chunk(_), 0) => Part::Size,
            (_, 0) => Part::Head,
            (Part::Chunk(_), _) => Part::Chunk(left),
            _ => Part::Body(left),
        }
    }
}

/// What follows the line before a chunk.
fn chunk_of(line: &[u8]) -> Part {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or(line);
    if digits.len() == ROOM {
        return Part::Lost;
    }
    let size = std::str::from_utf8(digits).ok().and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
    match size {
        Some(0) => Part::Trailers,
        // The chunk's own line end.
        Some(size) => size.checked_add(2).map_or(Part::Lost, Part::Chunk),
        None => Part::Lost,
    }
}

fn length_of(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &[u8] = b"POST / HTTP/1.1\r\nHost: x\r\nContent-LENGTH: 4\r\nTransfer-Encoding: chunked\r\n\r\n";

    const CHUNKED: &[u8] =
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\na\nb\r\n1\r\n\n\r\n0\r\nX: 1\r\n\r\n";

    #[test]
    fn both_lengths_are_seen_wherever_the_reads_are_cut() {
        for cut in 0..=BOTH.len() {
            let mut sniff = Sniff::default();
            let seen = [sniff.look(&BOTH[..cut]), sniff.look(&BOTH[cut..])];
            assert!(seen.contains(&Some(Fault::TwoLengths)), "cut at {cut}");
        }
    }

    #[test]
    fn one_length_is_fine_and_bodies_are_not_looked_at() {
        let mut sniff = Sniff::default();
        let text = b"POST / HTTP/1.1\r\nContent-Length: 32\r\n\r\n\nTransfer-Encoding: chunked\r\n\r\n\n";
        assert_eq!(sniff.look(text), None);
        assert_eq!(sniff.part, Part::Head);
    }

    #[test]
    fn a_pipelines_later_heads_are_seen_over_the_bodies_before_them() {
        for first in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\na\nb", CHUNKED] {
            let all = [first, BOTH].concat();
            for cut in 0..=all.len() {
                let mut sniff = Sniff::default();
                let seen = [sniff.look(&all[..cut]), sniff.look(&all[cut..])];
                assert!(seen.contains(&Some(Fault::TwoLengths)), "cut at {cut}");
                assert!(!seen.contains(&Some(Fault::BareLineFeed)), "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_line_without_a_return_is_seen_wherever_the_reads_are_cut() {
        let long = format!("GET / HTTP/1.1\r\nX-Long: {}\nHost: x\r\n\r\n", "a".repeat(200));
        for text in ["GET / HTTP/1.1\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\n", &long] {
            for cut in 0..=text.len() {
                let mut sniff = Sniff::default();
                let seen = [sniff.look(&text.as_bytes()[..cut]), sniff.look(&text.as_bytes()[cut..])];
                assert!(seen.contains(&Some(Fault::BareLineFeed)), "{text:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn between_two_heads_there_is_nothing_to_remember() {
        for text in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], CHUNKED] {
            let mut sniff = Sniff::default();
            sniff.look(text);
            assert!(sniff.is_as_new());
        }
        for text in ["G", "GET / HTTP/1.1\r\nContent-Length: 1\r\n", "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\na"] {
            let mut sniff = Sniff::default();
            sniff.look(text.as_bytes());
            assert!(!sniff.is_as_new(), "{text}");
        }
    }

    #[test]
    fn what_has_no_length_is_not_looked_at() {
        let mut sniff = Sniff::default();
        assert_eq!(sniff.look(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\n\n"), None);
        assert_eq!(sniff.part, Part::Lost);
    }
}
