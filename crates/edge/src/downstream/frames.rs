//! Follows the frames of an HTTP/2 connection in both directions, without taking part.
//!
//! h2 keeps the protocol's rules; this sees what keeps them and is an attack all the same (floods of frames that cost
//! the client nothing), and what h2 refused, which it tells nobody but the client.
//! The cost is one look at nine bytes per frame.

use std::sync::Arc;

use super::presence::Presence;
use crate::edge::Edge;

/// `PRI * HTTP/2.0`, two empty lines, `SM` and another.
const PREFACE: usize = 24;

const HEAD: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
/// The same bit, where a frame has no stream to end.
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// A window that grows by less makes the edge send frames that are mostly head.
const TINY: u32 = 128;

/// A piece of a header block that is not its last one and smaller than this; libraries fill their frames.
const SMALL_PIECE: usize = 1 << 10;

/// Frames that a client may send for each HEADERS or DATA frame that it is sent: it opens the window of the stream and
/// that of the connection again, and measures the line with a PING. The C core of gRPC gives back the few bytes of each
/// answer, and gRPC for Go sends a PING for each piece of data while no other is under way.
const REPLIES: u32 = 3;

/// Frames that a client may add to each of its requests: priorities, and the reserved types that browsers send so that
/// servers go on to ignore what they do not know.
const EXTRAS: u32 = 4;

/// What is allowed is kept up to this many frames, so that a long download pays for no flood.
const MOST_ALLOWED: u32 = 10_000;

/// Cuts bytes into frames, over any number of reads or writes.
pub(crate) struct Cutter {
    /// The head of the frame and the first bytes of its payload.
    head: [u8; HEAD + 8],
    length: usize,
    /// Bytes of the payload still to come.
    left: usize,
    /// Bytes before the first frame.
    preface: usize,
}

/// One frame, as far as it is looked at.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) length: usize,
    /// The window's growth, or the code of a RST_STREAM or GOAWAY; 0 elsewhere.
    pub(crate) number: u32,
}

impl Cutter {
    pub(crate) fn new(preface: usize) -> Cutter {
        Cutter { head: [0; HEAD + 8], length: 0, left: 0, preface }
    }

    pub(crate) fn cut(&mut self, mut bytes: &[u8], mut seen: impl FnMut(&Frame)) {
        while !bytes.is_empty() {
            let skipped = self.preface.min(bytes.len());
            self.preface -= skipped;
            bytes = &bytes[skipped..];
            let skipped = self.left.min(bytes.len());
            self.left -= skipped;
            bytes = &bytes[skipped..];
            if self.left > 0 || bytes.is_empty() {
                return;
            }
            let wanted = self.wanted();
            let taken = (wanted - self.length).min(bytes.len());
            self.head[self.length..self.length + taken].copy_from_slice(&bytes[..taken]);
            self.length += taken;
            bytes = &bytes[taken..];
            // The head may have told that some payload is wanted too.
            if self.length < self.wanted() {
                continue;
            }
            let frame = self.frame();
            self.left = frame.length - (self.length - HEAD);
            self.length = 0;
            seen(&frame);
        }
    }

    /// The head, and of some frames the first bytes of the payload.
    fn wanted(&self) -> usize {
        if self.length < HEAD {
            return HEAD;
        }
        let looked_into = match self.head[3] {
            RST_STREAM | WINDOW_UPDATE => 4,
            GOAWAY => 8,
            _ => 0,
        };
        HEAD + self.payload().min(looked_into)
    }

    fn payload(&self) -> usize {
        usize::from(self.head[0]) << 16 | usize::from(self.head[1]) << 8 | usize::from(self.head[2])
    }

    fn frame(&self) -> Frame {
        let payload = &self.head[HEAD..self.length];
        let number = payload.last_chunk::<4>().map_or(0, |last| u32::from_be_bytes(*last));
        Frame { kind: self.head[3], flags: self.head[4], length: self.payload(), number }
    }
}

/// Frames that a client may send because of what was exchanged before.
///
/// An ordinary client sends some frames for each answer, so their number alone says nothing: at a few hundred calls a
/// second they are as many as those of an attack. An attacker has to ask for an answer first, which costs it more.
#[derive(Default)]
struct Allowance {
    /// Windows and pings, for what was sent to the client.
    replies: u32,
    /// Resets of requests that have been answered; one that is given up before costs its client nothing.
    cancels: u32,
    /// Priorities and unknown frames, for the client's requests.
    extras: u32,
}

impl Allowance {
    /// A frame went to the client.
    fn sent(&mut self, frame: &Frame) {
        let add = |to: &mut u32, count: u32| *to = (*to + count).min(MOST_ALLOWED);
        match frame.kind {
            HEADERS => {
                add(&mut self.replies, REPLIES);
                add(&mut self.cancels, 1);
            }
            DATA if frame.length > 0 => add(&mut self.replies, REPLIES),
            _ => {}
        }
    }

    /// The client sent a frame: why it is one too many, if it is not allowed for.
    fn judge(&mut self, frame: &Frame) -> Option<&'static str> {
        if frame.kind == HEADERS {
            self.extras = (self.extras + EXTRAS).min(MOST_ALLOWED);
        }
        let word = nuisance(frame)?;
        let allowed = match frame.kind {
            WINDOW_UPDATE | PING => &mut self.replies,
            RST_STREAM => &mut self.cancels,
            DATA | SETTINGS | CONTINUATION => return Some(word),
            _ => &mut self.extras,
        };
        let Some(left) = allowed.checked_sub(1) else { return Some(word) };
        *allowed = left;
        None
    }
}

/// See the module's text.
pub(crate) struct Frames {
    edge: Arc<Edge>,
    inward: Cutter,
    outward: Cutter,
    allowance: Allowance,
}

impl Frames {
    pub(crate) fn new(edge: Arc<Edge>) -> Frames {
        Frames { edge, inward: Cutter::new(PREFACE), outward: Cutter::new(0), allowance: Allowance::default() }
    }

    /// Bytes that the client sent.
    pub(crate) fn received(&mut self, bytes: &[u8], presence: &Presence) {
        let allowance = &mut self.allowance;
        self.inward.cut(bytes, |frame| {
            match frame.kind {
                HEADERS | CONTINUATION => presence.in_header_block(frame.flags & END_HEADERS == 0),
                _ => presence.in_header_block(false),
            }
            if let Some(word) = allowance.judge(frame) {
                presence.bothered(word);
            }
        });
    }

    /// Bytes that the edge sent: what h2 refused, and what the client may answer.
    pub(crate) fn sent(&mut self, bytes: &[u8]) {
        let counts = &self.edge.counts;
        let allowance = &mut self.allowance;
        self.outward.cut(bytes, |frame| {
            allowance.sent(frame);
            let word = match (frame.kind, frame.number) {
                (RST_STREAM, 1) => "h2-malformed",
                (RST_STREAM, 3) => "h2-flow-control",
                (RST_STREAM, 7) => "h2-too-many-streams",
                (RST_STREAM | GOAWAY, 11) => "h2-calm",
                (GOAWAY, 1) => "h2-protocol",
                (GOAWAY, 3) => "h2-flow-control",
                (GOAWAY, 6) => "h2-frame-size",
                (GOAWAY, 9) => "h2-compression",
                _ => return,
            };
            counts.refusals.count(word);
        });
    }
}

/// Frames that are allowed and do nothing, or next to nothing; a few are normal.
pub(crate) fn nuisance(frame: &Frame) -> Option<&'static str> {
    match frame.kind {
        DATA if frame.length == 0 && frame.flags & END_STREAM == 0 => Some("h2-flood-data"),
        RST_STREAM => Some("h2-flood-reset"),
        SETTINGS if frame.flags & ACK == 0 => Some("h2-flood-settings"),
        PING if frame.flags & ACK == 0 => Some("h2-flood-ping"),
        WINDOW_UPDATE if frame.number < TINY => Some("h2-flood-window"),
        // The last piece of a block may be small, and there is one of them for a request; h2 bounds the others in bytes.
        CONTINUATION if frame.length < SMALL_PIECE && frame.flags & END_HEADERS == 0 => Some("h2-flood-continuation"),
        DATA | HEADERS | SETTINGS | PING | GOAWAY | WINDOW_UPDATE | CONTINUATION => None,
        // PRIORITY, PUSH_PROMISE (which h2 refuses) and what does not exist.
        _ => Some("h2-flood-unknown"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    #[test]
    fn frames_are_seen_wherever_the_reads_are_cut() {
        let mut bytes = vec![b'x'; PREFACE];
        bytes.extend(frame(SETTINGS, 0, &[0; 6]));
        bytes.extend(frame(DATA, 0, &[]));
        bytes.extend(frame(WINDOW_UPDATE, 0, &[0, 0, 0, 5]));
        bytes.extend(frame(RST_STREAM, 0, &[0, 0, 0, 8]));
        bytes.extend(frame(DATA, END_STREAM, &[7; 300]));
        bytes.extend(frame(PING, 0, &[0; 8]));
        for cut in 0..=bytes.len() {
            let (mut cutter, mut seen) = (Cutter::new(PREFACE), Vec::new());
            for part in [&bytes[..cut], &bytes[cut..]] {
                cutter.cut(part, |frame| seen.push((frame.kind, frame.length, frame.number)));
            }
            let wanted = [(4, 6, 0), (0, 0, 0), (8, 4, 5), (3, 4, 8), (0, 300, 0), (6, 8, 0)];
            assert_eq!(seen, wanted, "cut at {cut}");
        }
    }

    fn seen(kind: u8, flags: u8, payload: &[u8]) -> Frame {
        let mut found = None;
        Cutter::new(0).cut(&frame(kind, flags, payload), |frame| found = Some(*frame));
        found.unwrap()
    }

    #[test]
    fn what_answers_the_edges_frames_is_no_nuisance_and_more_than_that_is() {
        let mut allowance = Allowance::default();
        let window = seen(WINDOW_UPDATE, 0, &[0, 0, 0, 5]);
        assert_eq!(allowance.judge(&window), Some("h2-flood-window"), "nothing was sent yet");
        allowance.sent(&seen(DATA, 0, &[7; 5]));
        allowance.sent(&seen(DATA, 0, &[]));
        allowance.sent(&seen(PING, ACK, &[0; 8]));
        let judged = [(); 2].map(|()| allowance.judge(&window));
        assert_eq!((judged, allowance.judge(&seen(PING, 0, &[0; 8]))), ([None; 2], None));
        assert_eq!(allowance.judge(&window), Some("h2-flood-window"), "one piece of data pays for three frames");
    }

    #[test]
    fn a_reset_after_the_answers_head_is_a_cancel_and_one_before_is_not() {
        let (mut allowance, reset) = (Allowance::default(), seen(RST_STREAM, 0, &[0, 0, 0, 8]));
        allowance.sent(&seen(HEADERS, END_HEADERS, b"x"));
        let judged = [(); 2].map(|()| allowance.judge(&reset));
        assert_eq!(judged, [None, Some("h2-flood-reset")]);
    }

    #[test]
    fn a_request_allows_for_a_few_priorities_and_unknown_frames() {
        let (mut allowance, priority) = (Allowance::default(), seen(2, 0, &[0; 5]));
        assert_eq!(allowance.judge(&seen(HEADERS, END_HEADERS, b"x")), None);
        let judged: Vec<_> = (0..5).map(|_| allowance.judge(&priority)).collect();
        assert_eq!(judged, [None, None, None, None, Some("h2-flood-unknown")]);
    }

    #[test]
    fn a_long_download_pays_for_no_flood() {
        let mut allowance = Allowance::default();
        (0..100_000).for_each(|_| allowance.sent(&seen(DATA, 0, &[7; 9])));
        let free = (0..20_000).filter(|_| allowance.judge(&seen(WINDOW_UPDATE, 0, &[0, 0, 0, 1])).is_none()).count();
        assert_eq!(free, 10_000);
    }

    #[test]
    fn a_header_block_in_full_pieces_is_no_nuisance() {
        assert_eq!(nuisance(&seen(CONTINUATION, 0, &[7; 16_384])), None);
        assert_eq!(nuisance(&seen(CONTINUATION, END_HEADERS, &[7; 10])), None);
        assert_eq!(nuisance(&seen(CONTINUATION, 0, &[7; 10])), Some("h2-flood-continuation"));
    }
}
