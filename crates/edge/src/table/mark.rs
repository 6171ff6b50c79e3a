//! Marks: what a cookie says instead of a pool's name or a target's address.
//!
//! Addresses are few enough to be guessed through a plain hash, so the hash has a key that is made once per state
//! folder: the same thing has the same mark after a restart, and nobody outside learns what is behind it.

use sha2::{Digest, Sha256};

/// The key of one edge's marks.
#[derive(Clone, Default)]
pub(crate) struct Marks([u8; 32]);

impl Marks {
    pub(crate) fn new(key: [u8; 32]) -> Marks {
        Marks(key)
    }

    /// 16 hexadecimal digits.
    pub(crate) fn mark(&self, kind: &str, thing: &str) -> Box<str> {
        let digest = Sha256::new().chain_update(self.0).chain_update(kind).chain_update([0]).chain_update(thing);
        let digest = digest.finalize();
        let digits = digest.iter().take(8).flat_map(|byte| [byte >> 4, byte & 15]);
        digits.map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0')).collect::<String>().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_stable_under_its_key_and_unlike_under_another() {
        let (one, other) = (Marks::new([1; 32]), Marks::new([2; 32]));
        let mark = one.mark("target", "10.0.0.1:80");
        assert_eq!(mark, one.mark("target", "10.0.0.1:80"));
        assert_ne!(mark, other.mark("target", "10.0.0.1:80"));
        assert_ne!(mark, one.mark("pool", "10.0.0.1:80"));
        assert_eq!(mark.len(), 16);
    }
}
