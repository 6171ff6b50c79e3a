//! `downstream/sniff.rs`.

use crate::downstream::fault::Fault;
use crate::downstream::sniff::Sniff;

/// Wherever the reads are cut, a fault is seen or not; what a plain reader of the first head finds is seen.
pub fn heads(data: &[u8]) {
    let Some((cut, bytes)) = data.split_first() else { return };
    let whole = seen(&[bytes]);
    let (front, back) = bytes.split_at(usize::from(*cut) % (bytes.len() + 1));
    assert_eq!(seen(&[front, back]).is_empty(), whole.is_empty(), "cut at {}", front.len());
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    let each = seen(&single);
    assert_eq!(each.is_empty(), whole.is_empty(), "byte by byte");
    let Some(first) = First::of(bytes) else { return };
    assert!(!first.is_bare || !whole.is_empty(), "a line without a carriage return");
    assert!(!first.has_both || each.contains(&Fault::TwoLengths), "both lengths");
    assert!(first.is_bare || first.has_both || !first.is_all || whole.is_empty(), "nothing is wrong");
}

fn seen(reads: &[&[u8]]) -> Vec<Fault> {
    let mut sniff = Sniff::default();
    reads.iter().filter_map(|read| sniff.look(read)).collect()
}

/// The first head, read plainly.
struct First {
    is_bare: bool,
    has_both: bool,
    /// Nothing follows it.
    is_all: bool,
}

impl First {
    /// `None` when it does not end.
    fn of(bytes: &[u8]) -> Option<First> {
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
        let (mut length, mut coding, mut is_bare) = (false, false, false);
        let mut read = 0;
        loop {
            let whole = lines.next()?;
            read += whole.len();
            let line = whole.strip_suffix(b"\n")?;
            is_bare |= !line.ends_with(b"\r");
            if line.is_empty() || line == b"\r" {
                return Some(First { is_bare, has_both: length && coding, is_all: read == bytes.len() });
            }
            let name = line.split(|byte| *byte == b':').next().filter(|name| name.len() < line.len());
            length |= name.is_some_and(|name| name.eq_ignore_ascii_case(b"content-length"));
            coding |= name.is_some_and(|name| name.eq_ignore_ascii_case(b"transfer-encoding"));
        }
    }
}
