//! Chance that is good enough to divide traffic and to name requests; nothing secret comes from here.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Another number in every process.
pub(crate) fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    // The standard library's hash keys are the one source of randomness that needs no other crate.
    *SEED.get_or_init(|| RandomState::new().build_hasher().finish())
}

/// splitmix64's finish: neighbours in, strangers out.
pub(crate) fn mixed(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The next number.
pub(crate) fn draw() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    mixed(seed().wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_fall_evenly() {
        let low = (0..10_000).filter(|_| draw() % 10 < 3).count();
        assert!((2_700..3_300).contains(&low), "{low} of 10,000");
    }
}
