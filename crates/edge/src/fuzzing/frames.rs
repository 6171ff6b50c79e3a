//! `downstream/frames.rs`.

use crate::downstream::frames::{Cutter, nuisance};

/// Kind, flags, length, and the number in the payload.
type Seen = (u8, u8, usize, u32);

/// Wherever the reads are cut, the same frames are seen as by a reader that has all bytes.
pub fn frames(data: &[u8]) {
    let Some(([preface, cut], bytes)) = data.split_first_chunk::<2>() else { return };
    let preface = usize::from(*preface) % 25;
    let wanted = plainly(bytes.get(preface..).unwrap_or_default());
    let (front, back) = bytes.split_at(usize::from(*cut) % (bytes.len() + 1));
    assert_eq!(seen(preface, &[front, back]), wanted, "cut at {}", front.len());
    assert_eq!(seen(preface, &bytes.chunks(1).collect::<Vec<_>>()), wanted, "byte by byte");
}

fn seen(preface: usize, reads: &[&[u8]]) -> Vec<Seen> {
    let (mut cutter, mut seen) = (Cutter::new(preface), Vec::new());
    for read in reads {
        cutter.cut(read, |frame| {
            let _ = nuisance(frame);
            seen.push((frame.kind, frame.flags, frame.length, frame.number));
        });
    }
    seen
}

/// A frame counts once its head is there, and of some kinds the first bytes behind it.
fn plainly(mut bytes: &[u8]) -> Vec<Seen> {
    let mut seen = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let wanted = match head[3] {
            3 | 8 => 4,
            7 => 8,
            _ => 0,
        };
        let wanted = length.min(wanted);
        let Some(payload) = rest.get(..wanted) else { break };
        let number = payload.last_chunk::<4>().map_or(0, |last| u32::from_be_bytes(*last));
        seen.push((head[3], head[4], length, number));
        bytes = rest.get(length..).unwrap_or_default();
    }
    seen
}
