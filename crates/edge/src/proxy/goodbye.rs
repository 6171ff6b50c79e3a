//! The last frame of a WebSocket whose release's time is over: code 1001, going away (RFC 6455, 7.4.1).
//!
//! A connection that just ends is an error to its client (1006), and some come back later for that. A frame can only be
//! put between two others, so those that pass are followed, by their heads alone.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Close, two bytes: 1001.
const TO_CLIENT: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];

/// The same from a client, which masks what it says; with zeroes it stays readable.
const TO_TARGET: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9];

const CLOSE: u8 = 8;

/// Where in the frames of one direction the bytes that have passed end.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The head of the frame that has begun.
    head: [u8; 14],
    length: usize,
    /// Bytes of its payload still to come.
    left: u64,
    has_closed: bool,
}

impl Place {
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let skipped = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            self.left -= skipped as u64;
            bytes = &bytes[skipped..];
            let taken = (self.wanted() - self.length).min(bytes.len());
            self.head[self.length..self.length + taken].copy_from_slice(&bytes[..taken]);
            self.length += taken;
            bytes = &bytes[taken..];
            // The first two bytes tell how long the head is.
            if self.length >= 2 && self.length == self.wanted() {
                self.has_closed |= self.head[0] & 15 == CLOSE;
                (self.left, self.length) = (self.payload(), 0);
            }
        }
    }

    fn wanted(&self) -> usize {
        if self.length < 2 {
            return 2;
        }
        let mask = if self.head[1] & 128 == 0 { 0 } else { 4 };
        let more = match self.head[1] & 127 {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + more + mask
    }

    fn payload(&self) -> u64 {
        match self.head[1] & 127 {
            126 => u64::from(u16::from_be_bytes([self.head[2], self.head[3]])),
            127 => self.head[2..10].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
            short => u64::from(short),
        }
    }

    /// Whether the last frame has begun.
    pub(super) fn has_closed(&self) -> bool {
        self.has_closed
    }

    /// Between two frames, and nobody has said goodbye yet.
    fn is_free(&self) -> bool {
        self.length == 0 && self.left == 0 && !self.has_closed
    }
}

/// One side of a tunnel, with the place in what was written to it.
pub(super) struct Followed<S> {
    stream: S,
    place: Arc<Mutex<Place>>,
}

impl<S> Followed<S> {
    pub(super) fn new(stream: S) -> (Followed<S>, Written) {
        let place = Arc::new(Mutex::new(Place::default()));
        (Followed { stream, place: place.clone() }, Written(place))
    }
}

/// What was written to one side.
pub(super) struct Written(Arc<Mutex<Place>>);

impl Written {
    /// Whether a frame may be put there now.
    pub(super) fn is_free(&self) -> bool {
        self.0.lock().is_free()
    }

    /// The last frame for a client, where one may be put there.
    pub(super) fn goodbye_to_client(&self) -> Option<&'static [u8]> {
        self.is_free().then_some(TO_CLIENT.as_slice())
    }

    /// Likewise for a target.
    pub(super) fn goodbye_to_target(&self) -> Option<&'static [u8]> {
        self.is_free().then_some(TO_TARGET.as_slice())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Followed<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Followed<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(count)) = &polled {
            this.place.lock().pass(&buf[..*count]);
        }
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(opcode: u8, is_masked: bool, length: usize) -> Vec<u8> {
        let mask = u8::from(is_masked) << 7;
        let mut bytes = vec![0x80 | opcode];
        match length {
            0..126 => bytes.push(mask | u8::try_from(length).unwrap()),
            126..65_536 => {
                bytes.push(mask | 126);
                bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                bytes.push(mask | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(if is_masked { vec![7; 4] } else { vec![] });
        bytes.extend(vec![0x88; length]);
        bytes
    }

    #[test]
    fn the_place_between_two_frames_is_found_wherever_the_writes_are_cut() {
        let frames: Vec<Vec<u8>> = [(1, false, 0), (2, true, 5), (2, false, 125), (1, true, 126), (2, false, 300)]
            .map(|(opcode, is_masked, length)| frame(opcode, is_masked, length))
            .into();
        let bytes = frames.concat();
        let mut ends = vec![0];
        frames.iter().for_each(|frame| ends.push(ends.last().unwrap() + frame.len()));
        for cut in 0..=bytes.len() {
            let mut place = Place::default();
            place.pass(&bytes[..cut]);
            assert_eq!(place.is_free(), ends.contains(&cut), "cut at {cut}");
            place.pass(&bytes[cut..]);
            assert!(place.is_free(), "cut at {cut}");
        }
        let mut place = Place::default();
        frame(2, true, 70_000).chunks(1_000).for_each(|piece| place.pass(piece));
        assert!(place.is_free());
    }

    #[test]
    fn nothing_follows_a_close() {
        let mut place = Place::default();
        place.pass(&frame(CLOSE, false, 2));
        assert!(!place.is_free());
    }
}
