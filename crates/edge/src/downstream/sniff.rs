//! Looks at the raw heads of HTTP/1 requests for the one thing hyper repairs silently.
//!
//! A request with both `Content-Length` and `Transfer-Encoding` is how one proxy is made to disagree with the next
//! about where a request ends.
//! hyper drops the length and closes the connection afterwards, which is safe; but an honest client never sends
//! both, so the edge refuses it, and for that it must see it.

/// Reads heads byte by byte over any number of reads.
#[derive(Debug, Default)]
pub(crate) struct Sniff {
    /// The beginning of the current line, as far as it may be one of the two names.
    line: [u8; NAME_ROOM],
    length: usize,
    has_length: bool,
    has_encoding: bool,
    is_done: bool,
}

/// `transfer-encoding:` has 18 bytes.
const NAME_ROOM: usize = 18;

impl Sniff {
    /// Looks at bytes of a head; true once the head is known to have both.
    pub(crate) fn look(&mut self, mut bytes: &[u8]) -> bool {
        while !self.is_done && !bytes.is_empty() {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            let room = &mut self.line[self.length..];
            let taken = part.len().min(room.len());
            room[..taken].copy_from_slice(&part[..taken]);
            self.length += taken;
            let Some(end) = end else { break };
            self.end_line();
            bytes = &bytes[end + 1..];
        }
        self.has_length && self.has_encoding
    }

    fn end_line(&mut self) {
        let line = &self.line[..self.length];
        let starts = |name: &[u8]| line.len() >= name.len() && line[..name.len()].eq_ignore_ascii_case(name);
        self.has_length |= starts(b"content-length:");
        self.has_encoding |= starts(b"transfer-encoding:");
        // An empty line ends the head; what follows is body, or the next request of a pipeline.
        self.is_done = line.is_empty() || line == b"\r";
        self.length = 0;
    }

    /// A new head begins.
    pub(crate) fn restart(&mut self) {
        *self = Sniff::default();
    }

    /// Whether the head has ended.
    pub(crate) fn is_done(&self) -> bool {
        self.is_done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &[u8] = b"POST / HTTP/1.1\r\nHost: x\r\nContent-LENGTH: 4\r\nTransfer-Encoding: chunked\r\n\r\n";

    #[test]
    fn both_lengths_are_seen_wherever_the_reads_are_cut() {
        for cut in 0..BOTH.len() {
            let mut sniff = Sniff::default();
            sniff.look(&BOTH[..cut]);
            assert!(sniff.look(&BOTH[cut..]) || cut == BOTH.len(), "cut at {cut}");
        }
    }

    #[test]
    fn one_length_is_fine_and_bodies_are_not_looked_at() {
        let mut sniff = Sniff::default();
        assert!(!sniff.look(b"POST / HTTP/1.1\r\nContent-Length: 40\r\n\r\n\nTransfer-Encoding: chunked\r\n\r\n"));
        assert!(sniff.is_done());
    }
}
